#define _GNU_SOURCE /* strtod_l: a number reads the same in every locale */
#include "json.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* Strings are decoded in place, in a copy of the text: they never get longer. The number of values cannot exceed the
** number of characters that open or separate them, so that one allocation holds all nodes. */
typedef struct {
  char *text, *at, *end;
  uspi_node *nodes;
  size_t used;
  locale_t c;
  const char *problem;
} reader;

static bool wrong(reader *r, const char *problem) {
  if (!r->problem) r->problem = problem;
  return false;
}

static void skip_space(reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) r->at++;
}

static bool literal(reader *r, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length)) return wrong(r, "a value is expected");
  r->at += length;
  return true;
}

static bool digits(reader *r) {
  char *start = r->at;
  while (r->at < r->end && *r->at >= '0' && *r->at <= '9') r->at++;
  return r->at > start;
}

static bool number(reader *r, double *value) {
  char *start = r->at, *stop;
  if (*r->at == '-') r->at++;
  if (r->at < r->end && *r->at == '0')
    r->at++;
  else if (!digits(r))
    return wrong(r, "a value is expected");
  if (r->at < r->end && *r->at == '.') {
    r->at++;
    if (!digits(r)) return wrong(r, "a digit is expected");
  }
  if (r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
    r->at++;
    if (r->at < r->end && (*r->at == '+' || *r->at == '-')) r->at++;
    if (!digits(r)) return wrong(r, "a digit is expected");
  }
  *value = strtod_l(start, &stop, r->c);
  if (stop != r->at || !isfinite(*value)) return wrong(r, "a number is out of range");
  return true;
}

static bool hex4(reader *r, unsigned *code) {
  *code = 0;
  if (r->end - r->at < 4) return wrong(r, "an escape is cut short");
  for (int i = 0; i < 4; i++) {
    char c = *r->at++;
    unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                            : 16u;
    if (digit > 15) return wrong(r, "an escape is not hexadecimal");
    *code = *code << 4 | digit;
  }
  return true;
}

/* \uXXXX, a surrogate pair included, as UTF-8. */
static bool unicode(reader *r, char **put) {
  unsigned code, low;
  if (!hex4(r, &code)) return false;
  if (code >= 0xd800 && code < 0xdc00) {
    if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u') return wrong(r, "a surrogate is alone");
    r->at += 2;
    if (!hex4(r, &low)) return false;
    if (low < 0xdc00 || low > 0xdfff) return wrong(r, "a surrogate is alone");
    code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
  } else if (code >= 0xdc00 && code < 0xe000) {
    return wrong(r, "a surrogate is alone");
  }
  if (!code) return wrong(r, "a string holds a zero byte");
  if (code < 0x80) {
    *(*put)++ = (char)code;
  } else if (code < 0x800) {
    *(*put)++ = (char)(0xc0 | code >> 6);
    *(*put)++ = (char)(0x80 | (code & 0x3f));
  } else {
    if (code < 0x10000) {
      *(*put)++ = (char)(0xe0 | code >> 12);
    } else {
      *(*put)++ = (char)(0xf0 | code >> 18);
      *(*put)++ = (char)(0x80 | (code >> 12 & 0x3f));
    }
    *(*put)++ = (char)(0x80 | (code >> 6 & 0x3f));
    *(*put)++ = (char)(0x80 | (code & 0x3f));
  }
  return true;
}

