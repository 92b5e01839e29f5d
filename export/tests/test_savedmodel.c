/* A SavedModel of the hand-written model does what the compiled one does: test_savedmodel NATIVE SAVED SCRATCH DTYPE
** LIBRARY. */
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "usp.h"

enum { K = 5, H = 2, F = 3, W = 4, T = 2, MOST = 130 };
static double tolerance;

static void compare(const double *a, const double *b, size_t n) {
  double worst = 0;
  for (size_t i = 0; i < n; i++) worst = fmax(worst, fabs(a[i] - b[i]) / (1 + fabs(a[i])));
  CHECK(worst <= tolerance);
}

static void test_predict(const usp_model *native, const usp_model *saved) {
  static double rows[MOST * F], q[2][MOST * H * K], mean[2][MOST * H], telemetry[MOST * T];
  const size_t sizes[] = {0, 1, 2, 31, 32, 63, 64, 65, MOST};
  for (size_t i = 0; i < MOST * F; i++) rows[i] = sin((double)i) * 10;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    size_t n = sizes[i];
    usp_prediction out = {.struct_size = sizeof out, .quantiles = q[0], .quantiles_capacity = MOST * H * K,
                          .mean = mean[0], .mean_capacity = MOST * H};
    OK(usp_predict(native, rows, n, F, &out));
    out.quantiles = q[1];
    out.mean = mean[1];
    out.telemetry = telemetry;
    out.telemetry_capacity = MOST * T;
    OK(usp_predict(saved, rows, n, F, &out));
    compare(q[0], q[1], n * H * K);
    compare(mean[0], mean[1], n * H);
    /* one or sixty-four at a time, nothing else: each number of rows is compiled */
    for (size_t r = 0; r < n; r++) CHECK(telemetry[r * T + 1] == 1 || telemetry[r * T + 1] == 64);
    if (n) CHECK(fabs(telemetry[(n - 1) * T] - rows[(n - 1) * F]) <= tolerance * 11);
  }
}

static void test_push(const usp_model *native, const usp_model *saved, const char *scratch) {
  usp_stream *streams[2];
  double y[2], q[2][H * K], part[2][H * W], before[H * K];
  uint64_t count;
  char path[4096];
  snprintf(path, sizeof path, "%s/moved", scratch);
  OK(usp_stream_new(native, &streams[0]));
  OK(usp_stream_new(saved, &streams[1]));
  for (int t = 0; t < 100; t++) {
    if (t == 40) { /* the compiled model's stream goes on as the other's */
      OK(usp_stream_save(streams[0], path));
      usp_stream_free(streams[1]);
      OK(usp_stream_load(saved, path, &streams[1]));
      OK(usp_stream_count(streams[1], &count));
      CHECK(count == 40);
    }
    if (t) {
      OK(usp_stream_quantiles(streams[1], before, H * K, NULL));
      y[0] = 1e200; /* its square is infinite */
      FAILS(USP_BACKEND, "not finite", usp_stream_push(streams[1], y, 2, q[1], H * K, NULL));
      FAILS(USP_NOT_FINITE, "Value 1", usp_stream_push(streams[1], (double[]){1, NAN}, 2, q[1], H * K, NULL));
      OK(usp_stream_quantiles(streams[1], q[1], H * K, NULL));
      CHECK(!memcmp(before, q[1], sizeof before));
    }
    y[0] = 10 + cos(t);
    y[1] = 0.125 * t;
    for (int i = 0; i < 2; i++) OK(usp_stream_push(streams[i], y, 2, q[i], H * K, NULL));
    compare(q[0], q[1], H * K);
    for (int i = 0; i < 2; i++) OK(usp_stream_mean(streams[i], part[i], H, NULL));
    compare(part[0], part[1], H);
    for (int i = 0; i < 2; i++) OK(usp_stream_tails(streams[i], part[i], H * 4, NULL));
    compare(part[0], part[1], H * 4);
    for (int i = 0; i < 2; i++) OK(usp_stream_weights(streams[i], part[i], H * W, NULL));
    compare(part[0], part[1], H * W);
    OK(usp_stream_telemetry(streams[1], part[1], T, NULL));
    CHECK(part[1][0] == t + 1 && isnan(part[1][1]));
  }
  usp_stream_free(streams[0]);
  usp_stream_free(streams[1]);
}

int main(int argc, char **argv) {
  usp_model *native = NULL, *saved = NULL;
  usp_load_options options = {.struct_size = sizeof options};
  usp_model_description info = {.struct_size = sizeof info};
  if (argc != 6) return 2;
  tolerance = strcmp(argv[4], "float64") ? 1e-5 : 1e-14;
  OK(usp_model_load(argv[1], NULL, &native));
  options.tensorflow_library = "/nowhere/libtensorflow_cc.so.2";
  FAILS(USP_NOT_FOUND, "needs TensorFlow", usp_model_load(argv[2], &options, &saved));
  options.tensorflow_library = "libm.so.6";
  FAILS(USP_BACKEND, "not a library of TensorFlow", usp_model_load(argv[2], &options, &saved));
  options.tensorflow_library = argv[5];
  OK(usp_model_load(argv[2], &options, &saved));
  if (!native || !saved) return check_report();
  OK(usp_model_info(saved, &info));
  CHECK(info.has_step && info.n_levels == K && info.n_horizons == H && info.n_features == F && info.n_state == 4);
  CHECK(!strcmp(info.format, "savedmodel") && !strcmp(info.dtype, argv[4]));
  test_predict(native, saved);
  test_push(native, saved, argv[3]);
  usp_model_free(native);
  usp_model_free(saved);
  return check_report();
}
