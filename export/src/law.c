#include "law.h"

#include <math.h>

#include "error.h"

#define EDGE 0.005 /* where the tails start: the outer levels of the grid on which laws are computed */

/* Distance from the quantile at tail probability from to the one at u < from. Both lie in the tail, whose distance
** from its start is b((u0/u)^x - 1)/x (Pickands 1975), so that b((u0/from)^x)((from/u)^x - 1)/x lies between them. */
static double beyond(double from, double u, double scale, double index) {
  double grown = scale * (from < EDGE ? exp(index * log(EDGE / from)) : 1.0);
  double ratio = u < 1e-300 ? log(from) - log(u) : log(from / u); /* from / u would overflow */
  return grown * (index != 0 ? expm1(index * ratio) / index : ratio);
}

usp_status uspi_law_quantile(const double *levels, size_t n, const double *q, const double *tails, double u,
                             double *value) {
  double last = levels[n - 1];
  for (size_t i = 1; i < n; i++)
    if (!(levels[i] > levels[i - 1])) return uspi_fail(USP_UNSUPPORTED, "The levels of this model don't ascend.");
  if (u < levels[0] || u > last) {
    double from = u < levels[0] ? levels[0] : 1 - last;
    if (from > EDGE + 1e-9)
      return uspi_fail(USP_UNSUPPORTED, "Level %g lies beyond the outer levels of this model, %g and %g.", u, levels[0],
                       last);
    if (from > EDGE - 1e-9) from = EDGE; /* 1 - 0.995 is not 0.005 */
    *value = u < levels[0] ? q[0] - beyond(from, u, tails[0], tails[2])
                           : q[n - 1] + beyond(from, fmin(1 - u, from), tails[1], tails[3]);
    return USP_OK;
  }
  size_t right = 0;
  while (levels[right] < u) right++;
  if (!right) {
    *value = q[0];
    return USP_OK;
  }
  double t = (u - levels[right - 1]) / (levels[right] - levels[right - 1]);
  *value = q[right - 1] * (1 - t) + q[right] * t;
  return USP_OK;
}