/* Length of the well-formed UTF-8 sequence at s (Unicode, table 3-7), 0 if there is none. */
static size_t sequence(const char *text, const char *end) {
  const unsigned char *s = (const unsigned char *)text;
  size_t left = (size_t)(end - text);
  size_t length = s[0] < 0x80 ? 1u : s[0] >= 0xc2 && s[0] < 0xe0 ? 2u : s[0] >= 0xe0 && s[0] < 0xf0 ? 3u : 4u;
  if ((s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4 || left < length) return 0;
  for (size_t i = 1; i < length; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0;
  if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0;
  return length;
}

static bool string(reader *r, const char **value) {
  static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
  if (r->at >= r->end || *r->at != '"') return wrong(r, "a string is expected");
  char *put = ++r->at;
  *value = put;
  while (r->at < r->end && *r->at != '"') {
    if ((unsigned char)*r->at < 0x20) return wrong(r, "a string holds a control character");
    if (*r->at != '\\') {
      size_t length = sequence(r->at, r->end);
      if (!length) return wrong(r, "a string is not UTF-8");
      while (length--) *put++ = *r->at++;
      continue;
    }
    if (++r->at >= r->end) break;
    char kind = *r->at++;
    if (kind == 'u') {
      if (!unicode(r, &put)) return false;
      continue;
    }
    size_t i = 0;
    while (escapes[i] && escapes[i] != kind) i += 2;
    if (!escapes[i]) return wrong(r, "an escape is not known");
    *put++ = escapes[i + 1];
  }
  if (r->at >= r->end) return wrong(r, "a string has no end");
  r->at++;
  *put = 0; /* on the closing quote or before it */
  return true;
}

static bool value(reader *r, uspi_node *node, int depth);

static bool unique(const uspi_node *object, const char *key) {
  for (const uspi_node *member = object->first; member; member = member->next)
    if (!strcmp(member->key, key)) return false;
  return true;
}

/* Items of an array or members of an object. */
static bool container(reader *r, uspi_node *node, char close, int depth) {
  const uspi_node **link = &node->first;
  if (depth > USPI_JSON_DEPTH) return wrong(r, "it is nested too deeply");
  r->at++;
  skip_space(r);
  if (r->at < r->end && *r->at == close) {
    r->at++;
    return true;
  }
  for (;;) {
    const char *key = NULL;
    skip_space(r);
    if (node->type == USPI_OBJECT) {
      if (!string(r, &key)) return false;
      if (node->count >= USPI_JSON_MEMBERS) return wrong(r, "an object has too many members");
      if (!unique(node, key)) return wrong(r, "a key appears twice");
      skip_space(r);
      if (r->at >= r->end || *r->at != ':') return wrong(r, "a colon is expected");
      r->at++;
    }
    uspi_node *item = &r->nodes[r->used++];
    if (!value(r, item, depth)) return false;
    item->key = key;
    *link = item;
    link = &item->next;
    node->count++;
    skip_space(r);
    if (r->at >= r->end) return wrong(r, "it is cut short");
    char c = *r->at++;
    if (c == close) return true;
    if (c != ',') return wrong(r, "a comma is expected");
  }
}

static bool value(reader *r, uspi_node *node, int depth) {
  skip_space(r);
  if (r->at >= r->end) return wrong(r, "it is cut short");
  switch (*r->at) {
    case '{':
      node->type = USPI_OBJECT;
      return container(r, node, '}', depth + 1);
    case '[':
      node->type = USPI_ARRAY;
      return container(r, node, ']', depth + 1);
    case '"':
      node->type = USPI_STRING;
      return string(r, &node->string);
    case 'n':
      node->type = USPI_NULL;
      return literal(r, "null");
    case 't':
      node->type = USPI_BOOLEAN;
      node->number = 1;
      return literal(r, "true");
    case 'f':
      node->type = USPI_BOOLEAN;
      return literal(r, "false");
    default:
      node->type = USPI_NUMBER;
      return number(r, &node->number);
  }
}

usp_status uspi_json_parse(const char *text, size_t length, const char *what, uspi_json *json) {
  reader r = {0};
  size_t bound = 1;
  memset(json, 0, sizeof *json);
  if (length > USPI_JSON_BYTES) return uspi_fail(USP_CORRUPT, "%s is larger than %zu bytes.", what, USPI_JSON_BYTES);
  for (size_t i = 0; i < length; i++) bound += text[i] == ',' || text[i] == '[' || text[i] == '{';
  r.text = malloc(length + 1);
  r.nodes = calloc(bound, sizeof *r.nodes);
  r.c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!r.text || !r.nodes || !r.c) {
    free(r.text);
    free(r.nodes);
    if (r.c) freelocale(r.c);
    return uspi_no_memory();
  }
  memcpy(r.text, text, length);
  r.text[length] = 0;
  r.at = r.text;
  r.end = r.text + length;
  r.used = 1;
  bool good = value(&r, r.nodes, 0);
  if (good) {
    skip_space(&r);
    if (r.at < r.end) good = wrong(&r, "something follows its end");
  }
  freelocale(r.c);
  json->text = r.text;
  json->nodes = r.nodes;
  if (good) return USP_OK;
  size_t offset = (size_t)(r.at - r.text);
  uspi_json_free(json);
  return uspi_fail(USP_CORRUPT, "%s is not valid JSON: %s at byte %zu.", what, r.problem, offset);
}

void uspi_json_free(uspi_json *json) {
  free(json->text);
  free(json->nodes);
  memset(json, 0, sizeof *json);
}

const uspi_node *uspi_json_get(const uspi_node *node, const char *key) {
  if (!node || node->type != USPI_OBJECT) return NULL;
  for (const uspi_node *member = node->first; member; member = member->next)
    if (!strcmp(member->key, key)) return member;
  return NULL;
}

const uspi_node *uspi_json_typed(const uspi_node *node, const char *key, uspi_type type) {
  const uspi_node *member = uspi_json_get(node, key);
  return member && member->type == type ? member : NULL;
}

bool uspi_json_integer(const uspi_node *node, size_t low, size_t high, size_t *value) {
  if (!node || node->type != USPI_NUMBER) return false;
  if (!(node->number >= (double)low && node->number <= (double)high) || node->number != floor(node->number))
    return false;
  *value = (size_t)node->number;
  return true;
}
