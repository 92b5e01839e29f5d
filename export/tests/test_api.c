/* Every function of usp.h but for predict, on the hand-written model: test_api FOLDER SCRATCH, "-" for the model inside the library. */
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "usp.h"

enum { K = 5, H = 2, F = 3, W = 4, T = 2 };
static const double normal[K] = {-2.5, -0.7, 0.0, 0.7, 2.5};
static char path[4096];
static const char *scratch;

static const char *in_scratch(const char *name) {
  snprintf(path, sizeof path, "%s/%s", scratch, name);
  return path;
}

static int close_to(double a, double b) { return fabs(a - b) <= 1e-12 * (1 + fabs(b)); }

static void test_status(void) {
  CHECK(usp_abi_version() >= USP_ABI_VERSION);
  CHECK(!strcmp(usp_last_error(), ""));
  for (usp_status s = USP_OK; s <= USP_WRONG_MODEL; s++) {
    CHECK(strlen(usp_status_text(s)) > 1 && strcmp(usp_status_text(s), "unknown status"));
    for (usp_status t = 0; t < s; t++) CHECK(strcmp(usp_status_text(s), usp_status_text(t)));
  }
  CHECK(!strcmp(usp_status_text(-1), "unknown status"));
  CHECK(!strcmp(usp_status_text(USP_WRONG_MODEL + 1), "unknown status"));
  CHECK(!strcmp(usp_status_text(INT32_MAX), "unknown status"));
}

static void test_null(usp_model *model, usp_stream *stream) {
  double x = 0;
  uint64_t count;
  size_t n;
  usp_stream *made = stream;
  usp_prediction out = {.struct_size = sizeof out};
  usp_model_description info = {.struct_size = sizeof info};
  usp_model_free(NULL);
  usp_stream_free(NULL);
  FAILS(USP_NULL_POINTER, "'model' of usp_model_load", usp_model_load("x", NULL, NULL));
  FAILS(USP_NULL_POINTER, "'model'", usp_model_info(NULL, &info));
  FAILS(USP_NULL_POINTER, "'info'", usp_model_info(model, NULL));
  FAILS(USP_NULL_POINTER, "'model'", usp_model_levels(NULL, &x, 1, NULL));
  FAILS(USP_NULL_POINTER, "'out'", usp_model_levels(model, NULL, 5, &n));
  FAILS(USP_NULL_POINTER, "'out'", usp_model_levels(model, NULL, 0, NULL));
  FAILS(USP_NULL_POINTER, "'model'", usp_model_horizons(NULL, NULL, 0, NULL));
  CHECK(!usp_model_telemetry_name(NULL, 0) && strstr(usp_last_error(), "'model'"));
  FAILS(USP_NULL_POINTER, "'model'", usp_predict(NULL, &x, 1, 1, &out));
  FAILS(USP_NULL_POINTER, "'out'", usp_predict(model, &x, 1, F, NULL));
  FAILS(USP_NULL_POINTER, "'model'", usp_predict_quantiles(NULL, &x, 1, F, &x, 1, NULL));
  FAILS(USP_NULL_POINTER, "'stream'", usp_stream_new(model, NULL));
  FAILS(USP_NULL_POINTER, "'model'", usp_stream_new(NULL, &made));
  CHECK(!made);
  FAILS(USP_NULL_POINTER, "'stream'", usp_stream_push(NULL, &x, 1, NULL, 0, NULL));
  FAILS(USP_NULL_POINTER, "'y'", usp_stream_push(stream, NULL, 2, NULL, 0, NULL));
  FAILS(USP_NULL_POINTER, "'quantiles'", usp_stream_push(stream, &x, 2, NULL, 10, NULL));
  FAILS(USP_NULL_POINTER, "'stream'", usp_stream_count(NULL, &count));
  FAILS(USP_NULL_POINTER, "'count'", usp_stream_count(stream, NULL));
  FAILS(USP_NULL_POINTER, "usp_stream_quantiles", usp_stream_quantiles(NULL, &x, 1, NULL));
  FAILS(USP_NULL_POINTER, "usp_stream_mean", usp_stream_mean(NULL, &x, 1, NULL));
  FAILS(USP_NULL_POINTER, "usp_stream_tails", usp_stream_tails(NULL, &x, 1, NULL));
  FAILS(USP_NULL_POINTER, "usp_stream_weights", usp_stream_weights(NULL, &x, 1, NULL));
  FAILS(USP_NULL_POINTER, "usp_stream_telemetry", usp_stream_telemetry(NULL, &x, 1, NULL));
  FAILS(USP_NULL_POINTER, "'stream'", usp_stream_quantile(NULL, 0, 0.5, &x));
  FAILS(USP_NULL_POINTER, "'value'", usp_stream_quantile(stream, 0, 0.5, NULL));
  FAILS(USP_NULL_POINTER, "'stream'", usp_stream_save(NULL, "x"));
  FAILS(USP_NULL_POINTER, "'path'", usp_stream_save(stream, NULL));
  FAILS(USP_NULL_POINTER, "'stream'", usp_stream_load(model, "x", NULL));
  FAILS(USP_NULL_POINTER, "'model'", usp_stream_load(NULL, "x", &made));
  FAILS(USP_NULL_POINTER, "'path'", usp_stream_load(model, NULL, &made));
  CHECK(!strstr(usp_last_error(), "usp_predict"));
}

