#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "error.h"
#include "file.h"

typedef struct {
  const usp_native_v1 *table;
  void *library; /* NULL when the table is in this one */
} shared_native;

#ifdef USP_EMBEDDED
const usp_native_v1 *uspi_native_embedded(void) { return usp_native_table(); }
#else
const usp_native_v1 *uspi_native_embedded(void) { return NULL; }
#endif

static usp_status failed(const char *what, int code) {
  return uspi_fail(USP_BACKEND, "The compiled code of %s failed with code %d.", what, code);
}

static usp_status instance_new(void *shared, void **instance) {
  *instance = ((shared_native *)shared)->table->instance_new();
  return *instance ? USP_OK : uspi_no_memory();
}

static void instance_free(void *shared, void *instance) {
  if (instance) ((shared_native *)shared)->table->instance_free(instance);
}

static usp_status predict(void *shared, void *instance, size_t which, const double *rows, double *const *outputs) {
  int code = ((shared_native *)shared)->table->predict(instance, which, rows, outputs);
  return code ? failed("predict", code) : USP_OK;
}

static usp_status step(void *shared, void *instance, const double *state, const double *y, double *const *outputs) {
  int code = ((shared_native *)shared)->table->step(instance, state, y, outputs);
  return code ? failed("step", code) : USP_OK;
}

static void close_native(void *shared) {
  shared_native *native = shared;
  if (native->library) dlclose(native->library);
  free(native);
}

static const uspi_engine engine = {instance_new, instance_free, predict, step, close_native};

usp_status uspi_native_check(const usp_native_v1 *table) {
  if (!table || table->version != USP_NATIVE_VERSION || table->struct_size < sizeof *table)
    return uspi_fail(USP_VERSION, "The compiled model has a table of another version than %u.", USP_NATIVE_VERSION);
  if (!table->manifest || !table->instance_new || !table->instance_free || !table->predict || !table->batches)
    return uspi_fail(USP_CORRUPT, "The table of the compiled model is not complete.");
  return USP_OK;
}

/* The code must be of the model that the manifest describes: it reads and writes arrays of its own sizes. */
static usp_status agree(const usp_native_v1 *table, const uspi_manifest *m) {
  if (table->n_batches != m->n_batches || memcmp(table->batches, m->batches, m->n_batches * sizeof *m->batches) ||
      (table->step != NULL) != m->has_step || table->state_length != m->n_state || (m->n_state && !table->state))
    return uspi_fail(USP_CORRUPT, "The compiled model is not the one that its manifest describes.");
  return USP_OK;
}

/* The same of the manifest in the folder and the one inside the library. */
static usp_status agree_folder(const usp_native_v1 *table, const uspi_manifest *m) {
  uspi_manifest inside;
  usp_status status = uspi_manifest_parse(table->manifest, table->manifest_length, &inside);
  if (!status && (inside.n_features != m->n_features || inside.n_exogenous != m->n_exogenous ||
                  inside.n_state != m->n_state || inside.n_levels != m->n_levels ||
                  inside.n_horizons != m->n_horizons || memcmp(inside.parts, m->parts, sizeof m->parts)))
    status = uspi_fail(USP_CORRUPT, "The compiled model is not the one that manifest.json describes.");
  uspi_manifest_free(&inside);
  return status;
}

static usp_status open_library(const char *folder, const uspi_manifest *m, shared_native *native) {
  const usp_native_v1 *(*get)(void);
  char *path;
  if (!uspi_manifest_file(m, m->library))
    return uspi_fail(USP_CORRUPT, "manifest.json: 'files' does not list the library '%s'.", m->library);
  if (!(path = uspi_file_path(folder, m->library))) return uspi_no_memory();
  native->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  free(path);
  if (!native->library) return uspi_fail(USP_BACKEND, "Could not load the compiled model: %s.", dlerror());
  void *symbol = dlsym(native->library, "usp_native_table");
  if (!symbol) return uspi_fail(USP_BACKEND, "'%s' does not export usp_native_table.", m->library);
  memcpy(&get, &symbol, sizeof get); /* ISO C has no conversion from void * to a function pointer */
  native->table = get();
  return USP_OK;
}

usp_status uspi_native_open(const usp_native_v1 *table, const char *folder, const uspi_manifest *manifest,
                            uspi_backend *backend) {
  shared_native *native = calloc(1, sizeof *native);
  if (!native) return uspi_no_memory();
  native->table = table;
  usp_status status = table ? USP_OK : open_library(folder, manifest, native);
  if (!status) status = uspi_native_check(native->table);
  if (!status) status = agree(native->table, manifest);
  if (!status && folder) status = agree_folder(native->table, manifest);
  if (status) {
    close_native(native);
    return status;
  }
  *backend = (uspi_backend){&engine, native, manifest->n_batches, manifest->batches};
  return USP_OK;
}
