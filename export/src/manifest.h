/* The contract of a model: what manifest.json says, checked. */
#ifndef USPI_MANIFEST_H
#define USPI_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json.h"
#include "sha256.h"
#include "usp.h"

#define USPI_STATE_FILE "state.bin" /* the trained state of a model with step */

/* Parts of a law, in the order of the signatures' outputs. */
enum { USPI_QUANTILES, USPI_MEAN, USPI_TAILS, USPI_WEIGHTS, USPI_TELEMETRY, USPI_PARTS };
extern const char *const uspi_part_names[USPI_PARTS];

/* A file of the folder. */
typedef struct uspi_listed {
  const char *path;
  uint8_t digest[USPI_DIGEST];
  uint64_t length;
} uspi_listed;

typedef struct uspi_manifest {
  uspi_json json; /* owns all texts below */
  const char *name, *format, *dtype;
  size_t n_levels, n_horizons, n_telemetry, n_weights;
  size_t n_features, n_exogenous, n_state;
  bool has_step;
  double *levels;
  uint32_t *horizons;
  const char **telemetry;
  size_t parts[USPI_PARTS]; /* numbers in each part of one law */
  size_t law;               /* in all parts */
  size_t n_files, n_batches;
  uspi_listed *files;
  size_t *batches;             /* format native */
  const char *library;         /* format native */
  const uspi_node *tensorflow; /* format savedmodel */
} uspi_manifest;

/* Reads and checks the text. To be freed by uspi_manifest_free whether it fails or not. */
usp_status uspi_manifest_parse(const char *text, size_t length, uspi_manifest *manifest);
void uspi_manifest_free(uspi_manifest *manifest);

/* What the manifest says of that file, or NULL. */
const uspi_listed *uspi_manifest_file(const uspi_manifest *manifest, const char *path);

/* Compares every file that is listed with what the folder holds. */
usp_status uspi_manifest_verify(const uspi_manifest *manifest, const char *folder);

#endif
