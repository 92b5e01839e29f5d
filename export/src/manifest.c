#include "manifest.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "file.h"

#define MANY 4096                       /* levels, horizons, names, files */
#define WIDE ((size_t)1 << 28)          /* numbers in a row, a state or a law */
#define LONGEST ((size_t)9007199254740992) /* 2^53: whole numbers that JSON readers agree on */

const char *const uspi_part_names[USPI_PARTS] = {"quantiles", "mean", "tails", "weights", "telemetry"};

static usp_status bad(const char *what) { return uspi_fail(USP_CORRUPT, "manifest.json: %s.", what); }

/* An array of 1 (or none, if empty is allowed) to MANY members. */
static const uspi_node *list(const uspi_node *root, const char *key, bool empty) {
  const uspi_node *array = uspi_json_typed(root, key, USPI_ARRAY);
  return array && array->count <= MANY && (array->count || empty) ? array : NULL;
}

static usp_status levels(uspi_manifest *m, const uspi_node *root) {
  const uspi_node *array = list(root, "levels", false);
  size_t i = 0;
  if (!array) return bad("'levels' is not a list of levels");
  m->n_levels = array->count;
  if (!(m->levels = calloc(array->count, sizeof *m->levels))) return uspi_no_memory();
  for (const uspi_node *item = array->first; item; item = item->next) {
    if (item->type != USPI_NUMBER || !(item->number > 0 && item->number < 1))
      return bad("'levels' must lie between 0 and 1");
    m->levels[i++] = item->number;
  }
  return USP_OK;
}

static usp_status horizons(uspi_manifest *m, const uspi_node *root) {
  const uspi_node *array = list(root, "horizons", false);
  size_t i = 0, value;
  if (!array) return bad("'horizons' is not a list of horizons");
  m->n_horizons = array->count;
  if (!(m->horizons = calloc(array->count, sizeof *m->horizons))) return uspi_no_memory();
  for (const uspi_node *item = array->first; item; item = item->next) {
    if (!uspi_json_integer(item, 1, UINT32_MAX, &value)) return bad("'horizons' must be whole numbers from 1");
    m->horizons[i++] = (uint32_t)value;
  }
  return USP_OK;
}

static usp_status telemetry(uspi_manifest *m, const uspi_node *root) {
  const uspi_node *array = list(root, "telemetry", true);
  size_t i = 0;
  if (!array) return bad("'telemetry' is not a list of names");
  m->n_telemetry = array->count;
  if (!(m->telemetry = calloc(array->count + 1, sizeof *m->telemetry))) return uspi_no_memory();
  for (const uspi_node *item = array->first; item; item = item->next) {
    if (item->type != USPI_STRING) return bad("'telemetry' is not a list of names");
    m->telemetry[i++] = item->string;
  }
  return USP_OK;
}

/* Product of the sizes of an array's axes without the leading batch; false if the shape is no such shape. */
static bool volume(const uspi_node *port, bool batch, size_t *product) {
  const uspi_node *shape = uspi_json_typed(port, "shape", USPI_ARRAY);
  const uspi_node *axis = shape ? shape->first : NULL;
  size_t length;
  *product = 1;
  if (!shape) return false;
  if (batch) {
    if (!axis || axis->type != USPI_STRING || strcmp(axis->string, "batch")) return false;
    axis = axis->next;
  }
  for (; axis; axis = axis->next) {
    if (!uspi_json_integer(axis, 0, WIDE, &length)) return false;
    *product *= length;
    if (*product > WIDE) return false;
  }
  return true;
}

/* The port number i of a signature has that name; its volume. */
static bool port(const uspi_node *signature, const char *side, size_t i, const char *name, bool batch, size_t *size) {
  const uspi_node *ports = uspi_json_typed(signature, side, USPI_ARRAY);
  const uspi_node *at = ports ? ports->first : NULL;
  while (at && i--) at = at->next;
  const uspi_node *named = uspi_json_typed(at, "name", USPI_STRING);
  return named && !strcmp(named->string, name) && volume(at, batch, size);
}

static bool count(const uspi_node *signature, const char *side, size_t n) {
  const uspi_node *ports = uspi_json_typed(signature, side, USPI_ARRAY);
  return ports && ports->count == n;
}

