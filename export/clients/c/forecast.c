/* Streams a CSV file through an exported model that learns as it goes; prints the quantiles after every value.
**   forecast MODEL_FOLDER VALUES.csv [STREAM]
** MODEL_FOLDER "-" is the model inside the library this was linked to. STREAM is a file where the stream is kept: it goes
** on from there if the file exists, and is saved there in the end.
*/
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "usp.h"

enum { LINE = 65536 };

static int usp_failed(const char *what) {
  fprintf(stderr, "%s: %s\n", what, usp_last_error());
  return 1;
}

static double now(void) { /* microseconds */
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Numbers of a line of CSV: how many there are (counted up to capacity), 0 for an empty line, -1 for anything else. */
static int numbers(const char *text, double *out, size_t capacity) {
  size_t n = 0;
  if (text[strspn(text, " \t\r\n")] == '\0') return 0;
  for (;;) {
    char *end;
    double value = strtod(text, &end);
    if (end == text) return -1;
    if (n < capacity) out[n++] = value;
    end += strspn(end, " \t\r\n");
    if (*end == '\0') return (int)n;
    if (*end != ',') return -1;
    text = end + 1;
  }
}

/* What the program holds; `give_back` frees all of it, whatever of it there is. */
typedef struct {
  usp_model *model;
  usp_stream *stream;
  FILE *file;
  double *y, *quantiles, *times;
} holdings;

static void give_back(holdings *h) {
  usp_stream_free(h->stream);
  usp_model_free(h->model);
  if (h->file) fclose(h->file);
  free(h->y);
  free(h->quantiles);
  free(h->times);
}

static int run(holdings *h, const char *folder, const char *path, const char *kept) {
  static char line[LINE];
  usp_model_description info;
  size_t width, columns, pushed = 0, room = 0, row = 0;

  if (usp_abi_version() < USP_ABI_VERSION) {
    fprintf(stderr, "libusp is older than the header this program was built with\n");
    return 1;
  }
  if (usp_model_load(strcmp(folder, "-") ? folder : NULL, NULL, &h->model)) return usp_failed(folder);
  memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  if (usp_model_info(h->model, &info)) return usp_failed("usp_model_info");
  if (kept && access(kept, F_OK) == 0) {
    if (usp_stream_load(h->model, kept, &h->stream)) return usp_failed(kept);
  } else if (usp_stream_new(h->model, &h->stream)) {
    return usp_failed("usp_stream_new");
  }
  columns = 1 + info.n_exogenous;
  width = info.n_horizons * info.n_levels;
  h->y = malloc((columns + 1) * sizeof(double)); /* one more: the library refuses too many */
  h->quantiles = malloc(width * sizeof(double));
  h->file = fopen(path, "r");
  if (!h->y || !h->quantiles || !h->file) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return 1;
  }

  while (fgets(line, sizeof line, h->file)) {
    int n = numbers(line, h->y, columns + 1);
    size_t i;
    double start;
    row++;
    if (n == 0 || (n < 0 && row == 1)) continue; /* empty, or the header */
    if (n < 0) {
      fprintf(stderr, "%s, line %lu: not numbers\n", path, (unsigned long)row);
      return 1;
    }
    if (pushed == room) {
      double *more = realloc(h->times, (room = 2 * room + 1024) * sizeof(double));
      if (!more) {
        fprintf(stderr, "out of memory\n");
        return 1;
      }
      h->times = more;
    }
    start = now();
    if (usp_stream_push(h->stream, h->y, (size_t)n, h->quantiles, width, NULL)) return usp_failed(path);
    h->times[pushed++] = now() - start;
    for (i = 0; i < width; i++) printf(i ? ",%.17g" : "%.17g", h->quantiles[i]);
    putchar('\n');
  }
  if (ferror(h->file) || fflush(stdout) || ferror(stdout)) {
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    return 1;
  }
  if (kept && usp_stream_save(h->stream, kept)) return usp_failed(kept);
  if (pushed) {
    qsort(h->times, pushed, sizeof(double), ascending);
    fprintf(stderr, "median push latency: %.1f us\n", h->times[pushed / 2]);
  }
  return 0;
}

int main(int argc, char **argv) {
  holdings h = {NULL, NULL, NULL, NULL, NULL, NULL};
  int code;
  if (argc != 3 && argc != 4) {
    fprintf(stderr, "usage: %s MODEL_FOLDER VALUES.csv [STREAM]\n", argv[0]);
    return 2;
  }
  code = run(&h, argv[1], argv[2], argc == 4 ? argv[3] : NULL);
  give_back(&h);
  return code;
}
