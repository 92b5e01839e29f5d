import java.io.BufferedReader;
import java.io.IOException;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.MathContext;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Streams a CSV file through an exported model that learns as it goes; prints the quantiles after every value.
 * Forecast MODEL_FOLDER VALUES.csv [STREAM], where MODEL_FOLDER "-" is the model inside the library, and STREAM a file
 * where the stream is kept: it goes on from there if the file exists, and is saved there in the end.
 */
public final class Forecast {
  private static final MathContext DIGITS = new MathContext(17);

  private Forecast() {}

  /** Numbers of a line of CSV; null if it holds anything else. */
  private static double[] numbers(String line) {
    try {
      return Arrays.stream(line.split(",", -1)).mapToDouble(field -> Double.parseDouble(field.trim())).toArray();
    } catch (NumberFormatException e) {
      return null;
    }
  }

  /** The quantiles with 17 significant digits (format's %g drops digits after the ones that Double.toString gives). */
  private static String text(double[] quantiles) {
    StringBuilder out = new StringBuilder();
    for (double q : quantiles) {
      if (out.length() > 0) out.append(',');
      out.append(new BigDecimal(q).round(DIGITS));
    }
    return out.toString();
  }

  private static void run(String folder, Path path, String kept) throws IOException {
    double[] times = new double[1024];
    int pushed = 0;
    try (Usp.Model model = new Usp.Model(folder.equals("-") ? null : folder);
        Usp.Stream stream = kept != null && Files.exists(Path.of(kept)) ? model.stream(kept) : model.stream();
        BufferedReader file = Files.newBufferedReader(path);
        PrintStream out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false, "UTF-8")) {
      int row = 0;
      for (String line; (line = file.readLine()) != null; ) {
        row++;
        if (line.isBlank()) continue;
        double[] y = numbers(line);
        if (y == null && row == 1) continue; // the header
        if (y == null) throw new IOException(path + ", line " + row + ": not numbers");
        long start = System.nanoTime();
        double[] quantiles = stream.push(y);
        if (pushed == times.length) times = Arrays.copyOf(times, 2 * pushed);
        times[pushed++] = (System.nanoTime() - start) * 1e-3;
        out.print(text(quantiles) + "\n");
      }
      if (out.checkError()) throw new IOException("the output cannot be written");
      if (kept != null) stream.save(kept);
    }
    if (pushed == 0) return;
    Arrays.sort(times, 0, pushed);
    System.err.printf((java.util.Locale) null, "median push latency: %.1f us%n", times[pushed / 2]);
  }

  public static void main(String[] arguments) {
    if (arguments.length != 2 && arguments.length != 3) {
      System.err.println("usage: Forecast MODEL_FOLDER VALUES.csv [STREAM]");
      System.exit(2);
    }
    try {
      run(arguments[0], Path.of(arguments[1]), arguments.length == 3 ? arguments[2] : null);
    } catch (Usp.UspException | IOException | LinkageError failure) {
      System.err.println(failure instanceof Usp.UspException ? failure.getMessage() : failure.toString());
      System.exit(1);
    }
  }
}
