/*
** usp.h: run an exported forecasting model, and let it go on learning, from C or anything that can call C.
**
** A model is a folder written by usp_sklearn.export_model (formats "native" and "savedmodel"), or is built into the
** library itself. It does one or two things:
**
**   predict   columns of one moment -> the law of the next value(s).  Never changes the model.        usp_predict()
**   step      the newest value      -> learns it, issues the law of the next value(s).                usp_stream_*()
**
** A law is a predictive distribution: K quantiles at fixed levels for each of H horizons, its mean, Pareto tails beyond
** the outer levels, the share of each of the model's branches, and T numbers of telemetry.
**
**   usp_model *model = NULL;
**   usp_stream *stream = NULL;
**   double value, quantile[25];
**   if (usp_model_load("wti", NULL, &model) != USP_OK || usp_stream_new(model, &stream) != USP_OK) {
**     fprintf(stderr, "%s\n", usp_last_error());
**     exit(1);
**   }
**   while (scanf("%lf", &value) == 1) {
**     if (usp_stream_push(stream, &value, 1, quantile, 25, NULL) == USP_OK) printf("%g\n", quantile[12]);
**   }
**   usp_stream_free(stream);
**   usp_model_free(model);
**
** CONVENTIONS
**
** Status.  Functions that can fail return a usp_status; 0 is success. After a failure usp_last_error() says in words
** what was wrong. A function that fails changes neither its model nor its stream; an "out" handle is set to NULL.
**
** Memory.  Arrays belong to the caller, who passes their capacity, counted in elements. The number of elements there
** are is stored in *needed if needed is not NULL, on success and with USP_BUFFER_TOO_SMALL alike, and nothing else is
** written if they do not fit. An array that is NULL with capacity 0 asks for the number alone and succeeds.
** Matrices are dense and row-major, the horizon before the level. Handles are freed by the function of their name that
** ends in _free; NULL is fine there.
**
** Threads.  A model never changes: any number of threads may use it at once. A stream is used by one thread at a time;
** different streams, of one model or of several, are independent. usp_last_error() is per thread.
** A model stays in memory until its last stream is freed, in whatever order they are freed.
**
** Compatibility.  Status codes and functions are only ever added; their numbers and meaning do not change. Structs
** begin with struct_size, which the caller sets to sizeof the struct, and grow at the end. A program that was compiled
** against version v of this header runs with every library whose usp_abi_version() is v or more.
**
** Numbers are IEEE double precision whatever the model's own precision is. Values are in the units of the series.
*/
#ifndef USP_H
#define USP_H

#include <stddef.h>
#include <stdint.h>

#ifndef USP_API
#if defined(_WIN32)
#define USP_API __declspec(dllexport)
#elif defined(__GNUC__)
#define USP_API __attribute__((visibility("default")))
#else
#define USP_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------------------------------------------- version -- */

/* Version of this header. It grows by one whenever something is added. */
#define USP_ABI_VERSION 1u

/* Version of the library that is running. It must be USP_ABI_VERSION or more. */
USP_API uint32_t usp_abi_version(void);

/* ----------------------------------------------------------------------------------------------------- status -- */

typedef int32_t usp_status;

enum {
  USP_OK = 0,
  USP_INVALID_ARGUMENT = 1, /* an argument is out of range: its number of columns, a level outside (0, 1), ... */
  USP_NULL_POINTER = 2,     /* an argument that is needed is NULL */
  USP_BUFFER_TOO_SMALL = 3, /* the capacity is less than *needed; nothing was computed, learned or written */
  USP_NOT_FOUND = 4,        /* there is no such file, folder or library */
  USP_IO = 5,               /* the operating system could not read or write */
  USP_CORRUPT = 6,          /* a file is damaged: its SHA-256, its length or its content is not what it must be */
  USP_VERSION = 7,          /* a file or a library is of a version that this library does not know */
  USP_UNSUPPORTED = 8,      /* this model or this library cannot do that */
  USP_OUT_OF_MEMORY = 9,
  USP_BACKEND = 10,         /* the engine that computes the model failed, or issued a law that is not finite */
  USP_NOT_FINITE = 11,      /* an input is NaN or infinite */
  USP_NO_LAW = 12,          /* the stream has issued no law yet: push a value first */
  USP_WRONG_MODEL = 13      /* the stream file was saved by another model */
};

