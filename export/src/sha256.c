#include "sha256.h"

#include <string.h>

/* Fractional parts of the cube roots of the first 64 primes, FIPS 180-4 §4.2.2. */
static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

/* One block of 64 bytes, §6.2.2. */
static void absorb(uint32_t hash[8], const uint8_t block[64]) {
  uint32_t w[64], v[8];
  for (int t = 0; t < 16; t++) {
    const uint8_t *b = block + 4 * t;
    w[t] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
  }
  for (int t = 16; t < 64; t++) {
    uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
    uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
    w[t] = s1 + w[t - 7] + s0 + w[t - 16];
  }
  memcpy(v, hash, sizeof v);
  for (size_t t = 0; t < 64; t += 8) {
    /* The eight variables change places each round; after eight they are back. */
    for (size_t i = 0; i < 8; i++) {
#define V(place) v[((place) - i) & 7]
      uint32_t s1 = rotate(V(4), 6) ^ rotate(V(4), 11) ^ rotate(V(4), 25);
      uint32_t choice = (V(4) & V(5)) ^ (~V(4) & V(6));
      uint32_t t1 = V(7) + s1 + choice + K[t + i] + w[t + i];
      uint32_t s0 = rotate(V(0), 2) ^ rotate(V(0), 13) ^ rotate(V(0), 22);
      uint32_t majority = (V(0) & V(1)) ^ (V(0) & V(2)) ^ (V(1) & V(2));
      V(3) += t1;
      V(7) = t1 + s0 + majority;
#undef V
    }
  }
  for (int i = 0; i < 8; i++) hash[i] += v[i];
}

static void absorb_all(uint32_t hash[8], const uint8_t *block, size_t n) {
  if (uspi_sha256_quick())
    uspi_sha256_blocks(hash, block, n, K);
  else
    for (; n; n--, block += 64) absorb(hash, block);
}

void uspi_sha256_start(uspi_sha256 *sha) {
  static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memset(sha, 0, sizeof *sha);
  memcpy(sha->hash, start, sizeof start);
}

void uspi_sha256_add(uspi_sha256 *sha, const void *bytes, size_t length) {
  const uint8_t *next = bytes;
  while (length) {
    size_t at = sha->length % 64, take = 64 - at < length ? 64 - at : length;
    if (!at && length >= 64) {
      take = length - length % 64;
      absorb_all(sha->hash, next, take / 64);
    } else {
      memcpy(sha->block + at, next, take);
    }
    sha->length += take;
    next += take;
    length -= take;
    if (at && at + take == 64) absorb_all(sha->hash, sha->block, 1);
  }
}

void uspi_sha256_end(uspi_sha256 *sha, uint8_t digest[USPI_DIGEST]) {
  uint64_t bits = sha->length * 8;
  uint8_t length[8];
  for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> (56 - 8 * i));
  uspi_sha256_add(sha, "\x80", 1);
  while (sha->length % 64 != 56) uspi_sha256_add(sha, "", 1);
  uspi_sha256_add(sha, length, 8);
  for (int i = 0; i < USPI_DIGEST; i++) digest[i] = (uint8_t)(sha->hash[i / 4] >> (24 - 8 * (i % 4)));
}

void uspi_sha256_of(const void *bytes, size_t length, uint8_t digest[USPI_DIGEST]) {
  uspi_sha256 sha;
  uspi_sha256_start(&sha);
  uspi_sha256_add(&sha, bytes, length);
  uspi_sha256_end(&sha, digest);
}
