// Scaled dot-product attention by the faster of libtorch's fused kernel and plain products.
#include "shim.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
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

// The gradient formed from plain products, which can be differentiated: the fused kernels' cannot.
variable_list plain_backward(const variable_list& saved, const Tensor& dy) {
  variable_list inputs;
  for (std::size_t i = 0; i < 3; ++i)
    if (saved[i].requires_grad()) inputs.push_back(saved[i]);
  const auto grads = torch::autograd::grad({plain(saved[0], saved[1], saved[2])}, inputs, {dy},
                                           /*retain_graph=*/true, /*create_graph=*/true,
                                           /*allow_unused=*/true);
  variable_list out(3);
  for (std::size_t i = 0, next = 0; i < 3; ++i)
    if (saved[i].requires_grad()) out[i] = grads[next++];
  return out;
}

// The CPU's kernel takes the elements of a row to be neighbours, and rows not to overlap.
Tensor with_dense_rows(const Tensor& t) {
  return t.stride(-1) != 1 || t.stride(-2) < t.size(-1) ? t.contiguous() : t;
}

// What the CPU's fused kernel computes in: f32 for narrower numbers.
Tensor wide(const Tensor& t) {
  return with_dense_rows(t.scalar_type() == at::kBFloat16 ? t.to(at::kFloat) : t);
}

std::tuple<Tensor, Tensor> fused(const Tensor& q, const Tensor& k, const Tensor& v) {
  return at::_scaled_dot_product_flash_attention_for_cpu(wide(q), wide(k), wide(v));
}

// The CPU's fused kernel.
struct FusedAttention : torch::autograd::Function<FusedAttention> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& q,
                        const Tensor& k, const Tensor& v) {
    auto [out, log_sum] = fused(q, k, v);
    const Tensor narrow = out.to(q.scalar_type());
    context->save_for_backward({q, k, v, narrow, log_sum});
    return narrow;
  }

  static variable_list backward(torch::autograd::AutogradContext* context, variable_list dys) {
    const auto saved = context->get_saved_variables();
    if (at::GradMode::is_enabled()) return plain_backward(saved, dys[0]);
    auto [dq, dk, dv] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        wide(dys[0]), wide(saved[0]), wide(saved[1]), wide(saved[2]), wide(saved[3]), saved[4], 0.0,
        false);
    const auto kind = saved[0].scalar_type();
    return {dq.to(kind), dk.to(kind), dv.to(kind)};
  }
};

// The fused kernel that libtorch chooses, recorded apart from the caller's graph, so that a second
// derivative does not meet it.
struct ChosenAttention : torch::autograd::Function<ChosenAttention> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& q,
                        const Tensor& k, const Tensor& v) {
    at::AutoGradMode record(true);
    variable_list leaves;
    for (const Tensor& t : {q, k, v}) leaves.push_back(t.detach().requires_grad_());
    const Tensor out = at::scaled_dot_product_attention(leaves[0], leaves[1], leaves[2]);
    context->saved_data["leaves"] = leaves;
    context->saved_data["out"] = out;
    context->save_for_backward({q, k, v});
    return out.detach();
  }

  static variable_list backward(torch::autograd::AutogradContext* context, variable_list dys) {
    if (at::GradMode::is_enabled())
      return plain_backward(context->get_saved_variables(), dys[0]);
    return torch::autograd::grad({context->saved_data["out"].toTensor()},
                                 context->saved_data["leaves"].toTensorVector(), {dys[0]},
                                 /*retain_graph=*/true);
  }
};

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  const bool recorded = at::GradMode::is_enabled() &&
      (q.requires_grad() || k.requires_grad() || v.requires_grad());
  if (!q.device().is_cpu())
    return recorded ? ChosenAttention::apply(q, k, v) : at::scaled_dot_product_attention(q, k, v);
  const bool native = q.scalar_type() == at::kBFloat16 && !tweedie::widens(q);
  if (native || q.numel() == 0 || k.numel() == 0) return plain(q, k, v);
  if (recorded) return FusedAttention::apply(q, k, v);
  return std::get<0>(fused(q, k, v)).to(q.scalar_type());
}

}  // namespace

extern "C" char* tweedie_attention(
    const at::Tensor* q, const at::Tensor* k, const at::Tensor* v, at::Tensor** out) {
  return tweedie::guarded([&] { *out = new Tensor(attention(*q, *k, *v)); });
}
