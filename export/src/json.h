/* A strict JSON reader (RFC 8259) with bounds on depth and size, for the manifest. */
#ifndef USPI_JSON_H
#define USPI_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "usp.h"

#define USPI_JSON_DEPTH 32
#define USPI_JSON_BYTES ((size_t)16 << 20)
#define USPI_JSON_MEMBERS 4096 /* of one object: keys are compared pairwise */

typedef enum { USPI_NULL, USPI_BOOLEAN, USPI_NUMBER, USPI_STRING, USPI_ARRAY, USPI_OBJECT } uspi_type;

typedef struct uspi_node {
  uspi_type type;
  const char *key;    /* of a member of an object; UTF-8, without zero bytes */
  const char *string; /* likewise */
  double number;      /* of a number; 0 or 1 of a boolean */
  size_t count;       /* of items or members */
  const struct uspi_node *first, *next;
} uspi_node;

typedef struct uspi_json {
  char *text;
  uspi_node *nodes; /* the first one is the whole */
} uspi_json;

/* what: the text's name in messages. To be freed by uspi_json_free unless it fails. */
usp_status uspi_json_parse(const char *text, size_t length, const char *what, uspi_json *json);
void uspi_json_free(uspi_json *json);

/* Member of an object, or NULL; node may be NULL or of another type. */
const uspi_node *uspi_json_get(const uspi_node *node, const char *key);

/* Member of that type, or NULL. */
const uspi_node *uspi_json_typed(const uspi_node *node, const char *key, uspi_type type);

/* Whether the node is a whole number in [low, high], and which. */
bool uspi_json_integer(const uspi_node *node, size_t low, size_t high, size_t *value);

#endif