/* The five parts of a law from output number first on, of the sizes that levels, horizons and telemetry give. */
static usp_status law_ports(uspi_manifest *m, const uspi_node *signature, size_t first, bool batch) {
  size_t sizes[USPI_PARTS];
  if (!count(signature, "outputs", first + USPI_PARTS)) return bad("a signature has other outputs than a law's parts");
  for (size_t i = 0; i < USPI_PARTS; i++)
    if (!port(signature, "outputs", first + i, uspi_part_names[i], batch, &sizes[i]))
      return bad("a signature has other outputs than a law's parts");
  size_t h = m->n_horizons, branches = sizes[USPI_WEIGHTS] / h;
  if (sizes[USPI_QUANTILES] != h * m->n_levels || sizes[USPI_MEAN] != h || sizes[USPI_TAILS] != 4 * h ||
      sizes[USPI_WEIGHTS] != h * branches || sizes[USPI_TELEMETRY] != m->n_telemetry)
    return bad("a signature's shapes don't fit the levels, horizons and telemetry");
  if (first && memcmp(m->parts, sizes, sizeof sizes)) return bad("predict and step issue laws of different shapes");
  memcpy(m->parts, sizes, sizeof sizes);
  m->n_weights = branches;
  m->law = 0;
  for (size_t i = 0; i < USPI_PARTS; i++) m->law += sizes[i];
  return USP_OK;
}

static usp_status signatures(uspi_manifest *m, const uspi_node *root) {
  const uspi_node *both = uspi_json_typed(root, "signatures", USPI_OBJECT);
  const uspi_node *predict = uspi_json_typed(both, "predict", USPI_OBJECT);
  const uspi_node *step = uspi_json_get(both, "step");
  size_t values, next;
  if (!predict || !count(predict, "inputs", 1) || !port(predict, "inputs", 0, "rows", true, &m->n_features) ||
      !m->n_features)
    return bad("the signature 'predict' does not take rows");
  usp_status status = law_ports(m, predict, 0, true);
  if (status || !step) return status;
  if (!count(step, "inputs", 2) || !port(step, "inputs", 0, "state", false, &m->n_state) ||
      !port(step, "inputs", 1, "y", false, &values) || !values || !m->n_state)
    return bad("the signature 'step' does not take a state and values");
  if (!port(step, "outputs", 0, "state", false, &next) || next != m->n_state)
    return bad("the signature 'step' does not give the state it takes");
  m->n_exogenous = values - 1;
  m->has_step = true;
  return law_ports(m, step, 1, false);
}

