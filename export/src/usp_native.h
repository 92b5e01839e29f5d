/* The table by which a compiled model is called. One such table is in each libusp_<name>.so, beside this runtime:
**
**   cc  -std=c11 -O2 -fPIC -fvisibility=hidden -DUSP_EMBEDDED -Iexport/include -Iexport/src -c (each .c file of export/src)
**   c++ -shared *.o -Wl,--version-script=export/src/usp.map -Wl,-Bsymbolic -Wl,--no-undefined -lpthread -ldl -lm
**
** The file that defines usp_native_table includes this header, which makes the
** function visible and gives it C linkage. The manifest embedded here must be of format native, with "native" and with
** the entry of state.bin in "files". Without -Bsymbolic two such libraries in one process would take each other's. */
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
