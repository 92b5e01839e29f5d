/* The quantile function of a law. */
#ifndef USPI_LAW_H
#define USPI_LAW_H

#include <stddef.h>

#include "usp.h"

/* Q(u) of the law with quantiles q at n levels and tails (scale left, right, index left, right). */
usp_status uspi_law_quantile(const double *levels, size_t n, const double *q, const double *tails, double u,
                             double *value);

#endif