static void test_load_options(const char *folder) {
  usp_model *model = (usp_model *)&model;
  struct {
    usp_load_options known;
    uint64_t later;
  } options = {{.struct_size = 0}, 0};
  FAILS(USP_INVALID_ARGUMENT, "struct_size", usp_model_load(folder, &options.known, &model));
  CHECK(!model);
  options.known.struct_size = sizeof options;
  OK(usp_model_load(folder, &options.known, &model));
  usp_model_free(model);
  options.later = 1;
  FAILS(USP_UNSUPPORTED, "unknown option", usp_model_load(folder, &options.known, &model));
  CHECK(!model);
  options.known.struct_size = sizeof options.known;
  OK(usp_model_load(folder, &options.known, &model));
  usp_model_free(model);
  options.known.flags = 1;
  FAILS(USP_UNSUPPORTED, "flags", usp_model_load(folder, &options.known, &model));
  FAILS(USP_NOT_FOUND, "manifest.json", usp_model_load(in_scratch("nowhere"), NULL, &model));
  FAILS(USP_NOT_FOUND, "manifest.json", usp_model_load("", NULL, &model));
}

static void test_description(const usp_model *model) {
  usp_model_description info = {.struct_size = sizeof info};
  double levels[K + 1] = {0, 0, 0, 0, 0, -1};
  uint32_t horizons[H];
  size_t n = 0;
  OK(usp_model_info(model, &info));
  CHECK(info.struct_size == sizeof info && info.has_step == 1 && info.n_levels == K && info.n_horizons == H);
  CHECK(info.n_features == F && info.n_exogenous == 1 && info.n_telemetry == T && info.n_weights == W);
  CHECK(info.n_state == 4 && !strcmp(info.format, "native") && !strcmp(info.dtype, "float64"));
  CHECK(!strcmp(info.name, "fake \xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80"));
  info.struct_size = 4;
  FAILS(USP_INVALID_ARGUMENT, "struct_size", usp_model_info(model, &info));
  OK(usp_model_levels(model, NULL, 0, &n));
  CHECK(n == K);
  n = 0;
  FAILS(USP_BUFFER_TOO_SMALL, "room for 4", usp_model_levels(model, levels, K - 1, &n));
  CHECK(n == K && levels[0] == 0);
  OK(usp_model_levels(model, levels, K + 1, NULL));
  CHECK(levels[0] == 0.005 && levels[2] == 0.5 && levels[4] == 0.995 && levels[5] == -1);
  OK(usp_model_horizons(model, horizons, H, &n));
  CHECK(n == H && horizons[0] == 1 && horizons[1] == 2);
  FAILS(USP_BUFFER_TOO_SMALL, "room for 1", usp_model_horizons(model, horizons, 1, &n));
  CHECK(!strcmp(usp_model_telemetry_name(model, 0), "count"));
  CHECK(!strcmp(usp_model_telemetry_name(model, 1), "nothing"));
  CHECK(!usp_model_telemetry_name(model, 2) && strstr(usp_last_error(), "no number 2"));
}

