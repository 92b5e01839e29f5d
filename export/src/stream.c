#include "stream.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "law.h"

double *uspi_stream_part(const usp_stream *stream, double *law, size_t part) {
  for (size_t i = 0; i < part; i++) law += stream->model->manifest.parts[i];
  return law;
}

usp_status usp_stream_new(const usp_model *model, usp_stream **stream) {
  if (!stream) return uspi_null("usp_stream_new", "stream");
  *stream = NULL;
  if (!model) return uspi_null("usp_stream_new", "model");
  const uspi_manifest *m = &model->manifest;
  if (!m->has_step) return uspi_fail(USP_UNSUPPORTED, "The model '%.64s' was exported without a step.", m->name);
  /* States begin on a cache line: compiled code then uses them where they lie. */
  const size_t line = 8, room = (m->n_state + line - 1) / line * line;
  usp_stream *made = calloc(1, sizeof *made + (line + 2 * (room + m->law)) * sizeof(double));
  if (!made) return uspi_no_memory();
  usp_status status = model->backend.engine->instance_new(model->backend.shared, &made->instance);
  if (status) {
    free(made);
    return status;
  }
  made->model = model;
  made->state = made->values;
  while ((uintptr_t)made->state % (line * sizeof(double))) made->state++;
  made->spare_state = made->state + room;
  made->law = made->spare_state + room;
  made->spare_law = made->law + m->law;
  memcpy(made->state, model->state, m->n_state * sizeof(double));
  uspi_model_hold(model);
  *stream = made;
  return USP_OK;
}

void usp_stream_free(usp_stream *stream) {
  if (!stream) return;
  const usp_model *model = stream->model;
  model->backend.engine->instance_free(model->backend.shared, stream->instance);
  free(stream);
  uspi_model_drop(model);
}

/* Everything that can be wrong with a push is found before the engine is asked. */
static usp_status check_push(const usp_stream *stream, const double *y, size_t n_y, const double *quantiles,
                             size_t capacity) {
  const uspi_manifest *m = &stream->model->manifest;
  if (!y) return uspi_null("usp_stream_push", "y");
  if (!quantiles && capacity) return uspi_null("usp_stream_push", "quantiles");
  if (n_y != 1 + m->n_exogenous)
    return uspi_fail(USP_INVALID_ARGUMENT, "The model takes 1 value and %zu exogenous ones at a time. Got %zu instead.",
                     m->n_exogenous, n_y);
  if (quantiles && capacity < m->parts[USPI_QUANTILES])
    return uspi_fail(USP_BUFFER_TOO_SMALL, "usp_stream_push gives %zu numbers, and there is room for %zu.",
                     m->parts[USPI_QUANTILES], capacity);
  for (size_t i = 0; i < n_y; i++)
    if (!isfinite(y[i])) return uspi_fail(USP_NOT_FINITE, "Value %zu of those pushed is not finite.", i);
  return USP_OK;
}

static void swap(double **a, double **b) {
  double *kept = *a;
  *a = *b;
  *b = kept;
}

usp_status usp_stream_push(usp_stream *stream, const double *y, size_t n_y, double *quantiles, size_t capacity,
                           size_t *needed) {
  if (!stream) return uspi_null("usp_stream_push", "stream");
  const uspi_manifest *m = &stream->model->manifest;
  const uspi_backend *backend = &stream->model->backend;
  if (needed) *needed = m->parts[USPI_QUANTILES];
  usp_status status = check_push(stream, y, n_y, quantiles, capacity);
  if (status) return status;
  double *outputs[1 + USPI_PARTS] = {stream->spare_state};
  for (size_t i = 0; i < USPI_PARTS; i++) outputs[1 + i] = uspi_stream_part(stream, stream->spare_law, i);
  status = backend->engine->step(backend->shared, stream->instance, stream->state, y, outputs);
  if (status) return status;
  for (size_t i = 0; i < m->parts[USPI_QUANTILES]; i++)
    if (!isfinite(outputs[1][i])) return uspi_fail(USP_BACKEND, "The model issued a law that is not finite.");
  swap(&stream->state, &stream->spare_state);
  swap(&stream->law, &stream->spare_law);
  stream->count++;
  if (quantiles) memcpy(quantiles, stream->law, m->parts[USPI_QUANTILES] * sizeof *quantiles);
  return USP_OK;
}

usp_status usp_stream_count(const usp_stream *stream, uint64_t *count) {
  if (!stream) return uspi_null("usp_stream_count", "stream");
  if (!count) return uspi_null("usp_stream_count", "count");
  *count = stream->count;
  return USP_OK;
}

static usp_status no_law(void) { return uspi_fail(USP_NO_LAW, "The stream has issued no law yet: push a value first."); }

static usp_status part(const char *function, const usp_stream *stream, size_t which, double *out, size_t capacity,
                       size_t *needed) {
  if (!stream) return uspi_null(function, "stream");
  size_t n = stream->model->manifest.parts[which];
  if (needed) *needed = n;
  if (!stream->count) return no_law();
  return uspi_copy_out(function, uspi_stream_part(stream, stream->law, which), n, sizeof *out, out, capacity, needed);
}

usp_status usp_stream_quantiles(const usp_stream *stream, double *out, size_t capacity, size_t *needed) {
  return part("usp_stream_quantiles", stream, USPI_QUANTILES, out, capacity, needed);
}

usp_status usp_stream_mean(const usp_stream *stream, double *out, size_t capacity, size_t *needed) {
  return part("usp_stream_mean", stream, USPI_MEAN, out, capacity, needed);
}

usp_status usp_stream_tails(const usp_stream *stream, double *out, size_t capacity, size_t *needed) {
  return part("usp_stream_tails", stream, USPI_TAILS, out, capacity, needed);
}

usp_status usp_stream_weights(const usp_stream *stream, double *out, size_t capacity, size_t *needed) {
  return part("usp_stream_weights", stream, USPI_WEIGHTS, out, capacity, needed);
}

usp_status usp_stream_telemetry(const usp_stream *stream, double *out, size_t capacity, size_t *needed) {
  return part("usp_stream_telemetry", stream, USPI_TELEMETRY, out, capacity, needed);
}

usp_status usp_stream_quantile(const usp_stream *stream, size_t horizon, double u, double *value) {
  if (!stream) return uspi_null("usp_stream_quantile", "stream");
  if (!value) return uspi_null("usp_stream_quantile", "value");
  const uspi_manifest *m = &stream->model->manifest;
  if (horizon >= m->n_horizons)
    return uspi_fail(USP_INVALID_ARGUMENT, "There are %zu horizons, and no number %zu.", m->n_horizons, horizon);
  if (!(u > 0 && u < 1)) return uspi_fail(USP_INVALID_ARGUMENT, "A level must lie between 0 and 1. Got %g instead.", u);
  if (!stream->count) return no_law();
  return uspi_law_quantile(m->levels, m->n_levels,
                           uspi_stream_part(stream, stream->law, USPI_QUANTILES) + horizon * m->n_levels,
                           uspi_stream_part(stream, stream->law, USPI_TAILS) + horizon * 4, u, value);
}
