/* What a compiled graph needs around it: calls of its kernels, sorting, and matrix products. Nothing here allocates. */
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

extern "C" {
/* The calling convention of kernels. */
struct XLA_CPU_KernelError;
struct XLA_CPU_WorkGroup { uint64_t x, y, z; };
struct XLA_CPU_KernelArg { void *data; size_t size; };
struct XLA_CPU_KernelCallFrame {
  const XLA_CPU_WorkGroup *grid, *at;
  size_t n;
  const XLA_CPU_KernelArg *arguments;
};
}

namespace {
typedef XLA_CPU_KernelError *Kernel(const XLA_CPU_KernelCallFrame *);
typedef void Comparator(bool *, const void *, const void **, const void *, const void *, const void *);

struct Operand { uint32_t buffer, offset, size; };

template <size_t WIDEST>
bool call_kernel(Kernel *kernel, void **buffers, const Operand *operands, size_t n, uint64_t x, uint64_t y, uint64_t z) {
  XLA_CPU_KernelArg arguments[WIDEST];
  for (size_t i = 0; i < n; ++i)
    arguments[i] = {static_cast<char *>(buffers[operands[i].buffer]) + operands[i].offset, operands[i].size};
  XLA_CPU_WorkGroup grid = {x, y, z}, at;
  for (at.z = 0; at.z < z; ++at.z)
    for (at.y = 0; at.y < y; ++at.y)
      for (at.x = 0; at.x < x; ++at.x) {
        XLA_CPU_KernelCallFrame frame = {&grid, &at, n, arguments};
        if (kernel(&frame)) return false;
      }
  return true;
}

/* Stable, of K arrays at once along the middle one of three axes. scratch: 16 bytes for each of n. */
template <size_t K>
void sort(std::byte *const *values, const size_t *sizes, Comparator *comparator, int64_t outer, uint32_t n, int64_t inner,
          void *scratch) {
  uint32_t *order = static_cast<uint32_t *>(scratch), *other = order + n;
  char *held = reinterpret_cast<char *>(other + n);
  for (int64_t slice = 0; slice < outer * inner; ++slice) {
    const int64_t first = slice / inner * inner * n + slice % inner;
    auto at = [&](size_t k, uint32_t i) { return values[k] + (first + i * inner) * sizes[k]; };
    auto before = [&](uint32_t a, uint32_t b) {
      const void *pair[2 * K];
      for (size_t k = 0; k < K; ++k) pair[2 * k] = at(k, a), pair[2 * k + 1] = at(k, b);
      bool less = false;
      comparator(&less, nullptr, pair, nullptr, nullptr, nullptr);
      return less;
    };
    const uint32_t RUN = 8;
    for (uint32_t start = 0; start < n; start += RUN) {
      const uint32_t end = start + RUN < n ? start + RUN : n;
      for (uint32_t i = start; i < end; ++i) {
        uint32_t j = i;
        for (; j > start && before(i, order[j - 1]); --j) order[j] = order[j - 1];
        order[j] = i;
      }
    }
    for (uint32_t width = RUN; width < n; width *= 2) {
      for (uint32_t start = 0; start < n; start += 2 * width) {
        const uint32_t middle = start + width < n ? start + width : n, end = middle + width < n ? middle + width : n;
        uint32_t left = start, right = middle;
        for (uint32_t to = start; to < end; ++to)
          other[to] = left < middle && (right == end || !before(order[right], order[left])) ? order[left++] : order[right++];
      }
      uint32_t *swapped = order;
      order = other, other = swapped;
    }
    for (size_t k = 0; k < K; ++k) {
      for (uint32_t i = 0; i < n; ++i) std::memcpy(held + i * sizes[k], at(k, order[i]), sizes[k]);
      for (uint32_t i = 0; i < n; ++i) std::memcpy(at(k, i), held + i * sizes[k], sizes[k]);
    }
  }
}

/* out (m, n) = lhs (m, k) rhs (k, n), columns contiguous; a transposed operand lies the other way round.
   scratch: m k numbers, where a transposed lhs is turned round. */
template <class T>
void dot(T *out, const T *lhs, const T *rhs, int64_t m, int64_t n, int64_t k, bool lhs_transposed, bool rhs_transposed,
         void *scratch) {
  const int64_t along = rhs_transposed ? n : 1, across = rhs_transposed ? 1 : k, BLOCK = 16;
  if (lhs_transposed && m > 1) {
    T *turned = static_cast<T *>(scratch);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t p = 0; p < k; ++p) turned[p * m + i] = lhs[i * k + p];
    lhs = turned;
  }
  for (int64_t start = 0; start < m; start += BLOCK) {
    const int64_t rows = start + BLOCK < m ? BLOCK : m - start;
    for (int64_t j = 0; j < n; ++j) {
      const T *left = lhs + start, *right = rhs + j * across;
      T sums[BLOCK] = {};
      if (rows == BLOCK) {
        for (int64_t p = 0; p < k; ++p, left += m, right += along) {
          const T factor = *right;
#pragma omp simd
          for (int64_t i = 0; i < BLOCK; ++i) sums[i] += left[i] * factor;
        }
      } else {
        for (int64_t p = 0; p < k; ++p, left += m, right += along)
          for (int64_t i = 0; i < rows; ++i) sums[i] += left[i] * *right;
      }
      std::memcpy(out + j * m + start, sums, rows * sizeof *sums);
    }
  }
}

