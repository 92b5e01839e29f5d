/* A SavedModel. One session is shared by all threads: each further one would compile the model again and take some
** 0.4 GB. A state is fed in pieces where it lies, so that neither this library nor the graph copies it. */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "error.h"
#include "tensorflow_api.h"

#define LIBRARY "libtensorflow_cc.so.2"

/* Each number of rows is compiled when it is first seen, so that only these are used. */
static const size_t batches[] = {1, 64};

/* A part of the state: numbers from offset on, as a tensor of those axes. */
typedef struct {
  const char *name;
  size_t offset, length;
  int rank;
  int64_t axes[USPI_JSON_DEPTH];
} piece;

typedef struct {
  uspi_tensorflow_api tf;
  TF_Graph *graph;
  TF_Session *session;
  const uspi_manifest *manifest;
  TF_Output rows, laws[USPI_PARTS]; /* predict */
  piece *pieces;                    /* of the state, in step */
  size_t n_pieces;
  TF_Output *given, *next; /* the pieces and y; the pieces and the law's parts */
} shared_tensorflow;

/* What one thread needs: places for a call's tensors. */
typedef struct {
  TF_Status *status;
  TF_Tensor **fed, **fetched;
  size_t *sizes;
  double **to;
} instance_tensorflow;

static usp_status failed(const shared_tensorflow *s, const char *what, const TF_Status *status) {
  return uspi_fail(USP_BACKEND, "TensorFlow could not %s: %.800s", what, s->tf.TF_Message(status));
}

/* A tensor of n doubles, in the precision that the input takes; batch 0 for one without that axis. */
static TF_Tensor *feed(const shared_tensorflow *s, TF_Output input, const double *values, size_t n, size_t batch) {
  int type = s->tf.TF_OperationOutputType(input);
  size_t width = type == TF_FLOAT ? sizeof(float) : sizeof(double), all = n * (batch ? batch : 1);
  int64_t axes[2] = {(int64_t)batch, (int64_t)n};
  TF_Tensor *tensor = s->tf.TF_AllocateTensor(type, batch ? axes : axes + 1, batch ? 2 : 1, all * width);
  if (!tensor) return NULL;
  void *data = s->tf.TF_TensorData(tensor);
  if (type == TF_FLOAT)
    for (size_t i = 0; i < all; i++) ((float *)data)[i] = (float)values[i];
  else
    memcpy(data, values, all * sizeof *values);
  return tensor;
}

static void keep(void *data, size_t length, void *context) { (void)data, (void)length, (void)context; }

/* A piece of the state as a tensor, without a copy where it begins on a cache line. TensorFlow only reads it. */
static TF_Tensor *feed_piece(const shared_tensorflow *s, const piece *p, const double *state) {
  return s->tf.TF_NewTensor(TF_DOUBLE, p->axes, p->rank, (void *)(uintptr_t)(state + p->offset),
                            p->length * sizeof *state, keep, NULL);
}

/* n doubles of a tensor of either precision; false if it is not of that size. */
static bool fetch(const shared_tensorflow *s, const TF_Tensor *tensor, double *values, size_t n) {
  int type = s->tf.TF_TensorType(tensor);
  size_t size = s->tf.TF_TensorByteSize(tensor);
  const void *data = s->tf.TF_TensorData(tensor);
  if (type == TF_FLOAT && size == n * sizeof(float)) {
    for (size_t i = 0; i < n; i++) values[i] = ((const float *)data)[i];
    return true;
  }
  if (type != TF_DOUBLE || size != n * sizeof(double)) return false;
  if (n) memcpy(values, data, size);
  return true;
}

