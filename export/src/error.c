#include "error.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[1024];

usp_status uspi_fail(usp_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return status;
}

usp_status uspi_null(const char *function, const char *argument) {
  return uspi_fail(USP_NULL_POINTER, "The argument '%s' of %s is NULL.", argument, function);
}

usp_status uspi_no_memory(void) { return uspi_fail(USP_OUT_OF_MEMORY, "There is not enough memory."); }

const char *usp_last_error(void) { return message; }

uint32_t usp_abi_version(void) { return USP_ABI_VERSION; }

const char *usp_status_text(usp_status status) {
  static const char *const texts[] = {
      [USP_OK] = "ok",
      [USP_INVALID_ARGUMENT] = "invalid argument",
      [USP_NULL_POINTER] = "null pointer",
      [USP_BUFFER_TOO_SMALL] = "buffer too small",
      [USP_NOT_FOUND] = "not found",
      [USP_IO] = "input or output failed",
      [USP_CORRUPT] = "corrupt file",
      [USP_VERSION] = "unknown version",
      [USP_UNSUPPORTED] = "not supported",
      [USP_OUT_OF_MEMORY] = "out of memory",
      [USP_BACKEND] = "engine failed",
      [USP_NOT_FINITE] = "input not finite",
      [USP_NO_LAW] = "no law yet",
      [USP_WRONG_MODEL] = "stream of another model",
  };
  if (status < 0 || (size_t)status >= sizeof texts / sizeof *texts) return "unknown status";
  return texts[status];
}
