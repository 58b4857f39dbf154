// Raw loops of the fused group norm on a channels-last sample: rows = pixels, columns = channels.
//
// Every function works on `rows` rows of `width` neighbouring channels, `stride` elements apart.
// Per channel the normalized value is (x - center) * scale + offset, which is followed by SiLU or
// nothing. Sums run in float over short blocks of rows and in double over the blocks.
#pragma once

#include <cstdint>

namespace tweedie {

enum class Element { kFloat, kBFloat16 };

struct Block {
  Element element;
  int64_t rows, width, stride;
  bool silu;
};

void column_sums(const Block& block, const void* x, double* sums);
void column_squares(const Block& block, const void* x, const float* center, double* sums);
void normalize(const Block& block, const void* x, const float* center, const float* scale,
               const float* offset, void* y);

// Writes the gradient before the activation into `dx` and sums it, its product with the centred
// input and the centred input itself over the rows.
void backward_sums(const Block& block, const void* x, const void* dy, const float* center,
                   const float* scale, const float* offset, void* dx, double* sum_du,
                   double* sum_du_x, double* sum_x);

// dx = p * dx - q - k * (x - center), channel by channel.
void backward_apply(const Block& block, const void* x, const float* center, const float* p,
                    const float* q, const float* k, void* dx);

}  // namespace tweedie
