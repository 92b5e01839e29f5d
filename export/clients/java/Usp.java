import com.sun.jna.Memory;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import com.sun.jna.Structure.FieldOrder;
import com.sun.jna.ptr.PointerByReference;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.util.Map;

/**
 * usp.h for Java, by JNA. {@link Model} and {@link Stream} are closed by try-with-resources, or by the garbage
 * collector if that was forgotten; failures are {@link UspException}. For 64-bit systems (size_t is a long).
 */
public final class Usp {
  private Usp() {}

  private static final int ABI_VERSION = 1;
  private static final Cleaner CLEANER = Cleaner.create();

  static {
    String path = System.getenv("USP_LIBRARY");
    String library = path == null || path.isEmpty() ? "usp" : path;
    Native.register(Usp.class, NativeLibrary.getInstance(library, Map.of("string-encoding", "UTF-8")));
    if (usp_abi_version() < ABI_VERSION) throw new UnsatisfiedLinkError(library + " is older than this class");
  }

  private static native int usp_abi_version();

  private static native String usp_last_error();

  private static native int usp_model_load(String folder, Pointer options, PointerByReference model);

  private static native void usp_model_free(Pointer model);

  private static native int usp_model_info(Pointer model, Description info);

  private static native int usp_model_levels(Pointer model, double[] levels, long capacity, Pointer needed);

  private static native int usp_stream_new(Pointer model, PointerByReference stream);

  private static native void usp_stream_free(Pointer stream);

  private static native int usp_stream_push(
      Pointer stream, Pointer y, long n, Pointer quantiles, long capacity, Pointer needed);

  private static native int usp_stream_save(Pointer stream, String path);

  private static native int usp_stream_load(Pointer model, String path, PointerByReference stream);

  private static void check(int status) {
    if (status != 0) throw new UspException(status, usp_last_error());
  }

  /** A call that failed. */
  public static final class UspException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** One of the USP_ constants of usp.h. */
    public final int status;

    UspException(int status, String message) {
      super(message);
      this.status = status;
    }
  }

  /** usp_model_description. */
  @FieldOrder({
    "structSize", "hasStep", "levels", "horizons", "features", "exogenous", "telemetry", "weights", "state", "name",
    "format", "dtype"
  })
  public static final class Description extends Structure {
    public int structSize;
    public int hasStep;
    public long levels;
    public long horizons;
    public long features;
    public long exogenous;
    public long telemetry;
    public long weights;
    public long state;
    public String name;
    public String format;
    public String dtype;

    public Description() {
      setStringEncoding("UTF-8");
      structSize = size();
    }
  }

  // A fence after a call keeps the collector from freeing what the call still uses.

  /** What is freed, held apart from the object that is cleaned so that it does not keep it alive. */
  private static final class ModelHandle implements Runnable {
    final Pointer pointer;

    ModelHandle(Pointer pointer) {
      this.pointer = pointer;
    }

    @Override
    public void run() {
      usp_model_free(pointer);
    }
  }

  private static final class StreamHandle implements Runnable {
    final Pointer pointer;

    StreamHandle(Pointer pointer) {
      this.pointer = pointer;
    }

    @Override
    public void run() {
      usp_stream_free(pointer);
    }
  }

  /** An exported model. Never changes: any number of threads may use it. */
  public static final class Model implements AutoCloseable {
    private final ModelHandle handle;
    private final Cleaner.Cleanable cleanable;
    private boolean closed;

    /** Loads a folder; null is the model that is built into the library. */
    public Model(String folder) {
      PointerByReference out = new PointerByReference();
      check(usp_model_load(folder, null, out));
      handle = new ModelHandle(out.getValue());
      cleanable = CLEANER.register(this, handle);
    }

    public Description info() {
      Description out = new Description();
      check(usp_model_info(pointer(), out));
      Reference.reachabilityFence(this);
      return out;
    }

    /** Levels of the quantiles, in (0, 1). */
    public double[] levels() {
      double[] out = new double[(int) info().levels];
      check(usp_model_levels(pointer(), out, out.length, null));
      Reference.reachabilityFence(this);
      return out;
    }

    /** A stream that stands where the model stood when it was exported. */
    public Stream stream() {
      PointerByReference out = new PointerByReference();
      check(usp_stream_new(pointer(), out));
      return new Stream(out.getValue(), info());
    }

    /** A stream that goes on where the one saved to that file stood. */
    public Stream stream(String path) {
      PointerByReference out = new PointerByReference();
      check(usp_stream_load(pointer(), path, out));
      return new Stream(out.getValue(), info());
    }

    private Pointer pointer() {
      if (closed) throw new IllegalStateException("the model is closed");
      return handle.pointer;
    }

    @Override
    public void close() {
      closed = true;
      cleanable.clean();
    }
  }

  /** A series that the model follows and goes on learning from. For one thread at a time. */
  public static final class Stream implements AutoCloseable {
    private final StreamHandle handle;
    private final Cleaner.Cleanable cleanable;
    private final Memory quantiles;
    private final int width;
    private Memory y;
    private boolean closed;

    private Stream(Pointer pointer, Description info) {
      handle = new StreamHandle(pointer);
      cleanable = CLEANER.register(this, handle);
      width = (int) (info.horizons * info.levels);
      quantiles = new Memory(8L * width);
      y = new Memory(8L * (1 + info.exogenous));
    }

    /** Learns the newest value and its exogenous values; quantiles of the values to come, horizon by horizon. */
    public double[] push(double... values) {
      if (8L * values.length > y.size()) y = new Memory(8L * values.length);
      y.write(0, values, 0, values.length);
      check(usp_stream_push(pointer(), y, values.length, quantiles, width, null));
      Reference.reachabilityFence(this);
      return quantiles.getDoubleArray(0, width);
    }

    public void save(String path) {
      check(usp_stream_save(pointer(), path));
      Reference.reachabilityFence(this);
    }

    private Pointer pointer() {
      if (closed) throw new IllegalStateException("the stream is closed");
      return handle.pointer;
    }

    @Override
    public void close() {
      closed = true;
      cleanable.clean();
    }
  }
}
