/* What a model is: everything that can be asked of it without computing. */
#include <string.h>

#include "error.h"
#include "model.h"

usp_status uspi_copy_out(const char *function, const void *from, size_t n, size_t size, void *out, size_t capacity,
                         size_t *needed) {
  if (needed) *needed = n;
  if (!out && capacity) return uspi_null(function, "out");
  if (!out) return needed ? USP_OK : uspi_null(function, "out");
  if (capacity < n)
    return uspi_fail(USP_BUFFER_TOO_SMALL, "%s gives %zu numbers, and there is room for %zu.", function, n, capacity);
  memcpy(out, from, n * size);
  return USP_OK;
}

usp_status usp_model_info(const usp_model *model, usp_model_description *info) {
  if (!model) return uspi_null("usp_model_info", "model");
  if (!info) return uspi_null("usp_model_info", "info");
  if (info->struct_size < sizeof *info)
    return uspi_fail(USP_INVALID_ARGUMENT,
                     "usp_model_description.struct_size must be sizeof(usp_model_description).");
  const uspi_manifest *m = &model->manifest;
  *info = (usp_model_description){
      .struct_size = info->struct_size,
      .has_step = m->has_step,
      .n_levels = m->n_levels,
      .n_horizons = m->n_horizons,
      .n_features = m->n_features,
      .n_exogenous = m->n_exogenous,
      .n_telemetry = m->n_telemetry,
      .n_weights = m->n_weights,
      .n_state = m->n_state,
      .name = m->name,
      .format = m->format,
      .dtype = m->dtype,
  };
  return USP_OK;
}

usp_status usp_model_levels(const usp_model *model, double *levels, size_t capacity, size_t *needed) {
  if (!model) return uspi_null("usp_model_levels", "model");
  const uspi_manifest *m = &model->manifest;
  return uspi_copy_out("usp_model_levels", m->levels, m->n_levels, sizeof *levels, levels, capacity, needed);
}

usp_status usp_model_horizons(const usp_model *model, uint32_t *horizons, size_t capacity, size_t *needed) {
  if (!model) return uspi_null("usp_model_horizons", "model");
  const uspi_manifest *m = &model->manifest;
  return uspi_copy_out("usp_model_horizons", m->horizons, m->n_horizons, sizeof *horizons, horizons, capacity, needed);
}

const char *usp_model_telemetry_name(const usp_model *model, size_t i) {
  if (!model) {
    uspi_null("usp_model_telemetry_name", "model");
    return NULL;
  }
  if (i >= model->manifest.n_telemetry) {
    uspi_fail(USP_INVALID_ARGUMENT, "There are %zu numbers of telemetry, and no number %zu.",
              model->manifest.n_telemetry, i);
    return NULL;
  }
  return model->manifest.telemetry[i];
}
