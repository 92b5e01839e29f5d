/* Files that must be refused, each for its reason: test_cases CASES. A line is
**     "model", folder, status, words of the message         the folder is loaded
**     "stream", folder, file, status, words                 the folder must load, then the stream file
** with tabs between; status 0 loads. */
#include <stdlib.h>

#include "check.h"
#include "usp.h"

int main(int argc, char **argv) {
  char line[8192];
  FILE *cases = argc == 2 ? fopen(argv[1], "r") : NULL;
  if (!cases) return 2;
  while (fgets(line, sizeof line, cases)) {
    char *field[5] = {line};
    usp_model *model = NULL;
    usp_stream *stream = NULL;
    int n = 1;
    line[strcspn(line, "\n")] = 0;
    for (char *tab = line; n < 5 && (tab = strchr(tab, '\t')); n++) {
      *tab++ = 0;
      field[n] = tab;
    }
    usp_status got = usp_model_load(field[1], NULL, &model), expected = atoi(field[n - 2]);
    if (n == 5) {
      OK(got);
      got = usp_stream_load(model, field[2], &stream);
    }
    check_count++;
    if (got != expected || (got && !strstr(usp_last_error(), field[n - 1])) || (got && n == 5 ? stream != NULL : 0) ||
        (got && n == 4 && model)) {
      check_failures++;
      fprintf(stderr, "%s: status %d, \"%s\"\n", field[n - 3], got, usp_last_error());
    }
    usp_stream_free(stream);
    usp_model_free(model);
  }
  fclose(cases);
  return check_report();
}
