// Vectorized by the compiler, once for each instruction set; the loader picks at run time.
#include "norm_kernels.hpp"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)
#define CLONES __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define CLONES
#endif
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
  // Round to nearest, ties to even.
  const uint32_t bits = bits_of(value);
  to.bits = static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// exp by 2^n times a polynomial on [-ln2/2, ln2/2] (Cephes' expf), within 2 units in the last place.
INLINE float exponential(float x) {
  x = std::min(std::max(x, -87.3f), 88.0f);
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
INLINE void sums_of(const Block& b, const T* __restrict x, const float* __restrict center, double* __restrict sums) {
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
INLINE void normalize_of(const Block& b, const T* __restrict x, const float* __restrict center, const float* __restrict scale,
                         const float* __restrict offset, T* __restrict y) {
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

template <typename T>
INLINE void backward_lanes(const Block& b, const T* __restrict x, const T* __restrict dy, const float* __restrict center,
                           const float* __restrict scale, const float* __restrict offset, T* __restrict dx, int64_t rows,
                           int64_t lanes, float* __restrict sum_du, float* __restrict sum_du_x, float* __restrict sum_x) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < lanes; ++j) {
      const float d = load(x[r * b.stride + j]) - center[j];
      float du = load(dy[r * b.stride + j]);
      if (b.silu) {
        const float u = d * scale[j] + offset[j];
        const float s = sigmoid(u);
        du *= s * (1.0f + u * (1.0f - s));
      }
      store(dx[r * b.stride + j], du);
      sum_du[j] += du;
      sum_du_x[j] += du * d;
      sum_x[j] += d;
    }
  }
}

template <typename T>
INLINE void backward_sums_of(const Block& b, const T* __restrict x, const T* __restrict dy, const float* __restrict center,
                             const float* __restrict scale, const float* __restrict offset, T* __restrict dx, double* __restrict sum_du,
                             double* __restrict sum_du_x, double* __restrict sum_x) {
  for (int64_t row = 0; row < b.rows; row += kRows) {
    const int64_t rows = std::min(kRows, b.rows - row);
    for (int64_t c = 0; c < b.width; c += kLanes) {
      const int64_t lanes = std::min(kLanes, b.width - c);
      const int64_t at = row * b.stride + c;
      float du[kLanes] = {}, du_x[kLanes] = {}, xs[kLanes] = {};
      float mid[kLanes] = {}, by[kLanes] = {}, off[kLanes] = {};
      for (int64_t j = 0; j < lanes; ++j) {
        mid[j] = center[c + j];
        by[j] = scale[c + j];
        off[j] = offset[c + j];
      }
      if (lanes == kLanes) {
        backward_lanes(b, x + at, dy + at, mid, by, off, dx + at, rows, kLanes, du, du_x, xs);
      } else {
        backward_lanes(b, x + at, dy + at, mid, by, off, dx + at, rows, lanes, du, du_x, xs);
      }
      for (int64_t j = 0; j < lanes; ++j) {
        sum_du[c + j] += du[j];
        sum_du_x[c + j] += du_x[j];
        sum_x[c + j] += xs[j];
      }
    }
  }
}

template <typename T>
INLINE void backward_apply_of(const Block& b, const T* __restrict x, const float* __restrict center, const float* __restrict p,
                              const float* __restrict q, const float* __restrict k, T* __restrict dx) {
  for (int64_t r = 0; r < b.rows; ++r) {
    const T* from = x + r * b.stride;
    T* to = dx + r * b.stride;
    for (int64_t c = 0; c < b.width; ++c)
      store(to[c], p[c] * load(to[c]) - q[c] - k[c] * (load(from[c]) - center[c]));
  }
}

}  // namespace

// A function that is cloned cannot be a template, hence one switch in each.

CLONES void column_sums(const Block& b, const void* x, double* sums) {
  if (b.element == Element::kFloat) {
    sums_of(b, static_cast<const float*>(x), nullptr, sums);
  } else {
    sums_of(b, static_cast<const bf16*>(x), nullptr, sums);
  }
}

CLONES void column_squares(const Block& b, const void* x, const float* center, double* sums) {
  if (b.element == Element::kFloat) {
    sums_of(b, static_cast<const float*>(x), center, sums);
  } else {
    sums_of(b, static_cast<const bf16*>(x), center, sums);
  }
}

CLONES void normalize(const Block& b, const void* x, const float* center, const float* scale,
                      const float* offset, void* y) {
  if (b.element == Element::kFloat) {
    normalize_of(b, static_cast<const float*>(x), center, scale, offset, static_cast<float*>(y));
  } else {
    normalize_of(b, static_cast<const bf16*>(x), center, scale, offset, static_cast<bf16*>(y));
  }
}

CLONES void backward_sums(const Block& b, const void* x, const void* dy, const float* center,
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

CLONES void backward_apply(const Block& b, const void* x, const float* center, const float* p,
                           const float* q, const float* k, void* dx) {
  if (b.element == Element::kFloat) {
    backward_apply_of(b, static_cast<const float*>(x), center, p, q, k, static_cast<float*>(dx));
  } else {
    backward_apply_of(b, static_cast<const bf16*>(x), center, p, q, k, static_cast<bf16*>(dx));
  }
}

}  // namespace tweedie
