/* Damaged files are refused and never crash: test_fuzz FOLDER SCRATCH COUNT. The files in SCRATCH are overwritten.
** Meant to run under AddressSanitizer. The random numbers are the same in every run. */
#include <stdlib.h>
#include <sys/stat.h>

#include "check.h"
#include "sha256.h"
#include "usp.h"

typedef struct {
  char path[4096];
  unsigned char *bytes;
  size_t length;
} file;

static uint64_t seed = 1;

/* xorshift64*: Vigna (2016) */
static size_t below(size_t n) {
  seed ^= seed >> 12;
  seed ^= seed << 25;
  seed ^= seed >> 27;
  return (size_t)((seed * 2685821657736338717u) >> 33) % n;
}

static void save(const file *f, const unsigned char *bytes, size_t length) {
  remove(f->path); /* a new file: some file systems flush one that is overwritten to the disk */
  FILE *out = fopen(f->path, "wb");
  CHECK(out && fwrite(bytes, 1, length, out) == length);
  if (out) fclose(out);
}

static file read_file(const char *folder, const char *name) {
  file f = {.bytes = malloc(1 << 20)};
  snprintf(f.path, sizeof f.path, "%s/%s", folder, name);
  FILE *in = fopen(f.path, "rb");
  if (in) f.length = fread(f.bytes, 1, 1 << 20, in);
  if (in) fclose(in);
  CHECK(f.length > 0);
  return f;
}

/* A copy of the folder's file in the scratch folder. */
static file copy(const char *folder, const char *scratch, const char *name) {
  file f = read_file(folder, name);
  snprintf(f.path, sizeof f.path, "%s/%s", scratch, name);
  save(&f, f.bytes, f.length);
  return f;
}

/* Loads and, if that goes well, uses everything. Never anything but a status and a message. */
static usp_status use(const char *folder) {
  usp_model *model = NULL;
  usp_stream *stream = NULL;
  double q[4096], y[64] = {0}, rows[64] = {0}, x;
  usp_model_description info = {.struct_size = sizeof info};
  usp_status status = usp_model_load(folder, NULL, &model);
  CHECK((status == USP_OK) == (model != NULL));
  CHECK(status == USP_OK || (strlen(usp_last_error()) > 8 && strcmp(usp_status_text(status), "unknown status")));
  if (!model) return status;
  OK(usp_model_info(model, &info));
  CHECK(info.n_features <= 64 && info.n_exogenous < 64);
  for (size_t i = 0; i < info.n_telemetry; i++) CHECK(usp_model_telemetry_name(model, i));
  usp_predict_quantiles(model, rows, 5, info.n_features, q, 4096, NULL);
  if (usp_stream_new(model, &stream) == USP_OK) {
    usp_stream_push(stream, y, 1 + info.n_exogenous, q, 4096, NULL);
    for (size_t h = 0; h < info.n_horizons; h++) usp_stream_quantile(stream, h, 0.001, &x);
  }
  usp_stream_free(stream);
  usp_model_free(model);
  return status;
}

static void fuzz_manifest(const char *scratch, const file *f, size_t many) {
  static const char tokens[] = "[]{},:\"\\0123456789.eE+-truefalsn \n\x80\xff";
  unsigned char *text = malloc(f->length + 8);
  size_t loaded = 0;
  for (size_t length = 0; length < f->length; length++) {
    save(f, f->bytes, length);
    CHECK(use(scratch) == USP_CORRUPT);
  }
  for (size_t i = 0; i < many; i++) {
    memcpy(text, f->bytes, f->length);
    size_t edits = 1 + below(3), length = f->length;
    for (size_t e = 0; e < edits; e++) {
      size_t at = below(length), kind = below(4);
      if (kind == 0) text[at] ^= (unsigned char)(1u << below(8));
      if (kind == 1) text[at] = (unsigned char)tokens[below(sizeof tokens)];
      if (kind == 2) memmove(text + at, text + at + 1, --length - at); /* one byte less */
      if (kind == 3) {                                                  /* a piece moved elsewhere */
        size_t from = below(length), n = below(40);
        if (from + n < length && at + n < length) memmove(text + at, text + from, n);
      }
    }
    save(f, text, length);
    loaded += use(scratch) == USP_OK;
  }
  printf("%zu of %zu edited manifests load\n", loaded, many);
  save(f, f->bytes, f->length);
  CHECK(use(scratch) == USP_OK);
  free(text);
}

/* Deep nesting and size must be refused without recursion to match. */
static void fuzz_depth(const char *scratch, const file *f) {
  size_t n = 1 << 20;
  unsigned char *text = malloc(n);
  const char *opens[] = {"[", "{\"a\":", "[[", "{\"a\":[", "\"", "1", "-", "\\", " "};
  for (size_t i = 0; i < sizeof opens / sizeof *opens; i++) {
    size_t width = strlen(opens[i]);
    for (size_t at = 0; at + width <= n; at += width) memcpy(text + at, opens[i], width);
    save(f, text, n / width * width);
    CHECK(use(scratch) == USP_CORRUPT);
  }
  save(f, f->bytes, f->length);
  free(text);
}