/* Runs the session on what the instance holds and gives back all tensors. */
static usp_status run(const shared_tensorflow *s, const instance_tensorflow *i, const TF_Output *inputs,
                      size_t n_inputs, const TF_Output *outputs, size_t n_outputs) {
  usp_status result = USP_OK;
  memset(i->fetched, 0, n_outputs * sizeof *i->fetched);
  for (size_t k = 0; k < n_inputs; k++)
    if (!i->fed[k]) result = uspi_no_memory();
  if (!result) {
    s->tf.TF_SessionRun(s->session, NULL, inputs, i->fed, (int)n_inputs, outputs, i->fetched, (int)n_outputs, NULL, 0,
                        NULL, i->status);
    if (s->tf.TF_GetCode(i->status)) result = failed(s, "run the model", i->status);
  }
  for (size_t k = 0; k < n_outputs && !result; k++)
    if (!i->fetched[k] || !fetch(s, i->fetched[k], i->to[k], i->sizes[k]))
      result = uspi_fail(USP_BACKEND, "The SavedModel issued an output of another type or size than its manifest says.");
  for (size_t k = 0; k < n_inputs; k++)
    if (i->fed[k]) s->tf.TF_DeleteTensor(i->fed[k]);
  for (size_t k = 0; k < n_outputs; k++)
    if (i->fetched[k]) s->tf.TF_DeleteTensor(i->fetched[k]);
  return result;
}

static usp_status predict(void *shared, void *instance, size_t which, const double *rows, double *const *outputs) {
  const shared_tensorflow *s = shared;
  const instance_tensorflow *i = instance;
  for (size_t k = 0; k < USPI_PARTS; k++) {
    i->sizes[k] = s->manifest->parts[k] * batches[which];
    i->to[k] = outputs[k];
  }
  i->fed[0] = feed(s, s->rows, rows, s->manifest->n_features, batches[which]);
  return run(s, i, &s->rows, 1, s->laws, USPI_PARTS);
}

static usp_status step(void *shared, void *instance, const double *state, const double *y, double *const *outputs) {
  const shared_tensorflow *s = shared;
  const instance_tensorflow *i = instance;
  const size_t n = s->n_pieces;
  for (size_t k = 0; k < n; k++) {
    i->fed[k] = feed_piece(s, &s->pieces[k], state);
    i->sizes[k] = s->pieces[k].length;
    i->to[k] = outputs[0] + s->pieces[k].offset;
  }
  i->fed[n] = feed(s, s->given[n], y, 1 + s->manifest->n_exogenous, 0);
  for (size_t k = 0; k < USPI_PARTS; k++) {
    i->sizes[n + k] = s->manifest->parts[k];
    i->to[n + k] = outputs[1 + k];
  }
  return run(s, i, s->given, n + 1, s->next, n + USPI_PARTS);
}

static void instance_free(void *shared, void *instance) {
  instance_tensorflow *i = instance;
  if (!i) return;
  if (i->status) ((shared_tensorflow *)shared)->tf.TF_DeleteStatus(i->status);
  free(i->fed);
  free(i->fetched);
  free(i->sizes);
  free(i->to);
  free(i);
}

static usp_status instance_new(void *shared, void **instance) {
  const shared_tensorflow *s = shared;
  const size_t most = s->n_pieces + USPI_PARTS + 1;
  instance_tensorflow *i = calloc(1, sizeof *i);
  *instance = i;
  if (!i) return uspi_no_memory();
  i->status = s->tf.TF_NewStatus();
  i->fed = calloc(most, sizeof *i->fed);
  i->fetched = calloc(most, sizeof *i->fetched);
  i->sizes = calloc(most, sizeof *i->sizes);
  i->to = calloc(most, sizeof *i->to);
  if (i->status && i->fed && i->fetched && i->sizes && i->to) return USP_OK;
  instance_free(shared, i);
  *instance = NULL;
  return uspi_no_memory();
}

/* The library stays: TensorFlow cannot be unloaded. */
static void close_tensorflow(void *shared) {
  shared_tensorflow *s = shared;
  TF_Status *status = s->session ? s->tf.TF_NewStatus() : NULL;
  if (status) {
    s->tf.TF_CloseSession(s->session, status);
    s->tf.TF_DeleteSession(s->session, status);
    s->tf.TF_DeleteStatus(status);
  }
  if (s->graph) s->tf.TF_DeleteGraph(s->graph);
  free(s->pieces);
  free(s->given);
  free(s->next);
  free(s);
}

