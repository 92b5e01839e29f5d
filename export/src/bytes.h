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

static inline void uspi_get_doubles(const uint8_t *from, double *to, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint64_t bits = uspi_get(from + 8 * i, 8);
    memcpy(to + i, &bits, sizeof bits);
  }
}

static inline void uspi_put_doubles(uint8_t *to, const double *from, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint64_t bits;
    memcpy(&bits, from + i, sizeof bits);
    uspi_put(to + 8 * i, bits, 8);
  }
}

#endif
