/* A hand-written model in place of a compiled one: two horizons, five levels, one exogenous value, four numbers of
** state. Its state is (average, variance, count, exogenous): an exponential average that anyone can follow by hand.
** Some values make it fail, so that failures can be tested: 1e300 returns -7, 2e300 issues a law that is not finite.
** An instance that two threads enter at once returns -9. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fake_manifest.h" /* fake_manifest_text, fake_state: written by fake_model.py */
#include "usp_native.h"

#ifdef FAKE_DAMAGE /* a state that is not the one of the manifest */
static const double state_inside[4] = {10.0, 4.0, 0.0, 1.0};
#else
#define state_inside fake_state
#endif
#ifndef FAKE_VERSION
#define FAKE_VERSION USP_NATIVE_VERSION
#endif

enum { LEVELS = 5, HORIZONS = 2, FEATURES = 3, BATCHES = 2 };
static const double normal[LEVELS] = {-2.5, -0.7, 0.0, 0.7, 2.5};
static const size_t batches[BATCHES] = {1, 4};

typedef struct {
  atomic_int inside;
} instance;

static void *instance_new(void) { return calloc(1, sizeof(instance)); }

static void instance_free(void *one) { free(one); }

static void law(double centre, double scale, double *const outputs[5], size_t row) {
  for (size_t h = 0; h < HORIZONS; h++) {
    size_t at = row * HORIZONS + h;
    for (size_t k = 0; k < LEVELS; k++)
      outputs[0][at * LEVELS + k] = centre + normal[k] * scale * (double)(h + 1);
    outputs[1][at] = centre + (double)h;
    for (size_t i = 0; i < 4; i++) {
      outputs[2][at * 4 + i] = (double[]){0.5, 0.75, 0.125, 0.25}[i];
      outputs[3][at * 4 + i] = (double[]){0.5, 0.25, 0.125, 0.125}[i];
    }
  }
}

static int predict(void *one, size_t which, const double *rows, double *const outputs[5]) {
  if (atomic_exchange(&((instance *)one)->inside, 1)) return -9;
  int code = 0;
  for (size_t row = 0; row < batches[which]; row++) {
    const double *x = rows + row * FEATURES;
    law(x[0] == 2e300 ? (double)NAN : x[0] + 2 * x[1] + 3 * x[2], 1.0, outputs, row);
    outputs[4][row * 2] = x[0];
    outputs[4][row * 2 + 1] = (double)batches[which];
    if (x[0] == 1e300) code = -7;
  }
  atomic_store(&((instance *)one)->inside, 0);
  return code;
}

static int step(void *one, const double *state, const double *y, double *const outputs[6]) {
  if (atomic_exchange(&((instance *)one)->inside, 1)) return -9;
  double miss = y[0] - state[0], average = state[0] + 0.25 * miss;
  double variance = 0.75 * (state[1] + 0.25 * miss * miss);
  memcpy(outputs[0], (double[]){average, variance, state[2] + 1, y[1]}, 4 * sizeof(double));
  law(y[0] == 2e300 ? (double)NAN : average + y[1], 1.0 + sqrt(variance), outputs + 1, 0);
  outputs[5][0] = state[2] + 1;
  outputs[5][1] = NAN; /* telemetry may */
  atomic_store(&((instance *)one)->inside, 0);
  return y[0] == 1e300 ? -7 : 0;
}

const usp_native_v1 *usp_native_table(void) {
  static const usp_native_v1 table = {
      sizeof(usp_native_v1), FAKE_VERSION, (const char *)fake_manifest_text, sizeof fake_manifest_text,
      state_inside, 4, BATCHES, batches, instance_new, instance_free, predict, step};
  return &table;
}
