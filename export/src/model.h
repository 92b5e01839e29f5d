/* A loaded model, shared by threads. */
#ifndef USPI_MODEL_H
#define USPI_MODEL_H

#include <pthread.h>
#include <stdatomic.h>

#include "backend.h"
#include "manifest.h"

/* An instance of the engine and room for its largest batch, for one call of usp_predict at a time. */
typedef struct uspi_worker {
  struct uspi_worker *next;
  void *instance;
  double *rows;
  double *outputs[USPI_PARTS];
} uspi_worker;

struct usp_model {
  atomic_size_t owners; /* the caller and the streams */
  uspi_manifest manifest;
  uspi_backend backend;
  const double *state;           /* the trained state; NULL without step */
  uint8_t *read;                 /* the file it lies in; NULL if it lies in the library */
  uint8_t identity[USPI_DIGEST]; /* SHA-256 of state.bin */
  pthread_mutex_t lock;          /* of idle */
  uspi_worker *idle;
};

/* One more owner, one fewer. Models are const to callers: what changes is not visible to them. */
void uspi_model_hold(const usp_model *model);
void uspi_model_drop(const usp_model *model);

/* A worker that nobody uses, a new one if need be; to be given back. */
usp_status uspi_worker_take(const usp_model *model, uspi_worker **worker);
void uspi_worker_give(const usp_model *model, uspi_worker *worker);

/* Copies n elements of this size to a caller who may be asking for their number alone. */
usp_status uspi_copy_out(const char *function, const void *from, size_t n, size_t size, void *out, size_t capacity,
                         size_t *needed);

#endif
