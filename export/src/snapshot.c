/* A snapshot as Stream.checkpoint and save write it in Python, a safetensors file:
**
**      0  u64 length of the header
**      8  the header, JSON: dtype, shape and data_offsets of each array, and "__metadata__", an object of texts, of
**         which "sha256" is that of the whole file with its own 64 digits as zeros, and "content" is JSON again
**         the arrays' bytes, little-endian
**
** Which of the arrays stand where in the state is said by the model's manifest, under "snapshot". A step takes over
** from any stream that takes the same step: "step" in the content and in the manifest are then the same.
*/
#include "snapshot.h"

#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "error.h"

#define DIGITS 64
#define KEY "\"sha256\":\""

static const struct dtype {
  const char *name;
  char kind; /* float, integer, unsigned, boolean */
  size_t width;
} dtypes[] = {{"F64", 'F', 8}, {"F32", 'F', 4}, {"I64", 'I', 8}, {"I32", 'I', 4}, {"I16", 'I', 2}, {"I8", 'I', 1},
              {"U64", 'U', 8}, {"U32", 'U', 4}, {"U16", 'U', 2}, {"U8", 'U', 1},  {"BOOL", 'B', 1}};

static usp_status damaged(const char *how) { return uspi_fail(USP_CORRUPT, "The snapshot is damaged: %s.", how); }

static usp_status nowhere(void) {
  return uspi_fail(USP_CORRUPT, "manifest.json: 'snapshot' does not say where arrays stand in the state.");
}

bool uspi_snapshot_begins(const uint8_t *bytes, size_t size) {
  return size > 8 && uspi_get(bytes, 8) && uspi_get(bytes, 8) <= size - 8 && bytes[8] == '{';
}

/* Where the 64 digits of the digest begin in the header, or 0. */
static size_t digest_place(const uint8_t *bytes, size_t end) {
  const size_t key = sizeof KEY - 1;
  for (size_t at = 8; at + key + DIGITS < end; at++) {
    size_t n = 0;
    if (memcmp(bytes + at, KEY, key)) continue;
    for (const uint8_t *c = bytes + at + key; n < DIGITS && ((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'f')); c++)
      n++;
    if (n == DIGITS && bytes[at + key + DIGITS] == '"') return at + key;
  }
  return 0;
}

static usp_status verify(const uint8_t *bytes, size_t size, size_t end) {
  uint8_t digest[USPI_DIGEST], blank[DIGITS];
  uspi_sha256 sha;
  const size_t place = digest_place(bytes, end);
  if (!place) return damaged("there is no digest in it");
  memset(blank, '0', sizeof blank);
  uspi_sha256_start(&sha);
  uspi_sha256_add(&sha, bytes, place);
  uspi_sha256_add(&sha, blank, sizeof blank);
  uspi_sha256_add(&sha, bytes + place + DIGITS, size - place - DIGITS);
  uspi_sha256_end(&sha, digest);
  for (size_t i = 0; i < DIGITS; i++)
    if (bytes[place + i] != (uint8_t) "0123456789abcdef"[i % 2 ? digest[i / 2] & 15 : digest[i / 2] >> 4])
      return damaged("its SHA-256 is not the one it was saved with");
  return USP_OK;
}

static double number(const uint8_t *at, const struct dtype *dtype) {
  const uint64_t bits = uspi_get(at, dtype->width), all = ~0ull >> (64 - 8 * dtype->width);
  if (dtype->kind == 'I' && bits > all / 2) return -(double)(bits ^ all) - 1; /* two's complement */
  if (dtype->kind != 'F') return (double)bits;
  double value;
  float single;
  uint32_t low = (uint32_t)bits;
  memcpy(&value, &bits, sizeof value);
  memcpy(&single, &low, sizeof single);
  return dtype->width == 8 ? value : (double)single;
}

/* One array: what the manifest says of it, the header of the snapshot, and the bytes after that. */
static usp_status place(const uspi_node *entry, const uspi_node *header, const uint8_t *data, size_t length,
                        double *state, size_t n_state) {
  const uspi_node *name = uspi_json_typed(entry, "name", USPI_STRING);
  const uspi_node *type = uspi_json_typed(entry, "dtype", USPI_STRING);
  const struct dtype *dtype = NULL;
  size_t n, used, at, from, to;
  for (size_t i = 0; type && i < sizeof dtypes / sizeof *dtypes; i++)
    if (!strcmp(dtypes[i].name, type->string)) dtype = dtypes + i;
  if (!name || !dtype || !uspi_json_integer(uspi_json_get(entry, "size"), 1, SIZE_MAX / 16, &n) ||
      !uspi_json_integer(uspi_json_get(entry, "used"), 1, n, &used) ||
      !uspi_json_integer(uspi_json_get(entry, "at"), 0, n_state, &at) || used > n_state - at)
    return nowhere();
  const uspi_node *array = uspi_json_typed(header, name->string, USPI_OBJECT);
  const uspi_node *given = uspi_json_typed(array, "dtype", USPI_STRING);
  const uspi_node *offsets = uspi_json_typed(array, "data_offsets", USPI_ARRAY);
  if (!given || strcmp(given->string, type->string) || !offsets || offsets->count != 2 ||
      !uspi_json_integer(offsets->first, 0, length, &from) ||
      !uspi_json_integer(offsets->first->next, from, length, &to) || to - from != n * dtype->width)
    return uspi_fail(USP_CORRUPT, "The snapshot does not hold '%.200s' as %zu numbers of type %s.", name->string, n,
                     dtype->name);
  for (size_t i = 0; i < used; i++) state[at + i] = number(data + from + i * dtype->width, dtype);
  return USP_OK;
}

