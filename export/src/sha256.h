/* SHA-256 (FIPS 180-4). */
#ifndef USPI_SHA256_H
#define USPI_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define USPI_DIGEST 32

typedef struct uspi_sha256 {
  uint32_t hash[8];
  uint64_t length; /* bytes so far */
  uint8_t block[64];
} uspi_sha256;

void uspi_sha256_start(uspi_sha256 *sha);
void uspi_sha256_add(uspi_sha256 *sha, const void *bytes, size_t length);
void uspi_sha256_end(uspi_sha256 *sha, uint8_t digest[USPI_DIGEST]);

/* Whether this processor has instructions for it, and n blocks of 64 bytes by them; k are the 64 constants. */
int uspi_sha256_quick(void);
void uspi_sha256_blocks(uint32_t hash[8], const uint8_t *block, size_t n, const uint32_t k[64]);

/* Of one piece of memory. */
void uspi_sha256_of(const void *bytes, size_t length, uint8_t digest[USPI_DIGEST]);

#endif
