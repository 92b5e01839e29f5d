/* CHECK: counts what fails, says where, goes on. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <string.h>

static int check_failures, check_count;

#define CHECK(condition)                                                      \
  do {                                                                        \
    check_count++;                                                            \
    if (!(condition)) {                                                       \
      check_failures++;                                                       \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);         \
    }                                                                         \
  } while (0)

/* The call gives that status and, if it fails, a message that holds the words. */
#define FAILS(status, words, call)                                                                     \
  do {                                                                                                 \
    usp_status got_ = (call);                                                                          \
    check_count++;                                                                                     \
    if (got_ != (status) || !strstr(usp_last_error(), (words))) {                                      \
      check_failures++;                                                                                \
      fprintf(stderr, "%s:%d: %s gives %d, \"%s\"\n", __FILE__, __LINE__, #call, got_, usp_last_error()); \
    }                                                                                                  \
  } while (0)

#define OK(call) FAILS(USP_OK, "", call)

static inline int check_report(void) {
  printf("%d checks, %d failures\n", check_count, check_failures);
  return check_failures ? 1 : 0;
}

#endif