/* A relative path in plain parts: it must not lead out of the folder. */
static bool plain(const char *path) {
  if (!*path || strlen(path) > 1024 || strchr(path, '\\')) return false;
  for (const char *part = path;; part++) {
    size_t length = strcspn(part, "/");
    if (!length || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.')) return false;
    part += length;
    if (!*part) return true;
  }
}

static bool digest(const char *text, uint8_t out[USPI_DIGEST]) {
  static const char hexadecimal[] = "0123456789abcdef";
  if (strlen(text) != 2 * USPI_DIGEST) return false;
  for (size_t i = 0; i < USPI_DIGEST; i++) {
    const char *high = strchr(hexadecimal, text[2 * i]), *low = strchr(hexadecimal, text[2 * i + 1]);
    if (!high || !low) return false;
    out[i] = (uint8_t)((high - hexadecimal) << 4 | (low - hexadecimal));
  }
  return true;
}

static usp_status files(uspi_manifest *m, const uspi_node *root) {
  const uspi_node *object = uspi_json_typed(root, "files", USPI_OBJECT);
  size_t length;
  if (!object) return bad("'files' is missing");
  if (!(m->files = calloc(object->count + 1, sizeof *m->files))) return uspi_no_memory();
  for (const uspi_node *item = object->first; item; item = item->next) {
    const uspi_node *sha = uspi_json_typed(item, "sha256", USPI_STRING);
    uspi_listed *file = &m->files[m->n_files];
    if (!plain(item->key)) return bad("a path in 'files' is not a plain relative path");
    if (!sha || !digest(sha->string, file->digest) ||
        !uspi_json_integer(uspi_json_get(item, "bytes"), 0, LONGEST, &length))
      return bad("an entry of 'files' lacks its SHA-256 or its length");
    file->path = item->key;
    file->length = length;
    m->n_files++;
  }
  return USP_OK;
}

static usp_status native(uspi_manifest *m, const uspi_node *root) {
  const uspi_node *object = uspi_json_typed(root, "native", USPI_OBJECT);
  const uspi_node *library = uspi_json_typed(object, "library", USPI_STRING), *batches = list(object, "batches", false);
  size_t i = 0;
  if (!library || !batches) return bad("'native' lacks its library or its batches");
  if (!plain(library->string)) return bad("the path of the library is not a plain relative path");
  m->library = library->string;
  if (!(m->batches = calloc(batches->count, sizeof *m->batches))) return uspi_no_memory();
  for (const uspi_node *item = batches->first; item; item = item->next, i++) {
    if (!uspi_json_integer(item, 1, 1 << 20, &m->batches[i]) ||
        (i ? m->batches[i] <= m->batches[i - 1] : m->batches[i] != 1))
      return bad("'batches' must be whole numbers that ascend from 1");
  }
  m->n_batches = i;
  return USP_OK;
}

/* How the format computes; other formats have runtimes of their own. */
static usp_status engine(uspi_manifest *m, const uspi_node *root) {
  if (!strcmp(m->format, "native")) return native(m, root);
  if (strcmp(m->format, "savedmodel"))
    return uspi_fail(USP_UNSUPPORTED, "This library runs models of format native and savedmodel. Got %.64s instead.",
                     m->format);
  m->tensorflow = uspi_json_typed(root, "tensorflow", USPI_OBJECT);
  return m->tensorflow ? USP_OK : bad("'tensorflow' is missing");
}

usp_status uspi_manifest_parse(const char *text, size_t length, uspi_manifest *m) {
  memset(m, 0, sizeof *m);
  usp_status status = uspi_json_parse(text, length, "manifest.json", &m->json);
  if (status) return status;
  const uspi_node *root = m->json.nodes, *kind = uspi_json_typed(root, "kind", USPI_STRING);
  const uspi_node *name = uspi_json_typed(root, "name", USPI_STRING);
  const uspi_node *format = uspi_json_typed(root, "format", USPI_STRING);
  const uspi_node *dtype = uspi_json_typed(root, "dtype", USPI_STRING);
  size_t schema;
  if (!kind || strcmp(kind->string, "usp-model")) return bad("it is not that of a usp-model");
  if (!uspi_json_integer(uspi_json_get(root, "schema"), 1, LONGEST, &schema)) return bad("'schema' is missing");
  if (schema != 1)
    return uspi_fail(USP_VERSION, "manifest.json is of schema %zu; this library knows schema 1.", schema);
  if (!name || !format) return bad("'name' or 'format' is missing");
  if (!dtype || (strcmp(dtype->string, "float64") && strcmp(dtype->string, "float32")))
    return bad("'dtype' must be float64 or float32");
  m->name = name->string;
  m->format = format->string;
  m->dtype = dtype->string;
  usp_status (*const sections[])(uspi_manifest *, const uspi_node *) = {levels,     horizons, telemetry,
                                                                        signatures, files,    engine};
  for (size_t i = 0; i < sizeof sections / sizeof *sections && !status; i++) status = sections[i](m, root);
  return status;
}

void uspi_manifest_free(uspi_manifest *m) {
  free(m->levels);
  free(m->horizons);
  free(m->telemetry);
  free(m->files);
  free(m->batches);
  uspi_json_free(&m->json);
  memset(m, 0, sizeof *m);
}

const uspi_listed *uspi_manifest_file(const uspi_manifest *m, const char *path) {
  for (size_t i = 0; i < m->n_files; i++)
    if (!strcmp(m->files[i].path, path)) return &m->files[i];
  return NULL;
}

usp_status uspi_manifest_verify(const uspi_manifest *m, const char *folder) {
  usp_status status = USP_OK;
  for (size_t i = 0; i < m->n_files && !status; i++) {
    const uspi_listed *file = &m->files[i];
    if (m->has_step && !strcmp(file->path, USPI_STATE_FILE)) continue; /* hashed when it is read */
    uint8_t found[USPI_DIGEST];
    uint64_t length;
    char *path = uspi_file_path(folder, file->path);
    if (!path) return uspi_no_memory();
    status = uspi_file_digest(path, found, &length);
    if (!status && (length != file->length || memcmp(found, file->digest, USPI_DIGEST)))
      status = uspi_fail(USP_CORRUPT, "'%s' is not the file that manifest.json describes.", path);
    free(path);
  }
  return status;
}
