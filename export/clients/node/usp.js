/**
 * usp.h for Node, by koffi. Models and streams are given back by dispose(), or by the garbage collector if that was
 * forgotten; failures are UspError. Calls block the event loop for the fraction of a millisecond that they take.
 */
import koffi from "koffi";

const ABI_VERSION = 1;
const lib = koffi.load(process.env.USP_LIBRARY || "libusp.so");

koffi.opaque("usp_model");
koffi.opaque("usp_stream");
const Description = koffi.struct("usp_model_description", {
  struct_size: "uint32_t",
  has_step: "int32_t",
  n_levels: "size_t",
  n_horizons: "size_t",
  n_features: "size_t",
  n_exogenous: "size_t",
  n_telemetry: "size_t",
  n_weights: "size_t",
  n_state: "size_t",
  name: "const char *",
  format: "const char *",
  dtype: "const char *",
});
const c = Object.fromEntries(
  [
    "uint32_t usp_abi_version(void)",
    "const char *usp_last_error(void)",
    "int32_t usp_model_load(const char *folder, const void *options, _Out_ usp_model **model)",
    "void usp_model_free(usp_model *model)",
    "int32_t usp_model_info(const usp_model *model, _Inout_ usp_model_description *info)",
    "int32_t usp_model_levels(const usp_model *model, _Out_ double *levels, size_t capacity, void *needed)",
    "int32_t usp_stream_new(const usp_model *model, _Out_ usp_stream **stream)",
    "void usp_stream_free(usp_stream *stream)",
    "int32_t usp_stream_push(usp_stream *s, const double *y, size_t n, _Out_ double *q, size_t capacity, void *needed)",
    "int32_t usp_stream_save(const usp_stream *stream, const char *path)",
    "int32_t usp_stream_load(const usp_model *model, const char *path, _Out_ usp_stream **stream)",
  ].map((declaration) => [/(usp_\w+)\(/.exec(declaration)[1], lib.func(declaration)]),
);
if (c.usp_abi_version() < ABI_VERSION) throw new Error("libusp is older than this module");

const symbolDispose = Symbol.dispose ?? Symbol.for("nodejs.dispose");
const models = new FinalizationRegistry(c.usp_model_free);
const streams = new FinalizationRegistry(c.usp_stream_free);

/** A call that failed; status is one of the USP_ constants of usp.h. */
export class UspError extends Error {
  constructor(status) {
    super(c.usp_last_error());
    this.name = "UspError";
    this.status = status;
  }
}

function check(status) {
  if (status !== 0) throw new UspError(status);
}

function open(call) {
  const out = [null];
  check(call(out));
  return out[0];
}

/** A handle and the function that frees it, once. */
class Handle {
  #pointer;
  #free;
  #registry;

  constructor(pointer, free, registry) {
    this.#pointer = pointer;
    this.#free = free;
    this.#registry = registry;
    registry.register(this, pointer, this);
  }

  get pointer() {
    if (this.#pointer === null) throw new Error("used after dispose()");
    return this.#pointer;
  }

  dispose() {
    if (this.#pointer === null) return;
    this.#registry.unregister(this);
    this.#free(this.#pointer);
    this.#pointer = null;
  }

  [symbolDispose]() {
    this.dispose();
  }
}

/** An exported model. It never changes. */
export class Model extends Handle {
  /** Loads a folder; null is the model that is built into the library. */
  constructor(folder) {
    super(open((out) => c.usp_model_load(folder, null, out)), c.usp_model_free, models);
  }

  info() {
    const out = { struct_size: koffi.sizeof(Description) };
    for (const name of ["n_levels", "n_horizons", "n_features", "n_exogenous", "n_telemetry", "n_weights", "n_state"])
      out[name] = 0;
    check(c.usp_model_info(this.pointer, Object.assign(out, { has_step: 0, name: null, format: null, dtype: null })));
    return out;
  }

  /** Levels of the quantiles, in (0, 1). */
  levels() {
    const out = new Float64Array(this.info().n_levels);
    check(c.usp_model_levels(this.pointer, out, out.length, null));
    return out;
  }

  /** A stream that stands where the model stood when it was exported, or where the one saved to that file stood. */
  stream(path = null) {
    const pointer = open((out) =>
      path === null ? c.usp_stream_new(this.pointer, out) : c.usp_stream_load(this.pointer, path, out),
    );
    const info = this.info();
    return new Stream(pointer, info.n_horizons * info.n_levels);
  }
}

/** A series that the model follows and goes on learning from. Made by Model.stream(). */
class Stream extends Handle {
  #width;

  constructor(pointer, width) {
    super(pointer, c.usp_stream_free, streams);
    this.#width = width;
  }

  /** Learns the newest value and its exogenous values; quantiles of the values to come, horizon by horizon. */
  push(...y) {
    const out = new Float64Array(this.#width);
    check(c.usp_stream_push(this.pointer, Float64Array.from(y), y.length, out, out.length, null));
    return out;
  }

  save(path) {
    check(c.usp_stream_save(this.pointer, path));
  }
}