/* Name and meaning of a status in a few words of English; "unknown status" for other numbers. Never NULL. */
USP_API const char *usp_status_text(usp_status status);

/* What was wrong with the newest call that failed on this thread, "" if none did. Calls that succeed leave it alone.
** The text is the library's and is good until the next failure on this thread. Never NULL. */
USP_API const char *usp_last_error(void);

/* ------------------------------------------------------------------------------------------------------ model -- */

typedef struct usp_model usp_model;

/* How to load a model. Zero everything, then set struct_size. */
typedef struct usp_load_options {
  uint32_t struct_size;           /* sizeof(usp_load_options) */
  uint32_t flags;                 /* 0 */
  const char *tensorflow_library; /* format "savedmodel": path of libtensorflow_cc.so.2. NULL: the environment variable
                                  ** USP_TENSORFLOW, or "libtensorflow_cc.so.2" wherever the system finds it */
} usp_load_options;

/* Loads the model in folder. The SHA-256 and the size of every file that manifest.json lists are checked before
** anything is used. folder NULL: the model that is built into this library; USP_UNSUPPORTED if there is none.
** options NULL: the defaults. A folder of format "native" holds machine code, which runs: load only what you trust.
**
** USP_NOT_FOUND, USP_IO, USP_CORRUPT, USP_VERSION, USP_UNSUPPORTED (other formats), USP_BACKEND. */
USP_API usp_status usp_model_load(const char *folder, const usp_load_options *options, usp_model **model);

/* Gives the model up. Streams that use it go on working. */
USP_API void usp_model_free(usp_model *model);

/* What a model is. Texts belong to the model. */
typedef struct usp_model_description {
  uint32_t struct_size; /* sizeof(usp_model_description), set by the caller */
  int32_t has_step;     /* 1 if streams can be made of it, else 0 */
  size_t n_levels;      /* K: quantiles of a law */
  size_t n_horizons;    /* H: laws at a time */
  size_t n_features;    /* F: columns that predict takes */
  size_t n_exogenous;   /* E: exogenous values that go with each value pushed */
  size_t n_telemetry;   /* T: numbers of telemetry */
  size_t n_weights;     /* branches that share a law */
  size_t n_state;       /* N: numbers that a stream consists of; 0 without step */
  const char *name;     /* given by who exported it */
  const char *format;   /* "native" or "savedmodel" */
  const char *dtype;    /* precision of what enters and leaves the engine: "float64" or "float32" */
} usp_model_description;

/* Fills *info up to the struct_size that the caller has set. */
USP_API usp_status usp_model_info(const usp_model *model, usp_model_description *info);

/* Levels of the K quantiles, in (0, 1). */
USP_API usp_status usp_model_levels(const usp_model *model, double *levels, size_t capacity, size_t *needed);

/* How many values ahead each of the H laws looks: 1 is the next value. */
USP_API usp_status usp_model_horizons(const usp_model *model, uint32_t *horizons, size_t capacity, size_t *needed);

/* Name of number i of the telemetry; NULL (see usp_last_error) if there is none. The text is the model's. */
USP_API const char *usp_model_telemetry_name(const usp_model *model, size_t i);

/* ---------------------------------------------------------------------------------------------------- predict -- */

/* Where usp_predict writes. Zero everything, set struct_size, then the arrays you want and their capacities; arrays
** left NULL are not written. Each *_needed is set by usp_predict. */
typedef struct usp_prediction {
  uint32_t struct_size; /* sizeof(usp_prediction) */
  uint32_t flags;       /* 0 */
  double *quantiles;    /* n_rows * H * K, ascending along the levels */
  size_t quantiles_capacity, quantiles_needed;
  double *mean; /* n_rows * H */
  size_t mean_capacity, mean_needed;
  double *tails; /* n_rows * H * 4: scale left, scale right, index left, index right */
  size_t tails_capacity, tails_needed;
  double *weights; /* n_rows * H * n_weights, each row of them sums to 1 */
  size_t weights_capacity, weights_needed;
  double *telemetry; /* n_rows * T; may hold NaN */
  size_t telemetry_capacity, telemetry_needed;
} usp_prediction;

/* Laws of n_rows rows of n_features columns each: exogenous values, then level context, then the window of values,
** oldest first, as usp_sklearn takes them. Any n_rows, 0 included; n_features must be the model's F.
** rows NULL with n_rows 0 and no arrays asks for nothing and sets the *_needed to 0.
**
** USP_INVALID_ARGUMENT, USP_BUFFER_TOO_SMALL, USP_NOT_FINITE, USP_BACKEND. */
USP_API usp_status usp_predict(const usp_model *model, const double *rows, size_t n_rows, size_t n_features,
                               usp_prediction *out);

