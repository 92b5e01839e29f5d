/* A stream on disk, all numbers little-endian:
**
**      0  "USPSTRM1"
**      8  u32 version, 1; u32 0
**     16  SHA-256 of the model's state.bin
**     48  u64 N; u64 count; u64 lengths of the five parts of a law
**    104  N doubles: the state; then, if count > 0, the newest law, part after part
**         SHA-256 of everything before
**
** Snapshots that were written in Python are opened as well: see snapshot.c.
*/
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "error.h"
#include "file.h"
#include "snapshot.h"
#include "stream.h"

#define MAGIC "USPSTRM1"
#define VERSION 1u
#define HEADER 104

static size_t file_size(const uspi_manifest *m, uint64_t count) {
  return HEADER + 8 * (m->n_state + (count ? m->law : 0)) + USPI_DIGEST;
}

usp_status usp_stream_save(const usp_stream *stream, const char *path) {
  if (!stream) return uspi_null("usp_stream_save", "stream");
  if (!path) return uspi_null("usp_stream_save", "path");
  const uspi_manifest *m = &stream->model->manifest;
  size_t size = file_size(m, stream->count);
  uint8_t *bytes = calloc(1, size);
  if (!bytes) return uspi_no_memory();
  memcpy(bytes, MAGIC, 8);
  uspi_put(bytes + 8, VERSION, 4);
  memcpy(bytes + 16, stream->model->identity, USPI_DIGEST);
  uspi_put(bytes + 48, m->n_state, 8);
  uspi_put(bytes + 56, stream->count, 8);
  for (size_t i = 0; i < USPI_PARTS; i++) uspi_put(bytes + 64 + 8 * i, m->parts[i], 8);
  uspi_put_doubles(bytes + HEADER, stream->state, m->n_state);
  if (stream->count) uspi_put_doubles(bytes + HEADER + 8 * m->n_state, stream->law, m->law);
  uspi_sha256_of(bytes, size - USPI_DIGEST, bytes + size - USPI_DIGEST);
  usp_status status = uspi_file_write(path, bytes, size);
  free(bytes);
  return status;
}

/* What a file of this model must look like. The version comes first, for a later one may differ in all that follows;
** the digest second, so that a flipped bit is called damage and not another model. */
static usp_status check(const usp_model *model, const uint8_t *bytes, size_t size) {
  const uspi_manifest *m = &model->manifest;
  uint8_t digest[USPI_DIGEST];
  if (size < HEADER + USPI_DIGEST || memcmp(bytes, MAGIC, 8))
    return uspi_fail(USP_CORRUPT, "The file is not that of a stream.");
  if (uspi_get(bytes + 8, 4) != VERSION)
    return uspi_fail(USP_VERSION, "The stream file is of version %u; this library knows version %u.",
                     (unsigned)uspi_get(bytes + 8, 4), VERSION);
  uspi_sha256_of(bytes, size - USPI_DIGEST, digest);
  if (memcmp(digest, bytes + size - USPI_DIGEST, USPI_DIGEST))
    return uspi_fail(USP_CORRUPT, "The stream file is damaged: its SHA-256 is not the one it was saved with.");
  if (memcmp(bytes + 16, model->identity, USPI_DIGEST) || uspi_get(bytes + 48, 8) != m->n_state)
    return uspi_fail(USP_WRONG_MODEL, "The stream was saved by another model than '%.64s'.", m->name);
  for (size_t i = 0; i < USPI_PARTS; i++)
    if (uspi_get(bytes + 64 + 8 * i, 8) != m->parts[i])
      return uspi_fail(USP_WRONG_MODEL, "The stream was saved by a model that issues laws of other shapes.");
  if (size != file_size(m, uspi_get(bytes + 56, 8)))
    return uspi_fail(USP_CORRUPT, "The stream file does not have the length that it must have.");
  return USP_OK;
}

static void take(usp_stream *stream, const uint8_t *bytes) {
  const uspi_manifest *m = &stream->model->manifest;
  stream->count = uspi_get(bytes + 56, 8);
  uspi_get_doubles(bytes + HEADER, stream->state, m->n_state);
  if (stream->count) uspi_get_doubles(bytes + HEADER + 8 * m->n_state, stream->law, m->law);
}

usp_status usp_stream_load(const usp_model *model, const char *path, usp_stream **stream) {
  uint8_t *bytes;
  size_t size;
  if (!stream) return uspi_null("usp_stream_load", "stream");
  *stream = NULL;
  if (!model) return uspi_null("usp_stream_load", "model");
  if (!path) return uspi_null("usp_stream_load", "path");
  usp_stream *made;
  usp_status status = usp_stream_new(model, &made);
  if (status) return status;
  const uspi_manifest *m = &model->manifest;
  /* A file of another model may be longer; it is named as such, up to a bound. */
  status = uspi_file_read(path, file_size(m, 1) + ((size_t)1 << 26), &bytes, &size);
  if (!status && uspi_snapshot_begins(bytes, size)) {
    status = uspi_snapshot_read(model, bytes, size, made->state);
  } else if (!status) {
    status = check(model, bytes, size);
    if (!status) take(made, bytes);
  }
  free(bytes);
  if (status)
    usp_stream_free(made);
  else
    *stream = made;
  return status;
}
