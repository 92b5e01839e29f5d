/* A SavedModel. One session is shared by all threads: each further one would compile the model again and take some
** 0.4 GB. An instance is a TF_Status. */
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

typedef struct {
  uspi_tensorflow_api tf;
  TF_Graph *graph;
  TF_Session *session;
  const uspi_manifest *manifest;
  TF_Output rows, laws[USPI_PARTS];             /* predict */
  TF_Output state_and_y[2], next[1 + USPI_PARTS]; /* step */
} shared_tensorflow;

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

/* Runs the session and gives back all tensors. */
static usp_status run(const shared_tensorflow *s, TF_Status *status, const TF_Output *inputs, TF_Tensor **fed,
                      size_t n_inputs, const TF_Output *outputs, size_t n_outputs, const size_t *sizes,
                      double *const *to) {
  TF_Tensor *fetched[1 + USPI_PARTS] = {0};
  usp_status result = USP_OK;
  for (size_t i = 0; i < n_inputs; i++)
    if (!fed[i]) result = uspi_no_memory();
  if (!result) {
    s->tf.TF_SessionRun(s->session, NULL, inputs, fed, (int)n_inputs, outputs, fetched, (int)n_outputs, NULL, 0, NULL,
                        status);
    if (s->tf.TF_GetCode(status)) result = failed(s, "run the model", status);
  }
  for (size_t i = 0; i < n_outputs && !result; i++)
    if (!fetched[i] || !fetch(s, fetched[i], to[i], sizes[i]))
      result = uspi_fail(USP_BACKEND, "The SavedModel issued an output of another type or size than its manifest says.");
  for (size_t i = 0; i < n_inputs; i++)
    if (fed[i]) s->tf.TF_DeleteTensor(fed[i]);
  for (size_t i = 0; i < n_outputs; i++)
    if (fetched[i]) s->tf.TF_DeleteTensor(fetched[i]);
  return result;
}

static usp_status predict(void *shared, void *instance, size_t which, const double *rows, double *const *outputs) {
  const shared_tensorflow *s = shared;
  size_t sizes[USPI_PARTS];
  for (size_t i = 0; i < USPI_PARTS; i++) sizes[i] = s->manifest->parts[i] * batches[which];
  TF_Tensor *fed = feed(s, s->rows, rows, s->manifest->n_features, batches[which]);
  return run(s, instance, &s->rows, &fed, 1, s->laws, USPI_PARTS, sizes, outputs);
}

static usp_status step(void *shared, void *instance, const double *state, const double *y, double *const *outputs) {
  const shared_tensorflow *s = shared;
  size_t sizes[1 + USPI_PARTS] = {s->manifest->n_state};
  memcpy(sizes + 1, s->manifest->parts, sizeof s->manifest->parts);
  TF_Tensor *fed[2] = {feed(s, s->state_and_y[0], state, s->manifest->n_state, 0),
                       feed(s, s->state_and_y[1], y, 1 + s->manifest->n_exogenous, 0)};
  return run(s, instance, s->state_and_y, fed, 2, s->next, 1 + USPI_PARTS, sizes, outputs);
}

static usp_status instance_new(void *shared, void **instance) {
  *instance = ((shared_tensorflow *)shared)->tf.TF_NewStatus();
  return *instance ? USP_OK : uspi_no_memory();
}

static void instance_free(void *shared, void *instance) {
  if (instance) ((shared_tensorflow *)shared)->tf.TF_DeleteStatus(instance);
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

static usp_status find_tensors(shared_tensorflow *s) {
  usp_status status = tensor(s, "predict", "inputs", "rows", &s->rows);
  for (size_t i = 0; i < USPI_PARTS && !status; i++)
    status = tensor(s, "predict", "outputs", uspi_part_names[i], &s->laws[i]);
  if (status || !s->manifest->has_step) return status;
  status = tensor(s, "step", "inputs", "state", &s->state_and_y[0]);
  if (!status) status = tensor(s, "step", "inputs", "y", &s->state_and_y[1]);
  if (!status) status = tensor(s, "step", "outputs", "state", &s->next[0]);
  for (size_t i = 0; i < USPI_PARTS && !status; i++)
    status = tensor(s, "step", "outputs", uspi_part_names[i], &s->next[1 + i]);
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
