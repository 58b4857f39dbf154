// Convolutions and linear layers by the faster of the processor's products, and prepacked weights.
//
// Two bf16 numbers have an exact product in f32, and libtorch sums in f32 whichever unit multiplies. A
// processor without tiles (AMX) multiplies f32 numbers faster than bf16 ones, so there bf16 numbers are
// widened first; what is kept for the gradient stays in bf16.
#include "shim.hpp"

#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Below this many rows a linear layer only waits for its weights, which are smaller in bf16.
constexpr int64_t kFewRows = 64;

bool multiplies_bf16_fast() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kAmxBf16 = 1u << 22;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kAmxBf16) != 0;
#else
  return true;
#endif
}

Tensor as(const Tensor& t, at::ScalarType kind) { return t.defined() ? t.to(kind) : t; }

bool wants(const Tensor& t) { return t.defined() && t.requires_grad(); }

std::optional<Tensor> optional(const Tensor& t) {
  return t.defined() ? std::make_optional(t) : std::nullopt;
}

// The layer in the kind of x, whatever that of its parameters.
struct Layer {
  Tensor x, weight, bias;  // the last may be undefined

  Layer in(at::ScalarType kind) const { return {as(x, kind), as(weight, kind), as(bias, kind)}; }
  bool recorded() const {
    return at::GradMode::is_enabled() && (wants(x) || wants(weight) || wants(bias));
  }
};

struct Conv {
  int64_t stride, padding, dilation;

  Tensor of(const Layer& l) const {
    return at::conv2d(l.x, l.weight, optional(l.bias), {stride, stride}, {padding, padding},
                      {dilation, dilation});
  }

  variable_list gradients(const Layer& l, const Tensor& dy, std::array<bool, 3> mask) const {
    auto [dx, dw, db] = at::convolution_backward(
        dy, l.x, l.weight, at::IntArrayRef({l.weight.size(0)}), {stride, stride},
        {padding, padding}, {dilation, dilation}, /*transposed=*/false, {0, 0}, 1, mask);
    return {dx, dw, db};
  }
};

struct Linear {
  Tensor of(const Layer& l) const { return at::linear(l.x, l.weight, optional(l.bias)); }

  variable_list gradients(const Layer& l, const Tensor& dy, std::array<bool, 3> mask) const {
    const Tensor rows = dy.reshape({-1, dy.size(-1)});
    variable_list out(3);
    if (mask[0]) out[0] = at::mm(rows, l.weight).view(l.x.sizes());
    if (mask[1]) out[1] = at::mm(rows.t(), l.x.reshape({-1, l.x.size(-1)}));
    if (mask[2]) out[2] = rows.sum(0);
    return out;
  }
};

// The gradients on the caller's graph, so that they can be differentiated.
template <typename Op>
variable_list differentiable_gradients(const Op& op, const Layer& l, const Tensor& dy) {
  const Tensor y = op.of(l.in(at::kFloat)).to(l.x.scalar_type());
  const Tensor all[] = {l.x, l.weight, l.bias};
  variable_list inputs;
  for (const Tensor& t : all)
    if (wants(t)) inputs.push_back(t);
  const auto grads = torch::autograd::grad({y}, inputs, {dy}, /*retain_graph=*/true,
                                           /*create_graph=*/true, /*allow_unused=*/true);
  variable_list out(3);
  for (std::size_t i = 0, next = 0; i < 3; ++i)
    if (wants(all[i])) out[i] = grads[next++];
  return out;
}

// The layer in f32 on bf16 numbers.
template <typename Op>
struct Widened : torch::autograd::Function<Widened<Op>> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const std::optional<Tensor>& bias, std::vector<int64_t> geometry) {
    const Layer l{x, weight, bias.value_or(Tensor())};
    context->save_for_backward({l.x, l.weight, l.bias});
    context->saved_data["geometry"] = geometry;
    return op(geometry).of(l.in(at::kFloat)).to(x.scalar_type());
  }

  static variable_list backward(AutogradContext* context, variable_list dys) {
    const auto saved = context->get_saved_variables();
    const Layer l{saved[0], saved[1], saved[2]};
    const Op op = Widened::op(context->saved_data["geometry"].toIntVector());
    variable_list out;
    if (at::GradMode::is_enabled()) {
      out = differentiable_gradients(op, l, dys[0]);
    } else {
      out = op.gradients(l.in(at::kFloat), dys[0].to(at::kFloat),
                         {wants(l.x), wants(l.weight), wants(l.bias)});
      for (std::size_t i = 0; i < 3; ++i)
        if (out[i].defined()) out[i] = out[i].to(saved[i].scalar_type());
    }
    out.emplace_back();
    return out;
  }

  static Op op(const std::vector<int64_t>& geometry) {
    if constexpr (std::is_same_v<Op, Conv>) {
      return Conv{geometry[0], geometry[1], geometry[2]};
    } else {
      return Linear{};
    }
  }
};

