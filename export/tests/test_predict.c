/* usp_predict on the hand-written model, any number of rows: test_predict FOLDER, "-" for the model inside the library. */
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "usp.h"

enum { K = 5, H = 2, F = 3, W = 4, T = 2 };
static const double normal[K] = {-2.5, -0.7, 0.0, 0.7, 2.5};

static int close_to(double a, double b) { return fabs(a - b) <= 1e-12 * (1 + fabs(b)); }

static void test_predict_rows(const usp_model *model, size_t n) {
  double *rows = calloc(n * F + 1, sizeof *rows), *q = calloc(n * H * K + 1, sizeof *q);
  double *mean = calloc(n * H + 1, sizeof *mean), *tails = calloc(n * H * 4 + 1, sizeof *tails);
  double *weights = calloc(n * H * W + 1, sizeof *weights), *telemetry = calloc(n * T + 1, sizeof *telemetry);
  usp_prediction out = {sizeof out, 0, q, n * H * K, 0, mean, n * H, 0, tails, n * H * 4, 0, weights, n * H * W, 0,
                        telemetry, n * T, 0};
  for (size_t i = 0; i < n * F; i++) rows[i] = 0.5 * (double)i;
  q[n * H * K] = mean[n * H] = tails[n * H * 4] = weights[n * H * W] = telemetry[n * T] = -77;
  OK(usp_predict(model, rows, n, F, &out));
  CHECK(out.quantiles_needed == n * H * K && out.mean_needed == n * H && out.tails_needed == n * H * 4);
  CHECK(out.weights_needed == n * H * W && out.telemetry_needed == n * T);
  for (size_t i = 0; i < n; i++) {
    double centre = rows[i * F] + 2 * rows[i * F + 1] + 3 * rows[i * F + 2];
    for (size_t h = 0; h < H; h++) {
      for (size_t k = 0; k < K; k++)
        CHECK(close_to(q[(i * H + h) * K + k], centre + normal[k] * (double)(h + 1)));
      CHECK(close_to(mean[i * H + h], centre + (double)h));
      CHECK(tails[(i * H + h) * 4] == 0.5 && tails[(i * H + h) * 4 + 3] == 0.25);
      CHECK(weights[(i * H + h) * W] == 0.5 && weights[(i * H + h) * W + 3] == 0.125);
    }
    CHECK(telemetry[i * T] == rows[i * F]);
    /* full batches of four first; a rest of two or three is padded to four, of one it is not */
    double batch = i < n / 4 * 4 || n % 4 >= 2 ? 4 : 1;
    CHECK(telemetry[i * T + 1] == batch);
  }
  CHECK(q[n * H * K] == -77 && mean[n * H] == -77 && tails[n * H * 4] == -77);
  CHECK(weights[n * H * W] == -77 && telemetry[n * T] == -77);
  if (n) {
    out.weights_capacity--;
    q[0] = -5;
    FAILS(USP_BUFFER_TOO_SMALL, "weights", usp_predict(model, rows, n, F, &out));
    CHECK(q[0] == -5);
    out.weights = NULL;
    FAILS(USP_NULL_POINTER, "'weights'", usp_predict(model, rows, n, F, &out));
    out.weights_capacity = 0;
    weights[0] = -5;
    OK(usp_predict(model, rows, n, F, &out));
    CHECK(q[0] != -5 && weights[0] == -5);
    rows[n * F - 1] = NAN;
    FAILS(USP_NOT_FINITE, "Column 2", usp_predict(model, rows, n, F, &out));
    rows[n * F - 1] = 0;
    rows[(n - 1) * F] = 1e300;
    FAILS(USP_BACKEND, "code -7", usp_predict(model, rows, n, F, &out));
    rows[(n - 1) * F] = 2e300;
    FAILS(USP_BACKEND, "not finite", usp_predict(model, rows, n, F, &out));
  }
  free(rows);
  free(q);
  free(mean);
  free(tails);
  free(weights);
  free(telemetry);
}

static void test_predict(const usp_model *model) {
  double row[F] = {1, 2, 3}, q[H * K];
  size_t n = 0;
  usp_prediction out = {.struct_size = sizeof out};
  for (size_t i = 0; i < 14; i++) test_predict_rows(model, i);
  OK(usp_predict(model, NULL, 3, F, &out)); /* how much room it takes */
  CHECK(out.quantiles_needed == 3 * H * K && out.telemetry_needed == 3 * T);
  out.quantiles = q;
  out.quantiles_capacity = H * K;
  FAILS(USP_NULL_POINTER, "'rows'", usp_predict(model, NULL, 1, F, &out));
  FAILS(USP_INVALID_ARGUMENT, "3 columns. Got 4", usp_predict(model, row, 1, 4, &out));
  FAILS(USP_INVALID_ARGUMENT, "rows", usp_predict(model, row, SIZE_MAX / 2, F, &out));
  out.flags = 1;
  FAILS(USP_UNSUPPORTED, "flags", usp_predict(model, row, 1, F, &out));
  out.struct_size = 8;
  FAILS(USP_INVALID_ARGUMENT, "struct_size", usp_predict(model, row, 1, F, &out));
  OK(usp_predict_quantiles(model, row, 1, F, NULL, 0, &n));
  CHECK(n == H * K);
  FAILS(USP_BUFFER_TOO_SMALL, "room for 9", usp_predict_quantiles(model, row, 1, F, q, 9, &n));
  OK(usp_predict_quantiles(model, row, 1, F, q, H * K, NULL));
  CHECK(close_to(q[0], 14 - 2.5) && close_to(q[H * K - 1], 14 + 5));
}

int main(int argc, char **argv) {
  usp_model *model = NULL;
  if (argc != 2) return 2;
  OK(usp_model_load(strcmp(argv[1], "-") ? argv[1] : NULL, NULL, &model));
  if (model) test_predict(model);
  usp_model_free(model);
  return check_report();
}
