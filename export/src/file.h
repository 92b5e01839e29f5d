/* Whole files: read, hash, replace. */
#ifndef USPI_FILE_H
#define USPI_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "sha256.h"
#include "usp.h"

/* "folder/name", to be freed; NULL without memory. */
char *uspi_file_path(const char *folder, const char *name);

/* The bytes of a regular file of at most limit bytes, to be freed; a zero byte follows them. */
usp_status uspi_file_read(const char *path, size_t limit, uint8_t **bytes, size_t *length);

/* Its SHA-256 and length, whatever its size. */
usp_status uspi_file_digest(const char *path, uint8_t digest[USPI_DIGEST], uint64_t *length);

/* Replaces the file by these bytes, or leaves it as it was. */
usp_status uspi_file_write(const char *path, const uint8_t *bytes, size_t length);

#endif
