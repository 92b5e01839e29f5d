#include "backend.h"
#include "error.h"
usp_status uspi_tensorflow_open(const char *folder, const char *library, const uspi_manifest *manifest,
                                uspi_backend *backend) {
  (void)folder; (void)library; (void)manifest; (void)backend;
  return uspi_fail(USP_UNSUPPORTED, "not yet");
}