/* A graph's memory: temporaries, inputs and outputs, and scratch of the sorts. */
template <size_t BUFFERS, size_t MEMORY>
struct Instance {
  void *buffers[BUFFERS];
  alignas(64) char memory[MEMORY];
};
struct Place { uint32_t buffer; size_t offset; };
struct Constant { uint32_t buffer; char *start; };

template <class Own>
void *instance_new(const Place *places, size_t n_places, const Constant *constants, size_t n_constants) {
  void *memory = nullptr;
  if (posix_memalign(&memory, 64, sizeof(Own))) return nullptr;
  Own &self = *static_cast<Own *>(memory);
  for (void *&buffer : self.buffers) buffer = nullptr;
  for (size_t i = 0; i < n_places; ++i) self.buffers[places[i].buffer] = self.memory + places[i].offset;
  for (size_t i = 0; i < n_constants; ++i) self.buffers[constants[i].buffer] = constants[i].start;
  return memory;
}

inline bool aligned(const double *p) { return reinterpret_cast<uintptr_t>(p) % 64 == 0; }

/* An input that is aligned is read where it lies; kernels never write to inputs. */
template <class Own>
void take(Own &self, uint32_t buffer, size_t place, const double *from, size_t n) {
  if (aligned(from)) {
    self.buffers[buffer] = const_cast<double *>(from);
  } else {
    self.buffers[buffer] = self.memory + place;
    std::memcpy(self.buffers[buffer], from, n * sizeof *from);
  }
}

template <class T, class Own>
void take(Own &self, uint32_t buffer, const double *from, size_t n) {
  T *to = static_cast<T *>(self.buffers[buffer]);
  for (size_t i = 0; i < n; ++i) to[i] = static_cast<T>(from[i]);
}

/* An output that is aligned, and not one of the inputs, is written where it shall lie. */
template <class Own>
void lend(Own &self, uint32_t buffer, size_t place, double *to, const double *const *inputs, size_t n_inputs) {
  bool direct = aligned(to);
  for (size_t i = 0; i < n_inputs; ++i) direct = direct && inputs[i] != to;
  self.buffers[buffer] = direct ? static_cast<void *>(to) : self.memory + place;
}

template <class T, class Own>
void give(Own &self, uint32_t buffer, double *to, size_t n) {
  const T *from = static_cast<const T *>(self.buffers[buffer]);
  if (static_cast<const void *>(from) == to) return;
  for (size_t i = 0; i < n; ++i) to[i] = from[i];
}
}
