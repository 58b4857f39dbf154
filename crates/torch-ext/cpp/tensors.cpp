// Linear combinations and memory formats.
#include "shim.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/mul.h>

namespace {

bool recorded(const std::vector<at::Tensor>& tensors) {
  if (!at::GradMode::is_enabled()) return false;
  for (const auto& tensor : tensors)
    if (tensor.requires_grad()) return true;
  return false;
}

// a0 x0 + a1 x1 + ..., summed left to right; in place after the first term unless autograd records.
at::Tensor combine(const std::vector<at::Tensor>& terms, const double* factors) {
  at::Tensor sum = at::mul(terms[0], factors[0]);
  const bool keep = recorded(terms);
  for (std::size_t i = 1; i < terms.size(); ++i) {
    if (keep) {
      sum = at::add(sum, terms[i], factors[i]);
    } else {
      sum.add_(terms[i], factors[i]);
    }
  }
  return sum;
}

}  // namespace

extern "C" char* tweedie_linear_combination(
    const double* factors, tweedie::Tensors terms, std::size_t count, at::Tensor** out) {
  return tweedie::guarded(
      [&] { *out = new at::Tensor(combine(tweedie::gather(terms, count), factors)); });
}

// a + b, written over `a` unless autograd records.
extern "C" char* tweedie_add_into(at::Tensor* a, const at::Tensor* b, at::Tensor** out) {
  return tweedie::guarded([&] {
    const bool keep = recorded({*a, *b});
    *out = new at::Tensor(keep ? at::add(*a, *b) : a->add_(*b));
  });
}

// (a + b) factor, likewise.
extern "C" char* tweedie_add_scaled(
    at::Tensor* a, const at::Tensor* b, double factor, at::Tensor** out) {
  return tweedie::guarded([&] {
    // The sum is nobody else's, and its gradient does not need it.
    at::Tensor sum = recorded({*a, *b}) ? at::add(*a, *b) : a->add_(*b);
    *out = new at::Tensor(sum.mul_(factor));
  });
}

extern "C" char* tweedie_to_memory_format(const at::Tensor* x, int channels_last, at::Tensor** out) {
  return tweedie::guarded([&] {
    const auto format = channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
    *out = new at::Tensor(x->contiguous(format));
  });
}

// Bit 0: contiguous; bit 1: channels-last.
extern "C" char* tweedie_memory_format(const at::Tensor* x, int* out) {
  return tweedie::guarded([&] {
    *out = (x->is_contiguous() ? 1 : 0) |
        (x->dim() == 4 && x->is_contiguous(at::MemoryFormat::ChannelsLast) ? 2 : 0);
  });
}