/* Whether it is a stream's, one that takes this model's step, and one that lacks no values. */
static usp_status check_content(const usp_model *model, const uspi_node *ours, const uspi_node *content) {
  const uspi_node *stream = uspi_json_typed(content, "stream", USPI_OBJECT);
  const uspi_node *step = uspi_json_typed(content, "step", USPI_STRING);
  const uspi_node *real = uspi_json_typed(uspi_json_get(stream, "_real"), "list", USPI_ARRAY);
  const uspi_node *own = uspi_json_typed(ours, "step", USPI_STRING);
  if (!stream) return uspi_fail(USP_WRONG_MODEL, "The snapshot is not that of a stream.");
  if (!step)
    return uspi_fail(USP_VERSION, "The snapshot was saved by an earlier version of usp_sklearn: load and save it in Python.");
  if (!own || strcmp(step->string, own->string))
    return uspi_fail(USP_WRONG_MODEL,
                     "The snapshot was saved by another model than '%.64s': parameters, windows or scalers differ.",
                     model->manifest.name);
  if (!real) return damaged("it does not say which of its values were real");
  for (const uspi_node *one = real->first; one; one = one->next)
    if (one->type != USPI_BOOLEAN || !one->number)
      return uspi_fail(USP_UNSUPPORTED,
                       "The snapshot was taken while values were missing, which is not known here: take one %zu later.",
                       real->count);
  return USP_OK;
}

static usp_status check_metadata(const usp_model *model, const uspi_node *ours, const uspi_node *header) {
  const uspi_node *metadata = uspi_json_typed(header, "__metadata__", USPI_OBJECT);
  const uspi_node *kind = uspi_json_typed(metadata, "kind", USPI_STRING);
  const uspi_node *schema = uspi_json_typed(metadata, "schema", USPI_STRING);
  const uspi_node *text = uspi_json_typed(metadata, "content", USPI_STRING);
  size_t known;
  char expected[24];
  uspi_json content;
  if (!kind || strcmp(kind->string, "usp-snapshot") || !schema || !text)
    return uspi_fail(USP_CORRUPT, "The file is not that of a stream.");
  if (!ours)
    return uspi_fail(USP_UNSUPPORTED, "The model '%.64s' was exported before it could open snapshots: export it anew.",
                     model->manifest.name);
  if (!uspi_json_integer(uspi_json_get(ours, "schema"), 0, UINT32_MAX, &known))
    return uspi_fail(USP_CORRUPT, "manifest.json: the schema of 'snapshot' is missing.");
  snprintf(expected, sizeof expected, "%zu", known);
  if (strcmp(schema->string, expected))
    return uspi_fail(USP_VERSION, "The snapshot is of schema %.20s; the model was exported for schema %zu.",
                     schema->string, known);
  usp_status status = uspi_json_parse(text->string, strlen(text->string), "The content of the snapshot", &content);
  if (status) return status;
  status = check_content(model, ours, content.nodes);
  uspi_json_free(&content);
  return status;
}

usp_status uspi_snapshot_read(const usp_model *model, const uint8_t *bytes, size_t size, double *state) {
  const uspi_node *ours = uspi_json_typed(model->manifest.json.nodes, "snapshot", USPI_OBJECT);
  const size_t length = (size_t)uspi_get(bytes, 8), data = 8 + length;
  uspi_json header;
  usp_status status = verify(bytes, size, data);
  if (!status) status = uspi_json_parse((const char *)bytes + 8, length, "The header of the snapshot", &header);
  if (status) return status;
  status = check_metadata(model, ours, header.nodes);
  const uspi_node *arrays = uspi_json_typed(ours, "arrays", USPI_ARRAY);
  if (!status && (!arrays || !arrays->count)) status = nowhere();
  for (const uspi_node *entry = arrays ? arrays->first : NULL; entry && !status; entry = entry->next)
    status = place(entry, header.nodes, bytes + data, size - data, state, model->manifest.n_state);
  uspi_json_free(&header);
  return status;
}
