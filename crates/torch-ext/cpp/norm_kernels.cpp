// Vectorized by the compiler once for each instruction set, chosen at run time.
#include "norm_kernels.hpp"

#include <algorithm>
#include <cstring>

#define INLINE __attribute__((always_inline)) inline

namespace tweedie {
namespace {

constexpr int64_t kRows = 32;
constexpr int64_t kLanes = 16;

struct bf16 {
  uint16_t bits;
};

INLINE uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

INLINE float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

INLINE float load(float value) { return value; }
INLINE float load(bf16 value) { return float_of(static_cast<uint32_t>(value.bits) << 16); }
INLINE void store(float& to, float value) { to = value; }
INLINE void store(bf16& to, float value) {
  // Round to nearest, ties to even; a NaN stays one, where adding could carry it over to zero.
  const uint32_t bits = bits_of(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  to.bits = static_cast<uint16_t>(value != value ? 0x7fc0u : rounded);
}

// exp by 2^n times a polynomial on [-ln2/2, ln2/2] (Cephes' expf), within 2 units in the last place.
// Held between exp(-60) and exp(60): beyond, quotients would be subnormal, which is slow.
INLINE float exponential(float x) {
  x = x > -60.0f ? x : -60.0f;
  x = x < 60.0f ? x : 60.0f;
  const float shifted = x * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * float_of((bits_of(shifted) - 0x4b400000u + 127u) << 23);
}

INLINE float sigmoid(float x) { return 1.0f / (1.0f + exponential(-x)); }

template <typename T>
INLINE void sums_of(const Block& b, const T* __restrict x, const float* __restrict center,
                    double* __restrict sums) {
  for (int64_t row = 0; row < b.rows; row += kRows) {
    const int64_t rows = std::min(kRows, b.rows - row);
    for (int64_t c = 0; c < b.width; c += kLanes) {
      const int64_t lanes = std::min(kLanes, b.width - c);
      const T* start = x + row * b.stride + c;
      float sum[kLanes] = {};
      if (lanes == kLanes && center == nullptr) {
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t j = 0; j < kLanes; ++j) sum[j] += load(start[r * b.stride + j]);
      } else if (lanes == kLanes) {
        float mid[kLanes];
        for (int64_t j = 0; j < kLanes; ++j) mid[j] = center[c + j];
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t j = 0; j < kLanes; ++j) {
            const float d = load(start[r * b.stride + j]) - mid[j];
            sum[j] += d * d;
          }
      } else {
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t j = 0; j < lanes; ++j) {
            const float value = load(start[r * b.stride + j]);
            const float d = center == nullptr ? 0.0f : value - center[c + j];
            sum[j] += center == nullptr ? value : d * d;
          }
      }
      for (int64_t j = 0; j < lanes; ++j) sums[c + j] += sum[j];
    }
  }
}

template <typename T>
INLINE void normalize_of(const Block& b, const T* __restrict x, const float* __restrict center,
                         const float* __restrict scale, const float* __restrict offset,
                         T* __restrict y) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const T* from = x + r * b.stride;
    T* to = y + r * b.stride;
    if (b.silu) {
      for (int64_t c = 0; c < b.width; ++c) {
        const float u = (load(from[c]) - center[c]) * scale[c] + offset[c];
        store(to[c], u / (1.0f + exponential(-u)));
      }
    } else {
      for (int64_t c = 0; c < b.width; ++c)
        store(to[c], (load(from[c]) - center[c]) * scale[c] + offset[c]);
    }
  }
}

// The gradient before the activation of some rows: dx = dy act'(u).
template <typename T>
INLINE void before_activation(const Block& b, int64_t rows, const T* __restrict x,
                              const T* __restrict dy, const float* __restrict center,
                              const float* __restrict scale, const float* __restrict offset,
                              T* __restrict dx) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* from = x + r * b.stride;
    const T* outer = dy + r * b.stride;
    T* to = dx + r * b.stride;
    if (b.silu) {
      for (int64_t c = 0; c < b.width; ++c) {
        const float u = (load(from[c]) - center[c]) * scale[c] + offset[c];
        const float s = sigmoid(u);
        store(to[c], load(outer[c]) * (s * (1.0f + u * (1.0f - s))));
      }
    } else {
      for (int64_t c = 0; c < b.width; ++c) to[c] = outer[c];
    }
  }
}

// Sums over some rows of du, du * d and d, d being the centred input; `width` is at most kLanes.
template <typename T>
INLINE void gradient_lanes(const Block& b, int64_t rows, int64_t width, const T* __restrict x,
                           const T* __restrict du, const float* __restrict center,
                           float* __restrict sum_du, float* __restrict sum_du_x,
                           float* __restrict sum_x) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < width; ++j) {
      const float d = load(x[r * b.stride + j]) - center[j];
      const float g = load(du[r * b.stride + j]);
      sum_du[j] += g;
      sum_du_x[j] += g * d;
      sum_x[j] += d;
    }
  }
}

