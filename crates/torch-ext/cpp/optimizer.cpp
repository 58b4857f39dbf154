// Fused AdamW and operations over lists of tensors.
#include "shim.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

namespace {

using List = std::vector<at::Tensor>;

// The entries of `of` at the positions whose `grads` are defined.
List with_gradient(const List& of, const List& grads) {
  List out;
  out.reserve(of.size());
  for (std::size_t i = 0; i < of.size(); ++i)
    if (grads[i].defined()) out.push_back(of[i]);
  return out;
}

}  // namespace

// `hyper`: learning rate, beta1, beta2, weight decay, eps. `step` counts from 1.
extern "C" char* tweedie_adamw(
    tweedie::Tensors parameters, tweedie::Tensors gradients, tweedie::Tensors first,
    tweedie::Tensors second, std::size_t count, double step, const double* hyper) {
  return tweedie::guarded([&] {
    at::NoGradGuard no_grad;
    const List all = tweedie::gather(gradients, count);
    const List grads = with_gradient(all, all);
    if (grads.empty()) return;
    const List params = with_gradient(tweedie::gather(parameters, count), all);
    const List exp_avg = with_gradient(tweedie::gather(first, count), all);
    const List exp_avg_sq = with_gradient(tweedie::gather(second, count), all);
    const auto options = at::TensorOptions().dtype(at::kFloat).device(params[0].device());
    const List steps(params.size(), at::full({}, step, options));
    at::_fused_adamw_(
        params, grads, exp_avg, exp_avg_sq, {}, steps, hyper[0], hyper[1], hyper[2], hyper[3],
        hyper[4], /*amsgrad=*/false, /*maximize=*/false);
  });
}

extern "C" char* tweedie_foreach_lerp(
    tweedie::Tensors targets, tweedie::Tensors ends, std::size_t count, double weight) {
  return tweedie::guarded([&] {
    if (count == 0) return;
    at::NoGradGuard no_grad;
    at::_foreach_lerp_(tweedie::gather(targets, count), tweedie::gather(ends, count), weight);
  });
}

extern "C" char* tweedie_foreach_scale(tweedie::Tensors tensors, std::size_t count, double factor) {
  return tweedie::guarded([&] {
    at::NoGradGuard no_grad;
    const List all = tweedie::gather(tensors, count);
    const List present = with_gradient(all, all);
    if (!present.empty()) at::_foreach_mul_(present, factor);
  });
}

extern "C" char* tweedie_total_norm(tweedie::Tensors tensors, std::size_t count, double* out) {
  return tweedie::guarded([&] {
    at::NoGradGuard no_grad;
    const List all = tweedie::gather(tensors, count);
    const List present = with_gradient(all, all);
    *out = 0.0;
    if (present.empty()) return;
    const auto norms = at::stack(at::_foreach_norm(present, 2));
    *out = at::linalg_vector_norm(norms, 2).item<double>();
  });
}

extern "C" char* tweedie_gradient(const at::Tensor* x, at::Tensor** out) {
  return tweedie::guarded([&] { *out = new at::Tensor(x->grad()); });
}

extern "C" char* tweedie_clear_gradients(tweedie::Tensors tensors, std::size_t count) {
  return tweedie::guarded([&] {
    for (std::size_t i = 0; i < count; ++i) tensors[i]->mutable_grad() = at::Tensor();
  });
}