static const uspi_engine engine = {instance_new, instance_free, predict, step, close_tensorflow};

static usp_status open_library(shared_tensorflow *s, const char *path) {
  if (!path) path = getenv("USP_TENSORFLOW");
  if (!path || !*path) path = LIBRARY;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL), *symbol;
  if (!library)
    return uspi_fail(USP_NOT_FOUND,
                     "A model of format savedmodel needs TensorFlow; name its library " LIBRARY
                     " in usp_load_options or USP_TENSORFLOW. Could not load it: %.600s.",
                     dlerror());
/* ISO C has no conversion from void * to a function pointer, hence memcpy. */
#define LOOK_UP(result, name, parameters)                                                          \
  if (!(symbol = dlsym(library, #name))) {                                                         \
    dlclose(library);                                                                              \
    return uspi_fail(USP_BACKEND, "'%.600s' is not a library of TensorFlow: it lacks %s.", path, #name); \
  }                                                                                                \
  memcpy(&s->tf.name, &symbol, sizeof symbol);
  USPI_TENSORFLOW_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
  return USP_OK;
}

/* The session in the folder. The configuration is a ConfigProto with inter_op_parallelism_threads (field 5) = -1: a
** call computes on the thread that makes it. */
static usp_status open_session(shared_tensorflow *s, const char *folder) {
  static const uint8_t caller_thread[] = {0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
  static const char *const tags[] = {"serve"};
  TF_Status *status = s->tf.TF_NewStatus();
  TF_SessionOptions *options = s->tf.TF_NewSessionOptions();
  usp_status result = USP_OK;
  s->graph = s->tf.TF_NewGraph();
  if (!status || !options || !s->graph) result = uspi_no_memory();
  if (!result) {
    s->tf.TF_SetConfig(options, caller_thread, sizeof caller_thread, status);
    if (s->tf.TF_GetCode(status)) result = failed(s, "be configured", status);
  }
  if (!result) {
    s->session = s->tf.TF_LoadSessionFromSavedModel(options, NULL, folder, tags, 1, s->graph, NULL, status);
    if (s->tf.TF_GetCode(status)) result = failed(s, "load the SavedModel", status);
  }
  if (options) s->tf.TF_DeleteSessionOptions(options);
  if (status) s->tf.TF_DeleteStatus(status);
  return result;
}

/* The tensor "operation:index" that the manifest names for a port, in the graph. */
static usp_status tensor(const shared_tensorflow *s, const char *signature, const char *side, const char *name,
                         TF_Output *output) {
  const uspi_node *of = uspi_json_get(uspi_json_get(s->manifest->tensorflow, signature), side);
  const uspi_node *text = uspi_json_typed(of, name, USPI_STRING);
  const char *colon = text ? strrchr(text->string, ':') : NULL;
  char operation[512], *end = NULL;
  long index = colon && colon[1] >= '0' && colon[1] <= '9' ? strtol(colon + 1, &end, 10) : -1;
  if (index < 0 || *end || index > INT_MAX || (size_t)(colon - text->string) >= sizeof operation)
    return uspi_fail(USP_CORRUPT, "manifest.json: 'tensorflow' does not name the tensor of %s.%s.%s.", signature, side,
                     name);
  memcpy(operation, text->string, (size_t)(colon - text->string));
  operation[colon - text->string] = 0;
  *output = (TF_Output){s->tf.TF_GraphOperationByName(s->graph, operation), (int)index};
  if (!output->oper || index >= s->tf.TF_OperationNumOutputs(output->oper))
    return uspi_fail(USP_CORRUPT, "The SavedModel has no tensor '%.500s'.", text->string);
  int type = s->tf.TF_OperationOutputType(*output);
  if (type != TF_DOUBLE && type != TF_FLOAT)
    return uspi_fail(USP_CORRUPT, "The tensor '%.500s' of the SavedModel does not hold real numbers.", text->string);
  return USP_OK;
}

/* The pieces that the manifest lists. A state that is not cut up is one piece, its own vector. */
static usp_status find_pieces(shared_tensorflow *s) {
  const uspi_node *list = uspi_json_typed(s->manifest->tensorflow, "pieces", USPI_ARRAY);
  const size_t n = list && list->count ? list->count : 1, state = s->manifest->n_state;
  s->pieces = calloc(n, sizeof *s->pieces);
  s->given = calloc(n + 1, sizeof *s->given);
  s->next = calloc(n + USPI_PARTS, sizeof *s->next);
  if (!s->pieces || !s->given || !s->next) return uspi_no_memory();
  s->n_pieces = n;
  if (!list || !list->count) {
    s->pieces[0] = (piece){"state", 0, state, 1, {(int64_t)state}};
    return USP_OK;
  }
  piece *p = s->pieces;
  for (const uspi_node *item = list->first; item; item = item->next, p++) {
    const uspi_node *name = uspi_json_typed(item, "name", USPI_STRING);
    const uspi_node *shape = uspi_json_typed(item, "shape", USPI_ARRAY);
    bool good = name && shape && shape->count <= USPI_JSON_DEPTH &&
                uspi_json_integer(uspi_json_get(item, "offset"), 0, state, &p->offset);
    p->length = 1;
    for (const uspi_node *axis = good ? shape->first : NULL; axis && good; axis = axis->next) {
      size_t length;
      good = uspi_json_integer(axis, 1, state, &length) && p->length <= state / length;
      if (!good) break;
      p->length *= length;
      p->axes[p->rank++] = (int64_t)length;
    }
    if (!good || p->length > state - p->offset)
      return uspi_fail(USP_CORRUPT, "manifest.json: 'tensorflow' cuts the state into pieces that do not fit it.");
    p->name = name->string;
  }
  return USP_OK;
}

static usp_status find_tensors(shared_tensorflow *s) {
  usp_status status = tensor(s, "predict", "inputs", "rows", &s->rows);
  for (size_t i = 0; i < USPI_PARTS && !status; i++)
    status = tensor(s, "predict", "outputs", uspi_part_names[i], &s->laws[i]);
  if (status || !s->manifest->has_step) return status;
  if ((status = find_pieces(s))) return status;
  const char *step = uspi_json_get(s->manifest->tensorflow, "step_pieces") ? "step_pieces" : "step";
  for (size_t i = 0; i < s->n_pieces && !status; i++) {
    status = tensor(s, step, "inputs", s->pieces[i].name, &s->given[i]);
    if (!status) status = tensor(s, step, "outputs", s->pieces[i].name, &s->next[i]);
    if (!status && s->tf.TF_OperationOutputType(s->given[i]) != TF_DOUBLE)
      status = uspi_fail(USP_CORRUPT, "The SavedModel takes its state in single precision.");
  }
  if (!status) status = tensor(s, step, "inputs", "y", &s->given[s->n_pieces]);
  for (size_t i = 0; i < USPI_PARTS && !status; i++)
    status = tensor(s, step, "outputs", uspi_part_names[i], &s->next[s->n_pieces + i]);
  return status;
}

usp_status uspi_tensorflow_open(const char *folder, const char *library, const uspi_manifest *manifest,
                                uspi_backend *backend) {
  if (!uspi_manifest_file(manifest, "saved_model.pb"))
    return uspi_fail(USP_CORRUPT, "manifest.json: 'files' does not list saved_model.pb.");
  shared_tensorflow *s = calloc(1, sizeof *s);
  if (!s) return uspi_no_memory();
  s->manifest = manifest;
  usp_status status = open_library(s, library);
  if (!status) status = open_session(s, folder);
  if (!status) status = find_tensors(s);
  if (status) {
    close_tensorflow(s);
    return status;
  }
  *backend = (uspi_backend){&engine, s, sizeof batches / sizeof *batches, batches};
  return USP_OK;
}