/* The law after each push, by the recursion that fake_native.c documents. */
static void test_push(const usp_model *model) {
  usp_stream *stream;
  double average = 10, variance = 4, q[H * K + 1], part[H * W], x;
  uint64_t count;
  size_t n = 0;
  OK(usp_stream_new(model, &stream));
  FAILS(USP_NO_LAW, "push", usp_stream_quantiles(stream, q, H * K, &n));
  CHECK(n == H * K);
  FAILS(USP_NO_LAW, "push", usp_stream_mean(stream, part, H, NULL));
  FAILS(USP_NO_LAW, "push", usp_stream_tails(stream, part, H * 4, NULL));
  FAILS(USP_NO_LAW, "push", usp_stream_weights(stream, part, H * W, NULL));
  FAILS(USP_NO_LAW, "push", usp_stream_telemetry(stream, part, T, NULL));
  FAILS(USP_NO_LAW, "push", usp_stream_quantile(stream, 0, 0.5, &x));
  q[H * K] = -77;
  for (int t = 0; t < 50; t++) {
    double y[2] = {10 + sin(t), 0.25 * t}, before[H * K];
    double bad[][2] = {{NAN, 0}, {0, INFINITY}, {-INFINITY, 0}, {1e300, 0}, {2e300, 0}};
    memcpy(before, q, sizeof before);
    for (size_t i = 0; i < 5; i++) {
      usp_status expected = i < 3 ? USP_NOT_FINITE : USP_BACKEND;
      FAILS(expected, i < 3 ? "Value" : i == 3 ? "code -7" : "not finite",
            usp_stream_push(stream, bad[i], 2, q, H * K, &n));
    }
    FAILS(USP_INVALID_ARGUMENT, "1 value and 1 exogenous", usp_stream_push(stream, y, 1, q, H * K, &n));
    FAILS(USP_INVALID_ARGUMENT, "Got 3", usp_stream_push(stream, y, 3, q, H * K, &n));
    n = 0;
    FAILS(USP_BUFFER_TOO_SMALL, "room for 9", usp_stream_push(stream, y, 2, q, H * K - 1, &n));
    CHECK(n == H * K && !memcmp(before, q, sizeof before));
    OK(usp_stream_count(stream, &count));
    CHECK(count == (uint64_t)t);
    if (t) {
      OK(usp_stream_quantiles(stream, q, H * K, NULL));
      CHECK(!memcmp(before, q, sizeof before));
    }
    OK(t % 2 ? usp_stream_push(stream, y, 2, NULL, 0, NULL) : usp_stream_push(stream, y, 2, q, H * K + 1, &n));
    if (t % 2) OK(usp_stream_quantiles(stream, q, H * K, &n));
    double miss = y[0] - average;
    average += miss / 4;
    variance = (variance + miss * miss / 4) * 3 / 4;
    for (size_t i = 0; i < H * K; i++)
      CHECK(close_to(q[i], average + y[1] + normal[i % K] * (1 + sqrt(variance)) * (double)(i / K + 1)));
    CHECK(q[H * K] == -77);
    OK(usp_stream_mean(stream, part, H, &n));
    CHECK(n == H && close_to(part[0], average + y[1]) && close_to(part[1], average + y[1] + 1));
    OK(usp_stream_telemetry(stream, part, T, &n));
    CHECK(n == T && part[0] == t + 1 && isnan(part[1]));
  }
  OK(usp_stream_tails(stream, part, H * 4, &n));
  CHECK(n == H * 4 && part[0] == 0.5 && part[5] == 0.75 && part[7] == 0.25);
  OK(usp_stream_weights(stream, part, H * W, &n));
  CHECK(n == H * W && part[0] == 0.5 && part[7] == 0.125);
  OK(usp_stream_weights(stream, NULL, 0, &n));
  FAILS(USP_BUFFER_TOO_SMALL, "room for 7", usp_stream_weights(stream, part, 7, NULL));
  usp_stream_free(stream);
}

