#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "error.h"
#include "file.h"
#include "sha256.h"

static void destroy(usp_model *model) {
  const uspi_engine *engine = model->backend.engine;
  for (uspi_worker *worker = model->idle, *next; worker; worker = next) {
    next = worker->next;
    engine->instance_free(model->backend.shared, worker->instance);
    free(worker->rows);
    free(worker);
  }
  if (engine) engine->close(model->backend.shared);
  free(model->read);
  uspi_manifest_free(&model->manifest);
  pthread_mutex_destroy(&model->lock);
  free(model);
}

void uspi_model_hold(const usp_model *model) {
  atomic_fetch_add_explicit(&((usp_model *)model)->owners, 1, memory_order_relaxed);
}

void uspi_model_drop(const usp_model *model) {
  if (atomic_fetch_sub_explicit(&((usp_model *)model)->owners, 1, memory_order_acq_rel) == 1)
    destroy((usp_model *)model);
}

void usp_model_free(usp_model *model) {
  if (model) uspi_model_drop(model);
}

/* The trained state must be the one that the manifest lists. */
static usp_status identify(usp_model *model, size_t length) {
  const uspi_listed *listed = uspi_manifest_file(&model->manifest, USPI_STATE_FILE);
  if (!listed || length != model->manifest.n_state * 8 || listed->length != length ||
      memcmp(listed->digest, model->identity, USPI_DIGEST))
    return uspi_fail(USP_CORRUPT, "The trained state, state.bin, is not the file that manifest.json describes.");
  return USP_OK;
}

/* The state inside the library stays where it is. */
static usp_status take_state(usp_model *model, const double *state, size_t n) {
  uint8_t piece[4096];
  uspi_sha256 sha;
  uspi_sha256_start(&sha);
  for (size_t i = 0, some; i < n; i += some) {
    some = n - i < sizeof piece / 8 ? n - i : sizeof piece / 8;
    uspi_put_doubles(piece, state + i, some);
    uspi_sha256_add(&sha, piece, some * 8);
  }
  uspi_sha256_end(&sha, model->identity);
  model->state = state;
  return identify(model, n * 8);
}

static usp_status load_embedded(usp_model *model) {
  const usp_native_v1 *table = uspi_native_embedded();
  if (!table) return uspi_fail(USP_UNSUPPORTED, "No model is built into this library: name the folder of one.");
  usp_status status = uspi_native_check(table);
  if (!status) status = uspi_manifest_parse(table->manifest, table->manifest_length, &model->manifest);
  if (!status && strcmp(model->manifest.format, "native"))
    status = uspi_fail(USP_CORRUPT, "The model that is built into this library is not of format native.");
  if (!status) status = uspi_native_open(table, NULL, &model->manifest, &model->backend);
  if (status || !model->manifest.has_step) return status;
  return take_state(model, table->state, table->state_length);
}

static usp_status read_state(usp_model *model, const char *folder) {
  size_t length;
  char *path = uspi_file_path(folder, USPI_STATE_FILE);
  if (!path) return uspi_no_memory();
  usp_status status = uspi_file_read(path, model->manifest.n_state * 8, &model->read, &length);
  free(path);
  if (status) return status;
  uspi_sha256_of(model->read, length, model->identity);
  if ((status = identify(model, length))) return status;
  /* What malloc gives is aligned for numbers. */
  uspi_native_doubles((double *)(void *)model->read, length / 8);
  model->state = (const double *)(const void *)model->read;
  return USP_OK;
}

static usp_status load_folder(usp_model *model, const char *folder, const char *tensorflow) {
  uint8_t *text;
  size_t length;
  char *path = uspi_file_path(folder, "manifest.json");
  if (!path) return uspi_no_memory();
  usp_status status = uspi_file_read(path, USPI_JSON_BYTES, &text, &length);
  free(path);
  if (status) return status;
  status = uspi_manifest_parse((const char *)text, length, &model->manifest);
  free(text);
  if (!status) status = uspi_manifest_verify(&model->manifest, folder);
  if (!status && model->manifest.has_step) status = read_state(model, folder);
  if (status) return status;
  if (model->manifest.tensorflow)
    return uspi_tensorflow_open(folder, tensorflow, &model->manifest, &model->backend);
  return uspi_native_open(NULL, folder, &model->manifest, &model->backend);
}

usp_status usp_model_load(const char *folder, const usp_load_options *options, usp_model **model) {
  const char *tensorflow = NULL;
  if (!model) return uspi_null("usp_model_load", "model");
  *model = NULL;
  if (options) {
    if (options->struct_size < sizeof *options)
      return uspi_fail(USP_INVALID_ARGUMENT, "usp_load_options.struct_size must be sizeof(usp_load_options).");
    if (options->flags) return uspi_fail(USP_UNSUPPORTED, "usp_load_options.flags must be 0.");
    /* Options that this library does not know yet must not be asked for. */
    for (size_t i = sizeof *options; i < options->struct_size; i++)
      if (((const char *)options)[i]) return uspi_fail(USP_UNSUPPORTED, "usp_load_options holds an unknown option.");
    tensorflow = options->tensorflow_library;
  }
  usp_model *made = calloc(1, sizeof *made);
  if (!made) return uspi_no_memory();
  if (pthread_mutex_init(&made->lock, NULL)) {
    free(made);
    return uspi_no_memory();
  }
  atomic_init(&made->owners, 1);
  usp_status status = folder ? load_folder(made, folder, tensorflow) : load_embedded(made);
  if (status)
    destroy(made);
  else
    *model = made;
  return status;
}

usp_status uspi_worker_take(const usp_model *model, uspi_worker **worker) {
  usp_model *owner = (usp_model *)model;
  const uspi_manifest *m = &model->manifest;
  size_t largest = model->backend.batches[model->backend.n_batches - 1];
  pthread_mutex_lock(&owner->lock);
  *worker = owner->idle;
  if (*worker) owner->idle = (*worker)->next;
  pthread_mutex_unlock(&owner->lock);
  if (*worker) return USP_OK;
  uspi_worker *made = calloc(1, sizeof *made);
  if (!made) return uspi_no_memory();
  usp_status status = USP_OK;
  if ((m->n_features + m->law) > SIZE_MAX / sizeof(double) / largest ||
      !(made->rows = malloc((m->n_features + m->law) * largest * sizeof(double))))
    status = uspi_no_memory();
  if (!status) status = model->backend.engine->instance_new(model->backend.shared, &made->instance);
  if (status) {
    free(made->rows);
    free(made);
    return status;
  }
  double *next = made->rows + m->n_features * largest;
  for (size_t i = 0; i < USPI_PARTS; i++) {
    made->outputs[i] = next;
    next += m->parts[i] * largest;
  }
  *worker = made;
  return USP_OK;
}

void uspi_worker_give(const usp_model *model, uspi_worker *worker) {
  usp_model *owner = (usp_model *)model;
  pthread_mutex_lock(&owner->lock);
  worker->next = owner->idle;
  owner->idle = worker;
  pthread_mutex_unlock(&owner->lock);
}
