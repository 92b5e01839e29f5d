/* Eight threads with eight streams each, and predictions beside them, give what one thread gives: test_threads FOLDER,
** "-" for the model inside the library. */
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "usp.h"

enum { THREADS = 8, STREAMS = 8, PUSHES = 200, ROWS = 7 };

static const usp_model *model;
static usp_model_description about;
static pthread_barrier_t start;

typedef struct {
  size_t number;
  int failures;
  double laws[STREAMS][PUSHES]; /* the median of each law, and a sum of the predictions */
  double predictions;
} work;

static void *run(void *argument) {
  work *w = argument;
  usp_stream *streams[STREAMS];
  size_t k = about.n_levels * about.n_horizons, n;
  double *q = calloc(k * ROWS, sizeof *q), *rows = calloc(about.n_features * ROWS, sizeof *rows);
  double *y = calloc(1 + about.n_exogenous, sizeof *y);
  char words[64];
  pthread_barrier_wait(&start);
  for (size_t s = 0; s < STREAMS; s++) w->failures += usp_stream_new(model, &streams[s]) != USP_OK;
  for (size_t t = 0; t < PUSHES && !w->failures; t++) {
    for (size_t s = 0; s < STREAMS; s++) {
      y[0] = 10 + (double)((t * 37 + s * 11 + w->number * 101) % 17) / 4;
      w->failures += usp_stream_push(streams[s], y, 1 + about.n_exogenous, q, k, NULL) != USP_OK;
      w->laws[s][t] = q[k / 2];
    }
    for (size_t i = 0; i < about.n_features * ROWS; i++) rows[i] = 10 + (double)((i + t + w->number) % 5);
    w->failures += usp_predict_quantiles(model, rows, ROWS, about.n_features, q, k * ROWS, NULL) != USP_OK;
    for (size_t i = 0; i < k * ROWS; i++) w->predictions += q[i];
    /* each thread has a message of its own */
    n = 100 + w->number;
    w->failures += usp_stream_push(streams[0], y, n, NULL, 0, NULL) != USP_INVALID_ARGUMENT;
    snprintf(words, sizeof words, "Got %zu instead", n);
    w->failures += strstr(usp_last_error(), words) == NULL;
  }
  for (size_t s = 0; s < STREAMS; s++) usp_stream_free(streams[s]);
  free(q);
  free(rows);
  free(y);
  return NULL;
}

int main(int argc, char **argv) {
  usp_model *loaded = NULL;
  if (argc != 2) return 2;
  OK(usp_model_load(strcmp(argv[1], "-") ? argv[1] : NULL, NULL, &loaded));
  if (!loaded) return check_report();
  model = loaded;
  about.struct_size = sizeof about;
  OK(usp_model_info(model, &about));
  work *serial = calloc(THREADS, sizeof *serial), *parallel = calloc(THREADS, sizeof *parallel);
  pthread_barrier_init(&start, NULL, 1);
  for (size_t i = 0; i < THREADS; i++) {
    serial[i].number = parallel[i].number = i;
    run(&serial[i]);
  }
  pthread_barrier_destroy(&start);
  pthread_barrier_init(&start, NULL, THREADS);
  pthread_t threads[THREADS];
  for (size_t i = 0; i < THREADS; i++) CHECK(!pthread_create(&threads[i], NULL, run, &parallel[i]));
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (size_t i = 0; i < THREADS; i++) {
    CHECK(!serial[i].failures && !parallel[i].failures);
    CHECK(!memcmp(serial[i].laws, parallel[i].laws, sizeof serial[i].laws));
    CHECK(serial[i].predictions == parallel[i].predictions && serial[i].predictions != 0);
  }
  CHECK(memcmp(serial[0].laws, serial[1].laws, sizeof serial[0].laws));
  pthread_barrier_destroy(&start);
  free(serial);
  free(parallel);
  usp_model_free(loaded);
  return check_report();
}
