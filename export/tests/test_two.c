/* Two libraries with a model each in one process don't take each other's functions: test_two FUTURE FAKE, the first of
** which has a table of a version to come. */
#include <dlfcn.h>

#include "check.h"
#include "usp.h"

typedef usp_status loader(const char *, const usp_load_options *, usp_model **);
typedef const char *teller(void);

int main(int argc, char **argv) {
  usp_model *model = NULL;
  if (argc != 3) return 2;
  void *future = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL), *fake = dlopen(argv[2], RTLD_NOW | RTLD_GLOBAL);
  CHECK(future && fake);
  if (!future || !fake) return check_report();
  void *symbols[] = {dlsym(future, "usp_model_load"), dlsym(fake, "usp_model_load"), dlsym(future, "usp_last_error")};
  loader *load_future, *load_fake;
  teller *tell_future;
  memcpy(&load_future, &symbols[0], sizeof load_future);
  memcpy(&load_fake, &symbols[1], sizeof load_fake);
  memcpy(&tell_future, &symbols[2], sizeof tell_future);
  CHECK(load_future != load_fake && load_fake != usp_model_load);
  CHECK(load_future(NULL, NULL, &model) == USP_VERSION && strstr(tell_future(), "another version"));
  CHECK(load_fake(NULL, NULL, &model) == USP_OK && model);
  usp_model_free(model); /* the third library's; handles are alike in all of one version */
  FAILS(USP_UNSUPPORTED, "built into", usp_model_load(NULL, NULL, &model));
  dlclose(future);
  dlclose(fake);
  return check_report();
}
