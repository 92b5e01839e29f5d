#define _POSIX_C_SOURCE 200809L
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

static usp_status failed(const char *what, const char *path) {
  usp_status status = errno == ENOENT || errno == ENOTDIR ? USP_NOT_FOUND : USP_IO;
  return uspi_fail(status, "Could not %s '%s': %s.", what, path, strerror(errno));
}

char *uspi_file_path(const char *folder, const char *name) {
  size_t size = strlen(folder) + strlen(name) + 2;
  char *path = malloc(size);
  if (path) snprintf(path, size, "%s/%s", folder, name);
  return path;
}

/* Opens a regular file. O_NONBLOCK, so that a pipe of that name doesn't hang the program. */
static usp_status open_regular(const char *path, int *file, uint64_t *length) {
  struct stat about;
  *file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (*file < 0) return failed("open", path);
  if (fstat(*file, &about)) {
    usp_status status = failed("open", path);
    close(*file);
    return status;
  }
  if (!S_ISREG(about.st_mode)) {
    close(*file);
    return uspi_fail(USP_IO, "'%s' is not a regular file.", path);
  }
  *length = (uint64_t)about.st_size;
  return USP_OK;
}

/* Up to size bytes, fewer only at the end of the file. */
static ssize_t read_fully(int file, uint8_t *bytes, size_t size) {
  size_t done = 0;
  while (done < size) {
    ssize_t got = read(file, bytes + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += (size_t)got;
  }
  return (ssize_t)done;
}

usp_status uspi_file_read(const char *path, size_t limit, uint8_t **bytes, size_t *length) {
  int file;
  uint64_t size;
  usp_status status = open_regular(path, &file, &size);
  *bytes = NULL;
  if (status) return status;
  if (size > limit) {
    close(file);
    return uspi_fail(USP_CORRUPT, "'%s' is larger than the %zu bytes it may have.", path, limit);
  }
  uint8_t *text = malloc((size_t)size + 1);
  if (!text) {
    close(file);
    return uspi_no_memory();
  }
  ssize_t got = read_fully(file, text, (size_t)size);
  status = got < 0 ? failed("read", path) : USP_OK;
  close(file);
  if (status) {
    free(text);
    return status;
  }
  text[got] = 0;
  *bytes = text;
  *length = (size_t)got;
  return USP_OK;
}

usp_status uspi_file_digest(const char *path, uint8_t digest[USPI_DIGEST], uint64_t *length) {
  int file;
  uint8_t piece[16384];
  uspi_sha256 sha;
  ssize_t got;
  usp_status status = open_regular(path, &file, length);
  if (status) return status;
  uspi_sha256_start(&sha);
  while ((got = read_fully(file, piece, sizeof piece)) > 0) uspi_sha256_add(&sha, piece, (size_t)got);
  status = got < 0 ? failed("read", path) : USP_OK;
  close(file);
  *length = sha.length;
  uspi_sha256_end(&sha, digest);
  return status;
}

static int write_fully(int file, const uint8_t *bytes, size_t size) {
  while (size) {
    ssize_t put = write(file, bytes, size);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return -1;
    bytes += put;
    size -= (size_t)put;
  }
  return 0;
}

/* Makes a rename in the folder of path last; a file system that cannot is not an error. */
static void sync_folder(const char *path) {
  char *folder = strdup(path), *slash = folder ? strrchr(folder, '/') : NULL;
  if (!folder) return;
  if (slash) slash[slash == folder] = 0; /* "/x" lies in "/" */
  int opened = open(slash ? folder : ".", O_RDONLY | O_CLOEXEC);
  if (opened >= 0) {
    fsync(opened);
    close(opened);
  }
  free(folder);
}

usp_status uspi_file_write(const char *path, const uint8_t *bytes, size_t length) {
  static atomic_uint number;
  size_t size = strlen(path) + 64;
  char *temporary = malloc(size);
  if (!temporary) return uspi_no_memory();
  snprintf(temporary, size, "%s.%ld.%u.part", path, (long)getpid(), atomic_fetch_add(&number, 1u));
  int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) {
    usp_status status = failed("create", temporary);
    free(temporary);
    return status;
  }
  usp_status status = USP_OK;
  if (write_fully(file, bytes, length) || fsync(file)) status = failed("write", temporary);
  if (close(file) && !status) status = failed("write", temporary);
  if (!status && rename(temporary, path)) status = failed("write", path);
  if (status)
    unlink(temporary);
  else
    sync_folder(path);
  free(temporary);
  return status;
}
