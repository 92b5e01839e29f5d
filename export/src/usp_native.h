/* The table by which a compiled model is called. One such table is in each libusp_<name>.so. */
#ifndef USP_NATIVE_H
#define USP_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#include "usp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define USP_NATIVE_VERSION 1u

typedef struct usp_native_v1 {
  uint32_t struct_size, version; /* sizeof(usp_native_v1), USP_NATIVE_VERSION */
  const char *manifest;          /* embedded copy of manifest.json */
  size_t manifest_length;
  const double *state; /* embedded state.bin, or NULL, 0 */
  size_t state_length; /* in doubles */
  size_t n_batches;    /* compiled batch sizes of predict, ascending, the first is 1 */
  const size_t *batches;
  void *(*instance_new)(void); /* everything one thread needs; NULL when out of memory */
  void (*instance_free)(void *instance);
  /* outputs in the order of the signature: [state,] quantiles, mean, tails, weights, telemetry. 0 or a negative
  ** number. step is NULL if the model has none. */
  int (*predict)(void *instance, size_t which_batch, const double *rows, double *const outputs[5]);
  int (*step)(void *instance, const double *state, const double *y, double *const outputs[6]);
} usp_native_v1;

USP_API const usp_native_v1 *usp_native_table(void);

#ifdef __cplusplus
}
#endif

#endif