/* Every truncation in some steps and every flipped bit in some steps. */
static void fuzz_listed(const char *scratch, const file *f, size_t every) {
  for (size_t length = 0; length < f->length; length += every) {
    save(f, f->bytes, length);
    CHECK(use(scratch) == USP_CORRUPT);
  }
  for (size_t bit = 0; bit < 8 * f->length; bit += every) {
    f->bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    save(f, f->bytes, f->length);
    CHECK(use(scratch) == USP_CORRUPT);
    f->bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
  }
  save(f, f->bytes, f->length);
}

/* Every truncation and every flipped bit of a stream's file; where the version stands, another status. */
static void fuzz_every_bit(const usp_model *model, const file *f, const char *words, size_t version) {
  usp_stream *stream;
  for (size_t length = 0; length < f->length; length++) {
    save(f, f->bytes, length);
    FAILS(USP_CORRUPT, words, usp_stream_load(model, f->path, &stream));
  }
  for (size_t bit = 0; bit < 8 * f->length; bit++) {
    int newer = version && bit / 8 >= version && bit / 8 < version + 4;
    f->bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    save(f, f->bytes, f->length);
    FAILS(newer ? USP_VERSION : USP_CORRUPT, words, usp_stream_load(model, f->path, &stream));
    CHECK(!stream);
    f->bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
  }
  save(f, f->bytes, f->length);
}

/* A snapshot of Python's: bits, then edits of its text with a digest that fits. */
static void fuzz_snapshot(const char *folder, const char *scratch, size_t many) {
  static const char tokens[] = "[]{},:\"\\0123456789.eE+-truefalsnFIUBO \x80";
  usp_model *model;
  usp_stream *stream;
  double y[2] = {1, 2};
  size_t loaded = 0;
  OK(usp_model_load(scratch, NULL, &model));
  file f = copy(folder, scratch, "snapshot");
  OK(usp_stream_load(model, f.path, &stream));
  usp_stream_free(stream);
  fuzz_every_bit(model, &f, "", 0);
  for (size_t i = 0; i < many; i++) {
    unsigned char *bytes = malloc(f.length), digest[32];
    memcpy(bytes, f.bytes, f.length);
    for (size_t e = 0; e <= below(3); e++) {
      size_t at = below(below(8) ? f.length : 8);
      if (below(2)) bytes[at] = (unsigned char)tokens[below(sizeof tokens - 1)];
      else bytes[at] ^= (unsigned char)(1u << below(8));
    }
    unsigned char *place = NULL;
    for (size_t at = 0; at + 75 < f.length && !place; at++)
      if (!memcmp(bytes + at, "\"sha256\":\"", 10)) place = bytes + at + 10;
    if (place) {
      memset(place, '0', 64);
      uspi_sha256_of(bytes, f.length, digest);
      for (size_t d = 0; d < 64; d++)
        place[d] = (unsigned char)"0123456789abcdef"[d % 2 ? digest[d / 2] & 15 : digest[d / 2] >> 4];
    }
    save(&f, bytes, f.length);
    if (usp_stream_load(model, f.path, &stream) == USP_OK) {
      loaded++;
      usp_stream_push(stream, y, 2, NULL, 0, NULL);
    }
    usp_stream_free(stream);
    free(bytes);
  }
  printf("%zu of %zu edited snapshots load\n", loaded, many);
  usp_model_free(model);
  free(f.bytes);
}

static void fuzz_stream(const char *scratch, size_t many) {
  usp_model *model;
  usp_stream *stream;
  double y[2] = {1, 2};
  char path[4096];
  snprintf(path, sizeof path, "%s/stream", scratch);
  OK(usp_model_load(scratch, NULL, &model));
  OK(usp_stream_new(model, &stream));
  OK(usp_stream_push(stream, y, 2, NULL, 0, NULL));
  OK(usp_stream_save(stream, path));
  usp_stream_free(stream);
  file f = read_file(scratch, "stream");
  fuzz_every_bit(model, &f, "stream", 8);
  for (size_t i = 0; i < many; i++) { /* with a digest that fits: what follows must look at the content */
    unsigned char *bytes = malloc(f.length + 64);
    size_t length = below(4) ? f.length : 32 + below(f.length + 32);
    memset(bytes, 0, f.length + 64);
    memcpy(bytes, f.bytes, f.length);
    for (size_t e = 0; e <= below(4); e++) bytes[below(104)] ^= (unsigned char)(1u << below(8));
    uspi_sha256_of(bytes, length - 32, bytes + length - 32);
    save(&f, bytes, length);
    if (usp_stream_load(model, path, &stream) == USP_OK) usp_stream_push(stream, y, 2, NULL, 0, NULL);
    usp_stream_free(stream);
    free(bytes);
  }
  usp_model_free(model);
  free(f.bytes);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  size_t many = (size_t)atol(argv[3]);
  mkdir(argv[2], 0777);
  file library = copy(argv[1], argv[2], "libusp_fake.so"), state = copy(argv[1], argv[2], "state.bin");
  file manifest = copy(argv[1], argv[2], "manifest.json");
  CHECK(use(argv[2]) == USP_OK);
  fuzz_manifest(argv[2], &manifest, many);
  fuzz_depth(argv[2], &manifest);
  fuzz_listed(argv[2], &state, 1);
  fuzz_listed(argv[2], &library, library.length / 16 + 1);
  fuzz_stream(argv[2], many);
  fuzz_snapshot(argv[1], argv[2], many);
  free(library.bytes);
  free(state.bytes);
  free(manifest.bytes);
  return check_report();
}