/* usp_predict for the quantiles alone, n_rows * H * K of them. */
USP_API usp_status usp_predict_quantiles(const usp_model *model, const double *rows, size_t n_rows, size_t n_features,
                                         double *quantiles, size_t capacity, size_t *needed);

/* ----------------------------------------------------------------------------------------------------- stream -- */

/* A series that the model follows and goes on learning from. */
typedef struct usp_stream usp_stream;

/* A stream that stands where the model stood when it was exported. USP_UNSUPPORTED if the model has no step. */
USP_API usp_status usp_stream_new(const usp_model *model, usp_stream **stream);

/* Gives the stream up. */
USP_API void usp_stream_free(usp_stream *stream);

/* Learns y[0], the newest value of the series, with its exogenous values y[1] ... y[E] (n_y = 1 + E), and issues the
** law of the values to come, whose H * K quantiles are copied. quantiles NULL with capacity 0: learns and issues all
** the same; the law can be read below.
** The library allocates nothing here. Engines: "native" doesn't either, TensorFlow does.
**
** USP_NOT_FINITE if any of y is NaN or infinite, USP_BUFFER_TOO_SMALL, USP_INVALID_ARGUMENT (n_y), USP_BACKEND.
** After a failure the stream is what it was: it has not learned, and its newest law is still the one before. */
USP_API usp_status usp_stream_push(usp_stream *stream, const double *y, size_t n_y, double *quantiles, size_t capacity,
                                   size_t *needed);

/* Values pushed since the model was exported, those before a save and load included. */
USP_API usp_status usp_stream_count(const usp_stream *stream, uint64_t *count);

/* Parts of the newest law, laid out as in usp_prediction with one row. USP_NO_LAW before the first push, with *needed
** set. */
USP_API usp_status usp_stream_quantiles(const usp_stream *stream, double *out, size_t capacity, size_t *needed);
USP_API usp_status usp_stream_mean(const usp_stream *stream, double *out, size_t capacity, size_t *needed);
USP_API usp_status usp_stream_tails(const usp_stream *stream, double *out, size_t capacity, size_t *needed);
USP_API usp_status usp_stream_weights(const usp_stream *stream, double *out, size_t capacity, size_t *needed);
USP_API usp_status usp_stream_telemetry(const usp_stream *stream, double *out, size_t capacity, size_t *needed);

/* Quantile of the newest law at any level u in (0, 1). horizon counts from 0 to H - 1 in the order of
** usp_model_horizons. Linear between the model's levels; beyond the outer ones a generalised Pareto tail with scale b
** and index x that starts at u0 = 0.005:
**
**     Q(u)     = Q(u0)     - b_left  ((u0 / u)^x_left  - 1) / x_left
**     Q(1 - u) = Q(1 - u0) + b_right ((u0 / u)^x_right - 1) / x_right            u < u0
**
** USP_UNSUPPORTED if the model was exported with levels that do not ascend, or, beyond the outer level, with outer
** levels that lie inside [0.005, 0.995], where the tail's start is not known. */
USP_API usp_status usp_stream_quantile(const usp_stream *stream, size_t horizon, double u, double *value);

/* Writes the stream to a file, whole or not at all: what was at path stays until the new file is on the disk. */
USP_API usp_status usp_stream_save(const usp_stream *stream, const char *path);

/* A stream that goes on, to the last bit, where the one that was saved stood. The model may have been exported in
** another format, but must be the same: USP_WRONG_MODEL otherwise. USP_NOT_FOUND, USP_IO, USP_CORRUPT, USP_VERSION.
**
** path may also be a snapshot that usp_sklearn wrote (save of a Stream, Stream.checkpoint). Its stream may be another
** than the one that was exported, and of another fit, if both have the same parameters, windows and scalers:
** USP_WRONG_MODEL otherwise. It counts from 0 and issues its first law with the next value. USP_UNSUPPORTED if values
** were missing in the last steps before it was taken, or if the model was exported by a version that wrote none. */
USP_API usp_status usp_stream_load(const usp_model *model, const char *path, usp_stream **stream);

#ifdef __cplusplus
}
#endif

#endif
