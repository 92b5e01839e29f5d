/* Laws of any number of rows by an engine that takes some numbers of rows only. */
#include <math.h>
#include <string.h>

#include "error.h"
#include "model.h"

/* The largest batch that is full, or else the smallest that holds all that is left if that is at least half of it:
** the rest of it is filled with copies of the last row. */
static size_t choose(const uspi_backend *backend, size_t left) {
  size_t which = 0;
  for (size_t i = 0; i < backend->n_batches && backend->batches[i] <= left; i++) which = i;
  size_t more = which + 1;
  if (more < backend->n_batches && backend->batches[which] < left && left >= backend->batches[more] / 2) return more;
  return which;
}

/* wanted[i] is NULL for parts that nobody wants. */
static usp_status run(const usp_model *model, const double *rows, size_t n_rows, double *const wanted[USPI_PARTS]) {
  const uspi_manifest *m = &model->manifest;
  const uspi_backend *backend = &model->backend;
  uspi_worker *worker;
  usp_status status = uspi_worker_take(model, &worker);
  for (size_t done = 0; done < n_rows && !status;) {
    size_t which = choose(backend, n_rows - done), batch = backend->batches[which];
    size_t real = batch < n_rows - done ? batch : n_rows - done;
    for (size_t i = 0; i < batch; i++)
      memcpy(worker->rows + i * m->n_features, rows + (done + (i < real ? i : real - 1)) * m->n_features,
             m->n_features * sizeof *rows);
    status = backend->engine->predict(backend->shared, worker->instance, which, worker->rows, worker->outputs);
    for (size_t i = 0; i < real * m->parts[USPI_QUANTILES] && !status; i++)
      if (!isfinite(worker->outputs[USPI_QUANTILES][i]))
        status = uspi_fail(USP_BACKEND, "The model issued a law that is not finite.");
    for (size_t i = 0; i < USPI_PARTS && !status; i++)
      if (wanted[i])
        memcpy(wanted[i] + done * m->parts[i], worker->outputs[i], real * m->parts[i] * sizeof **wanted);
    done += real;
  }
  if (worker) uspi_worker_give(model, worker);
  return status;
}

static usp_status check_rows(const usp_model *model, const double *rows, size_t n_rows, size_t n_features) {
  const uspi_manifest *m = &model->manifest;
  if (!n_rows) return USP_OK;
  if (!rows) return uspi_null("usp_predict", "rows");
  if (n_features != m->n_features)
    return uspi_fail(USP_INVALID_ARGUMENT, "The model takes rows of %zu columns. Got %zu instead.", m->n_features,
                     n_features);
  for (size_t i = 0; i < n_rows * n_features; i++)
    if (!isfinite(rows[i]))
      return uspi_fail(USP_NOT_FINITE, "Column %zu of row %zu is not finite.", i % n_features, i / n_features);
  return USP_OK;
}

usp_status usp_predict(const usp_model *model, const double *rows, size_t n_rows, size_t n_features,
                       usp_prediction *out) {
  if (!model) return uspi_null("usp_predict", "model");
  if (!out) return uspi_null("usp_predict", "out");
  if (out->struct_size < sizeof *out)
    return uspi_fail(USP_INVALID_ARGUMENT, "usp_prediction.struct_size must be sizeof(usp_prediction).");
  if (out->flags) return uspi_fail(USP_UNSUPPORTED, "usp_prediction.flags must be 0.");
  const uspi_manifest *m = &model->manifest;
  if (n_rows > SIZE_MAX / sizeof *rows / (m->n_features + m->law))
    return uspi_fail(USP_INVALID_ARGUMENT, "There cannot be %zu rows.", n_rows);
  double *const wanted[USPI_PARTS] = {out->quantiles, out->mean, out->tails, out->weights, out->telemetry};
  const size_t capacity[USPI_PARTS] = {out->quantiles_capacity, out->mean_capacity, out->tails_capacity,
                                       out->weights_capacity, out->telemetry_capacity};
  size_t *const needed[USPI_PARTS] = {&out->quantiles_needed, &out->mean_needed, &out->tails_needed,
                                      &out->weights_needed, &out->telemetry_needed};
  usp_status status = USP_OK;
  int any = 0;
  for (size_t i = 0; i < USPI_PARTS; i++) {
    *needed[i] = n_rows * m->parts[i];
    any |= wanted[i] != NULL;
    if (!wanted[i] && capacity[i]) status = uspi_null("usp_predict", uspi_part_names[i]);
    if (wanted[i] && capacity[i] < *needed[i] && !status)
      status = uspi_fail(USP_BUFFER_TOO_SMALL, "usp_predict gives %zu numbers of %s, and there is room for %zu.",
                         *needed[i], uspi_part_names[i], capacity[i]);
  }
  if (status || (!any && !rows)) return status;
  status = check_rows(model, rows, n_rows, n_features);
  return status || !any || !n_rows ? status : run(model, rows, n_rows, wanted);
}

usp_status usp_predict_quantiles(const usp_model *model, const double *rows, size_t n_rows, size_t n_features,
                                 double *quantiles, size_t capacity, size_t *needed) {
  usp_prediction out = {.struct_size = sizeof out, .quantiles = quantiles, .quantiles_capacity = capacity};
  usp_status status = usp_predict(model, rows, n_rows, n_features, &out);
  if (model && needed) *needed = out.quantiles_needed;
  return status;
}
