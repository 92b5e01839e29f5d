/* Snapshots that usp_sklearn wrote in Python, as states of streams. */
#ifndef USPI_SNAPSHOT_H
#define USPI_SNAPSHOT_H

#include "model.h"

/* Whether the bytes begin like a snapshot. */
bool uspi_snapshot_begins(const uint8_t *bytes, size_t size);

/* Verifies the snapshot and puts what it holds into the N numbers of a state. */
usp_status uspi_snapshot_read(const usp_model *model, const uint8_t *bytes, size_t size, double *state);

#endif
