/* A push allocates nothing: test_allocation FOLDER. The program's own malloc counts; the library's calls come here. */
#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "usp.h"

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
static atomic_ulong calls;

#define SEEN __attribute__((visibility("default"))) /* by the library */

SEEN void *malloc(size_t n) {
  calls++;
  return __libc_malloc(n);
}

SEEN void *calloc(size_t n, size_t size) {
  calls++;
  return __libc_calloc(n, size);
}

SEEN void *realloc(void *p, size_t n) {
  calls++;
  return __libc_realloc(p, n);
}

SEEN void *aligned_alloc(size_t a, size_t n) {
  calls++;
  return __libc_memalign(a, n);
}

SEEN int posix_memalign(void **p, size_t a, size_t n) {
  calls++;
  *p = __libc_memalign(a, n);
  return *p ? 0 : 12;
}

int main(int argc, char **argv) {
  usp_model *model = NULL;
  usp_stream *stream = NULL;
  double q[10], x, y[2] = {1, 2};
  if (argc != 2) return 2;
  OK(usp_model_load(argv[1], NULL, &model));
  unsigned long before = calls;
  OK(usp_stream_new(model, &stream));
  CHECK(calls > before); /* it does count */
  before = calls;
  usp_status all = USP_OK;
  for (int i = 0; i < 1000; i++) {
    y[0] = i;
    all |= usp_stream_push(stream, y, 2, q, 10, NULL) | usp_stream_quantile(stream, 0, 0.001, &x);
  }
  CHECK(calls == before && all == USP_OK);
  FAILS(USP_INVALID_ARGUMENT, "Got 1", usp_stream_push(stream, y, 1, q, 10, NULL)); /* this may, once per thread */
  usp_stream_free(stream);
  usp_model_free(model);
  return check_report();
}
