/* Failing with a message. */
#ifndef USPI_ERROR_H
#define USPI_ERROR_H

#include "usp.h"

/* Keeps the message for usp_last_error() of this thread and returns the status. */
__attribute__((format(printf, 2, 3))) usp_status uspi_fail(usp_status status, const char *format, ...);

/* USP_NULL_POINTER, naming the argument. */
usp_status uspi_null(const char *function, const char *argument);

/* USP_OUT_OF_MEMORY. */
usp_status uspi_no_memory(void);

#endif