template <typename T>
INLINE void backward_sums_of(const Block& b, const T* __restrict x, const T* __restrict dy,
                             const float* __restrict center, const float* __restrict scale,
                             const float* __restrict offset, T* __restrict dx,
                             double* __restrict sum_du, double* __restrict sum_du_x,
                             double* __restrict sum_x) {
  for (int64_t row = 0; row < b.rows; row += kRows) {
    const int64_t rows = std::min(kRows, b.rows - row);
    const int64_t start = row * b.stride;
    before_activation(b, rows, x + start, dy + start, center, scale, offset, dx + start);
    for (int64_t c = 0; c < b.width; c += kLanes) {
      const int64_t lanes = std::min(kLanes, b.width - c);
      const T* from = x + start + c;
      const T* du = dx + start + c;
      float g[kLanes] = {}, gd[kLanes] = {}, d[kLanes] = {}, mid[kLanes] = {};
      for (int64_t j = 0; j < lanes; ++j) mid[j] = center[c + j];
      if (lanes == kLanes) {
        gradient_lanes(b, rows, kLanes, from, du, mid, g, gd, d);
      } else {
        gradient_lanes(b, rows, lanes, from, du, mid, g, gd, d);
      }
      for (int64_t j = 0; j < lanes; ++j) {
        sum_du[c + j] += g[j];
        sum_du_x[c + j] += gd[j];
        sum_x[c + j] += d[j];
      }
    }
  }
}

template <typename T>
INLINE void backward_apply_of(const Block& b, const T* __restrict x, const float* __restrict center,
                              const float* __restrict p, const float* __restrict q,
                              const float* __restrict k, T* __restrict dx) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const T* from = x + r * b.stride;
    T* to = dx + r * b.stride;
    for (int64_t c = 0; c < b.width; ++c)
      store(to[c], p[c] * load(to[c]) - q[c] - k[c] * (load(from[c]) - center[c]));
  }
}

INLINE void column_sums_any(const Block& b, const void* x, double* sums) {
  if (b.element == Element::kFloat) {
    sums_of(b, static_cast<const float*>(x), nullptr, sums);
  } else {
    sums_of(b, static_cast<const bf16*>(x), nullptr, sums);
  }
}

INLINE void column_squares_any(const Block& b, const void* x, const float* center, double* sums) {
  if (b.element == Element::kFloat) {
    sums_of(b, static_cast<const float*>(x), center, sums);
  } else {
    sums_of(b, static_cast<const bf16*>(x), center, sums);
  }
}

INLINE void normalize_any(const Block& b, const void* x, const float* center, const float* scale,
                      const float* offset, void* y) {
  if (b.element == Element::kFloat) {
    normalize_of(b, static_cast<const float*>(x), center, scale, offset, static_cast<float*>(y));
  } else {
    normalize_of(b, static_cast<const bf16*>(x), center, scale, offset, static_cast<bf16*>(y));
  }
}

INLINE void backward_sums_any(const Block& b, const void* x, const void* dy, const float* center,
                          const float* scale, const float* offset, void* dx, double* sum_du,
                          double* sum_du_x, double* sum_x) {
  if (b.element == Element::kFloat) {
    backward_sums_of(b, static_cast<const float*>(x), static_cast<const float*>(dy), center, scale,
                     offset, static_cast<float*>(dx), sum_du, sum_du_x, sum_x);
  } else {
    backward_sums_of(b, static_cast<const bf16*>(x), static_cast<const bf16*>(dy), center, scale,
                     offset, static_cast<bf16*>(dx), sum_du, sum_du_x, sum_x);
  }
}

INLINE void backward_apply_any(const Block& b, const void* x, const float* center, const float* p,
                           const float* q, const float* k, void* dx) {
  if (b.element == Element::kFloat) {
    backward_apply_of(b, static_cast<const float*>(x), center, p, q, k, static_cast<float*>(dx));
  } else {
    backward_apply_of(b, static_cast<const bf16*>(x), center, p, q, k, static_cast<bf16*>(dx));
  }
}

// Which instructions this processor has: 0 the baseline, 1 AVX2 with FMA, 2 AVX-512.
int instruction_level() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
  return 0;
}

const int kLevel = instruction_level();

}  // namespace

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512                                                                      \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")))
#else
#define AVX2
#define AVX512
#endif

// The body is inlined into one function for each instruction set.
#define DISPATCHED(name, parameters, ...)                                \
  namespace {                                                            \
  AVX512 void name##_avx512 parameters { name##_any(__VA_ARGS__); }      \
  AVX2 void name##_avx2 parameters { name##_any(__VA_ARGS__); }          \
  void name##_baseline parameters { name##_any(__VA_ARGS__); }           \
  }                                                                      \
  void name parameters {                                                 \
    if (kLevel == 2) return name##_avx512(__VA_ARGS__);                  \
    if (kLevel == 1) return name##_avx2(__VA_ARGS__);                    \
    name##_baseline(__VA_ARGS__);                                        \
  }

DISPATCHED(column_sums, (const Block& b, const void* x, double* sums),
           b, x, sums)
DISPATCHED(column_squares, (const Block& b, const void* x, const float* center, double* sums),
           b, x, center, sums)
DISPATCHED(normalize,
           (const Block& b, const void* x, const float* center, const float* scale,
            const float* offset, void* y),
           b, x, center, scale, offset, y)
DISPATCHED(backward_sums,
           (const Block& b, const void* x, const void* dy, const float* center, const float* scale,
            const float* offset, void* dx, double* sum_du, double* sum_du_x, double* sum_x),
           b, x, dy, center, scale, offset, dx, sum_du, sum_du_x, sum_x)
DISPATCHED(backward_apply,
           (const Block& b, const void* x, const float* center, const float* p, const float* q,
            const float* k, void* dx),
           b, x, center, p, q, k, dx)

}  // namespace tweedie