static void test_quantile(const usp_model *model) {
  usp_stream *stream;
  double y[2] = {11, 1}, q[H * K], x;
  OK(usp_stream_new(model, &stream));
  OK(usp_stream_push(stream, y, 2, q, H * K, NULL));
  double levels[K] = {0.005, 0.25, 0.5, 0.75, 0.995};
  for (size_t i = 0; i < H * K; i++) {
    OK(usp_stream_quantile(stream, i / K, levels[i % K], &x));
    CHECK(close_to(x, q[i]));
  }
  OK(usp_stream_quantile(stream, 1, 0.6, &x));
  CHECK(close_to(x, 0.6 * q[K + 2] + 0.4 * q[K + 3]));
  OK(usp_stream_quantile(stream, 0, 0.0001, &x)); /* 0.5 (50^0.125 - 1) / 0.125 = 4 (1.6306675... - 1) */
  CHECK(close_to(x, q[0] - 4 * (pow(50, 0.125) - 1)));
  OK(usp_stream_quantile(stream, 1, 1 - 1e-6, &x));
  CHECK(fabs(x - (q[2 * K - 1] + 3 * (pow(5000, 0.25) - 1))) < 1e-8);
  OK(usp_stream_quantile(stream, 0, 5e-324, &x));
  CHECK(isfinite(x) && x < q[0] - 1e38);
  for (double u = 0.0005, last = -INFINITY; u < 1; u += 0.0005, last = x) {
    OK(usp_stream_quantile(stream, 0, u, &x));
    CHECK(x >= last);
  }
  double outside[] = {0, 1, -0.5, 1.5, NAN, INFINITY};
  for (size_t i = 0; i < 6; i++)
    FAILS(USP_INVALID_ARGUMENT, "between 0 and 1", usp_stream_quantile(stream, 0, outside[i], &x));
  FAILS(USP_INVALID_ARGUMENT, "no number 2", usp_stream_quantile(stream, 2, 0.5, &x));
  usp_stream_free(stream);
}

/* Two streams that get the same values, one of them by way of a file each time. */
static void test_save(const usp_model *model) {
  usp_stream *first, *second, *third;
  double q[H * K], p[H * K], y[2];
  uint64_t count;
  OK(usp_stream_new(model, &first));
  OK(usp_stream_new(model, &second));
  for (int t = 0; t < 10; t++) {
    OK(usp_stream_save(second, in_scratch("saved")));
    usp_stream_free(second);
    OK(usp_stream_load(model, in_scratch("saved"), &second));
    OK(usp_stream_count(second, &count));
    CHECK(count == (uint64_t)t);
    if (t) {
      OK(usp_stream_quantiles(second, p, H * K, NULL));
      CHECK(!memcmp(p, q, sizeof p));
    } else {
      FAILS(USP_NO_LAW, "push", usp_stream_quantiles(second, p, H * K, NULL));
    }
    y[0] = 3.0 * t;
    y[1] = -t;
    OK(usp_stream_push(first, y, 2, q, H * K, NULL));
    OK(usp_stream_push(second, y, 2, p, H * K, NULL));
    CHECK(!memcmp(p, q, sizeof p));
  }
  FAILS(USP_NOT_FOUND, "nowhere", usp_stream_save(first, in_scratch("nowhere/saved")));
  FAILS(USP_IO, "", usp_stream_save(first, scratch)); /* a folder */
  FAILS(USP_NOT_FOUND, "missing", usp_stream_load(model, in_scratch("missing"), &third));
  CHECK(!third);
  FAILS(USP_IO, "not a regular file", usp_stream_load(model, scratch, &third));
  FAILS(USP_IO, "not a regular file", usp_stream_load(model, "/dev/zero", &third));
  usp_stream_free(first);
  usp_stream_free(second);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const char *folder = strcmp(argv[1], "-") ? argv[1] : NULL;
  scratch = argv[2];
  test_status();
  usp_model *model = NULL, *none = NULL;
  usp_stream *stream = NULL;
  OK(usp_model_load(folder, NULL, &model));
  if (folder) FAILS(USP_UNSUPPORTED, "built into", usp_model_load(NULL, NULL, &none));
  if (!model) return check_report();
  test_load_options(folder);
  test_description(model);
  test_push(model);
  test_quantile(model);
  test_save(model);
  OK(usp_stream_new(model, &stream));
  test_null(model, stream);
  usp_model_free(model); /* the stream goes on */
  OK(usp_stream_push(stream, (double[]){1, 2}, 2, NULL, 0, NULL));
  usp_stream_free(stream);
  return check_report();
}
