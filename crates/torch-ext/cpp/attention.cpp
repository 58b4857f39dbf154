// Scaled dot-product attention by the faster of libtorch's fused kernel and plain products.
#include "shim.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

namespace {

using at::Tensor;
using torch::autograd::variable_list;

Tensor plain(const Tensor& q, const Tensor& k, const Tensor& v) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(q.size(-1)));
  const Tensor scores = at::matmul(at::mul(q, scale), k.transpose(-2, -1));
  return at::matmul(at::softmax(scores, -1), v);
}

// The CPU's fused kernel, whose own gradient cannot be differentiated: when that is asked for, the
// gradient is formed from plain products instead.
struct FusedAttention : torch::autograd::Function<FusedAttention> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& q,
                        const Tensor& k, const Tensor& v) {
    auto [out, log_sum] = at::_scaled_dot_product_flash_attention_for_cpu(q, k, v);
    context->save_for_backward({q, k, v, out, log_sum});
    return out;
  }

  static variable_list backward(torch::autograd::AutogradContext* context, variable_list dys) {
    const auto saved = context->get_saved_variables();
    if (at::GradMode::is_enabled()) {
      variable_list inputs;
      for (std::size_t i = 0; i < 3; ++i)
        if (saved[i].requires_grad()) inputs.push_back(saved[i]);
      const auto grads = torch::autograd::grad({plain(saved[0], saved[1], saved[2])}, inputs,
                                               {dys[0]}, /*retain_graph=*/true,
                                               /*create_graph=*/true, /*allow_unused=*/true);
      variable_list out(3);
      for (std::size_t i = 0, next = 0; i < 3; ++i)
        if (saved[i].requires_grad()) out[i] = grads[next++];
      return out;
    }
    auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        dys[0], saved[0], saved[1], saved[2], saved[3], saved[4], 0.0, false);
    return {dq, dk, dv};
  }
};

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  const bool recorded = at::GradMode::is_enabled() &&
      (q.requires_grad() || k.requires_grad() || v.requires_grad());
  if (!q.device().is_cpu())
    return recorded ? plain(q, k, v) : at::scaled_dot_product_attention(q, k, v);
  if (q.scalar_type() == at::kBFloat16) return plain(q, k, v);
  if (recorded) return FusedAttention::apply(q, k, v);
  return std::get<0>(at::_scaled_dot_product_flash_attention_for_cpu(q, k, v));
}

}  // namespace

extern "C" char* tweedie_attention(
    const at::Tensor* q, const at::Tensor* k, const at::Tensor* v, at::Tensor** out) {
  return tweedie::guarded([&] { *out = new Tensor(attention(*q, *k, *v)); });
}
