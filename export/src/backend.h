/* What computes a model: compiled code, or TensorFlow. */
#ifndef USPI_BACKEND_H
#define USPI_BACKEND_H

#include <stddef.h>

#include "manifest.h"
#include "usp.h"
#include "usp_native.h"

/* shared is the engine's and belongs to the model; an instance belongs to one thread at a time. Instances are NULL for
** engines that need none. Arrays hold doubles. */
typedef struct uspi_engine {
  usp_status (*instance_new)(void *shared, void **instance);
  void (*instance_free)(void *shared, void *instance);
  usp_status (*predict)(void *shared, void *instance, size_t which_batch, const double *rows, double *const *outputs);
  usp_status (*step)(void *shared, void *instance, const double *state, const double *y, double *const *outputs);
  void (*close)(void *shared);
} uspi_engine;

typedef struct uspi_backend {
  const uspi_engine *engine; /* NULL before it is open */
  void *shared;
  size_t n_batches; /* rows that predict takes at a time, ascending from 1 */
  const size_t *batches;
} uspi_backend;

/* The table inside this library, or NULL if it was built without a model. */
const usp_native_v1 *uspi_native_embedded(void);

/* Checks the table's version; before anything else of it is used. */
usp_status uspi_native_check(const usp_native_v1 *table);

/* Compiled code of this table (folder NULL), or of the library in the folder (table NULL). The manifest must outlive
** the backend. */
usp_status uspi_native_open(const usp_native_v1 *table, const char *folder, const uspi_manifest *manifest,
                            uspi_backend *backend);

/* A SavedModel, run by the TensorFlow library at that path (NULL: found as usp_load_options says). */
usp_status uspi_tensorflow_open(const char *folder, const char *library, const uspi_manifest *manifest,
                                uspi_backend *backend);

#endif
