/* Blocks of SHA-256 by the processor's own instructions, eight to ten times as fast; models are megabytes. */
#include "sha256.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(USPI_PORTABLE)
#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

static int ask(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3)) return 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29)); /* SHA */
}

/* Asked once: on a virtual machine the question itself takes tens of microseconds. */
int uspi_sha256_quick(void) {
  static atomic_int answer = -1;
  int known = atomic_load_explicit(&answer, memory_order_relaxed);
  if (known < 0) atomic_store_explicit(&answer, known = ask() != 0, memory_order_relaxed);
  return known;
}

/* The instructions keep the eight variables as (A, B, E, F) and (C, D, G, H), and do two rounds each. */
__attribute__((target("sha,sse4.1,ssse3"))) void uspi_sha256_blocks(uint32_t hash[8], const uint8_t *block, size_t n,
                                                                     const uint32_t k[64]) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
  __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)hash), 0xB1);
  __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(hash + 4)), 0x1B);
  __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xF0);
  for (; n; n--, block += 64) {
    const __m128i abef_before = abef, cdgh_before = cdgh;
    __m128i w[4];
    for (int i = 0; i < 16; i++) {
      __m128i next;
      if (i < 4) {
        next = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * i)), big_endian);
      } else {
        __m128i w7 = _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4);
        next = _mm_add_epi32(_mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]), w7);
        next = _mm_sha256msg2_epu32(next, w[(i + 3) & 3]);
      }
      w[i & 3] = next;
      next = _mm_add_epi32(next, _mm_loadu_si128((const __m128i *)(k + 4 * i)));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, next);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(next, 0x0E));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  low = _mm_shuffle_epi32(abef, 0x1B);
  high = _mm_shuffle_epi32(cdgh, 0xB1);
  _mm_storeu_si128((__m128i *)hash, _mm_blend_epi16(low, high, 0xF0));
  _mm_storeu_si128((__m128i *)(hash + 4), _mm_alignr_epi8(high, low, 8));
}

#else

int uspi_sha256_quick(void) { return 0; }

void uspi_sha256_blocks(uint32_t hash[8], const uint8_t *block, size_t n, const uint32_t k[64]) {
  (void)hash, (void)block, (void)n, (void)k;
}

#endif
