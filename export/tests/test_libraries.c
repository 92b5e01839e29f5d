/* Libraries with a model each in one process don't take each other's functions or models: test_libraries FUTURE DAMAGED
** FAKE. The table of the first is of a version to come, the state of the second is not the one of its manifest. */
#include <dlfcn.h>

#include "check.h"
#include "usp.h"

typedef usp_status loader(const char *, const usp_load_options *, usp_model **);
typedef const char *teller(void);

/* What the library's own usp_model_load gives for the model inside it. */
static void check(const char *library, usp_status expected, const char *words) {
  usp_model *model = NULL;
  void *opened = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
  CHECK(opened);
  if (!opened) return;
  void *symbols[] = {dlsym(opened, "usp_model_load"), dlsym(opened, "usp_last_error")};
  loader *load;
  teller *tell;
  memcpy(&load, &symbols[0], sizeof load);
  memcpy(&tell, &symbols[1], sizeof tell);
  CHECK(load != usp_model_load);
  CHECK(load(NULL, NULL, &model) == expected && strstr(tell(), words) && (model != NULL) == (expected == USP_OK));
  usp_model_free(model); /* that of another library: handles are alike in all of one version */
}

int main(int argc, char **argv) {
  usp_model *model = NULL;
  if (argc != 4) return 2;
  check(argv[1], USP_VERSION, "another version");
  check(argv[2], USP_CORRUPT, "trained state");
  check(argv[3], USP_OK, "");
  FAILS(USP_UNSUPPORTED, "built into", usp_model_load(NULL, NULL, &model));
  return check_report();
}