template <typename Op>
Tensor run(const Op& op, const Layer& l, bool widens, std::vector<int64_t> geometry) {
  if (!widens) return op.of(l.in(l.x.scalar_type()));
  if (l.recorded()) return Widened<Op>::apply(l.x, l.weight, optional(l.bias), geometry);
  return op.of(l.in(at::kFloat)).to(l.x.scalar_type());
}

// The convolution of oneDNN that takes prepacked weights; libtorch has it for its compiler.
using Packed = Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, at::IntArrayRef,
                      at::IntArrayRef, at::IntArrayRef, int64_t, std::string_view,
                      c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
using Reorder = Tensor(const Tensor&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t,
                       at::OptionalIntArrayRef);

std::optional<c10::OperatorHandle> operation(const char* name) {
  return c10::Dispatcher::singleton().findSchema({name, ""});
}

}  // namespace

namespace tweedie {

bool widens(const Tensor& x) {
  static const bool fast = multiplies_bf16_fast();
  return !fast && x.scalar_type() == at::kBFloat16 && x.device().is_cpu();
}

}  // namespace tweedie

// `bias` may be null; `geometry`: stride, padding, dilation.
extern "C" char* tweedie_conv2d(const Tensor* x, const Tensor* weight, const Tensor* bias,
                                const int64_t* geometry, Tensor** out) {
  return tweedie::guarded([&] {
    const Layer layer{*x, *weight, bias == nullptr ? Tensor() : *bias};
    const Conv conv{geometry[0], geometry[1], geometry[2]};
    const std::vector<int64_t> numbers(geometry, geometry + 3);
    *out = new Tensor(run(conv, layer, tweedie::widens(*x), numbers));
  });
}

extern "C" char* tweedie_linear(const Tensor* x, const Tensor* weight, const Tensor* bias,
                                Tensor** out) {
  return tweedie::guarded([&] {
    const bool widens = tweedie::widens(*x) && x->numel() >= kFewRows * x->size(-1);
    *out = new Tensor(run(Linear{}, {*x, *weight, *bias}, widens, {}));
  });
}

// The weight in the order that the convolution of an input of `size` reads; null where there is no such
// convolution.
extern "C" char* tweedie_pack_conv2d(const Tensor* weight, const int64_t* geometry,
                                     const int64_t* size, Tensor** out) {
  return tweedie::guarded([&] {
    at::NoGradGuard no_grad;
    *out = nullptr;
    static const auto reorder = operation("mkldnn::_reorder_convolution_weight");
    if (!reorder || !operation("mkldnn::_convolution_pointwise") ||
        !at::globalContext().userEnabledMkldnn() || !weight->device().is_cpu())
      return;
    const auto kind = weight->scalar_type();
    if (kind != at::kFloat && kind != at::kBFloat16) return;
    const std::vector<int64_t> stride(2, geometry[0]), padding(2, geometry[1]), reach(2, geometry[2]);
    *out = new Tensor(reorder->typed<Reorder>().call(weight->detach(), padding, stride, reach, 1,
                                                     at::IntArrayRef(size, 4)));
  });
}

extern "C" char* tweedie_packed_conv2d(const Tensor* x, const Tensor* packed, const Tensor* bias,
                                       const int64_t* geometry, Tensor** out) {
  return tweedie::guarded([&] {
    static const auto convolve = operation("mkldnn::_convolution_pointwise");
    const bool widens = tweedie::widens(*x);
    const auto kind = widens ? at::kFloat : x->scalar_type();
    const std::vector<int64_t> stride(2, geometry[0]), padding(2, geometry[1]), reach(2, geometry[2]);
    const Tensor added = bias == nullptr ? Tensor() : bias->detach().to(kind);
    const Tensor y = convolve->typed<Packed>().call(
        x->to(kind).contiguous(at::MemoryFormat::ChannelsLast), *packed, optional(added), padding,
        stride, reach, 1, "none", c10::List<std::optional<at::Scalar>>(), "");
    *out = new Tensor(y.to(x->scalar_type()));
  });
}

extern "C" int tweedie_widens(const Tensor* x) { return tweedie::widens(*x) ? 1 : 0; }

// How often the tensor was written to.
extern "C" unsigned tweedie_version(const Tensor* x) {
  return x->is_inference() ? 0 : static_cast<unsigned>(x->_version());
}
