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

#include <cmath>
#include <optional>

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

// The fused kernel walks raw memory, so a parameter and what goes with it must lie alike.
void check_alike(const List& a, const List& b, const char* what) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    TORCH_CHECK(a[i].sizes() == b[i].sizes(), "parameter ", i, " has shape ", a[i].sizes(),
                ", its ", what, " ", b[i].sizes());
    TORCH_CHECK(a[i].is_non_overlapping_and_dense(), "parameter ", i, " has gaps in memory");
    for (int64_t d = 0; d < a[i].dim(); ++d)
      TORCH_CHECK(a[i].size(d) == 1 || a[i].stride(d) == b[i].stride(d), "parameter ", i,
                  " lies in memory with strides ", a[i].strides(), ", its ", what, " with ",
                  b[i].strides(), "; make it with zeros_like and copy into it");
  }
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
    check_alike(params, grads, "gradient");
    check_alike(params, exp_avg, "first moment");
    check_alike(params, exp_avg_sq, "second moment");
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
    const auto norm = [&](std::optional<at::ScalarType> kind) {
      const auto norms = at::stack(at::_foreach_norm(present, 2, kind));
      return at::linalg_vector_norm(norms, 2).item<double>();
    };
    *out = norm(std::nullopt);
    // The squares of finite values may have overflowed in f32.
    if (!std::isfinite(*out)) *out = norm(at::kDouble);
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
