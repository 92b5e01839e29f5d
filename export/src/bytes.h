/* Little-endian numbers in files, whatever the machine's order. */
#ifndef USPI_BYTES_H
#define USPI_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint64_t uspi_get(const uint8_t *from, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = bytes; i-- > 0;) value = value << 8 | from[i];
  return value;
}

static inline void uspi_put(uint8_t *to, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> 8 * i);
}

/* Numbers of a file that lie in memory, to those of this machine, in the same place. */
static inline void uspi_native_doubles(double *values, size_t n) {
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
  for (size_t i = 0; i < n; i++) {
    uint64_t bits = uspi_get((const uint8_t *)(values + i), 8);
    memcpy(values + i, &bits, sizeof bits);
  }
#else
  (void)values, (void)n;
#endif
}

static inline void uspi_get_doubles(const uint8_t *from, double *to, size_t n) {
  memcpy(to, from, n * sizeof *to);
  uspi_native_doubles(to, n);
}

static inline void uspi_put_doubles(uint8_t *to, const double *from, size_t n) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  memcpy(to, from, n * sizeof *from);
#else
  for (size_t i = 0; i < n; i++) {
    uint64_t bits;
    memcpy(&bits, from + i, sizeof bits);
    uspi_put(to + 8 * i, bits, 8);
  }
#endif
}

#endif
