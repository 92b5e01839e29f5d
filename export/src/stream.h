/* A stream: a state, its newest law, and room for the next of both. */
#ifndef USPI_STREAM_H
#define USPI_STREAM_H

#include "model.h"

struct usp_stream {
  const usp_model *model;
  void *instance;
  uint64_t count;
  double *state, *spare_state;
  double *law, *spare_law; /* the parts one after the other */
  double values[];         /* what these four point into */
};

/* Parts of a law that starts there. */
double *uspi_stream_part(const usp_stream *stream, double *law, size_t part);

#endif
