// Group norm and SiLU in one pass over channels-last memory on the CPU; plain operations elsewhere.
#include "shim.hpp"
#include "norm_kernels.hpp"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/group_norm.h>
#include <ATen/ops/silu.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <optional>

namespace {

using at::Tensor;
using tweedie::Block;
using torch::autograd::variable_list;

// Below this many neighbouring channels a sample is not shared among threads.
constexpr int64_t kFewestChannels = 32;

struct Norm {
  Tensor x;       // [n, c, h, w]
  Tensor weight;  // [c], or [n or 1, c]: every sample its own
  Tensor bias;    // likewise
  Tensor shift;   // [n or 1, c], added to x first; may be undefined
  int64_t groups;
  double eps;
  bool silu;
};

struct Moments {
  Tensor mean, rstd;  // [n, groups], float
};

Tensor over_pixels(const Tensor& t) { return t.unsqueeze(-1).unsqueeze(-1); }

Tensor plain(const Norm& norm) {
  Tensor x = norm.x;
  if (norm.shift.defined()) x = at::add(x, over_pixels(norm.shift.to(x.scalar_type())));
  const auto kind = x.scalar_type();
  const Tensor weight = norm.weight.to(kind), bias = norm.bias.to(kind);
  const Tensor y = weight.dim() == 1
      ? at::group_norm(x, norm.groups, weight, bias, norm.eps)
      : at::add(at::mul(at::group_norm(x, norm.groups, {}, {}, norm.eps), over_pixels(weight)),
                over_pixels(bias));
  return norm.silu ? at::silu(y) : y;
}

bool fusable(const Norm& norm) {
  const auto kind = norm.x.scalar_type();
  return norm.x.device().is_cpu() && norm.x.dim() == 4 && norm.x.numel() > 0 &&
      (kind == at::kFloat || kind == at::kBFloat16) && norm.x.size(1) % norm.groups == 0 &&
      norm.x.is_contiguous(at::MemoryFormat::ChannelsLast);
}

Tensor as_float(const Tensor& t) { return t.defined() ? t.to(at::kFloat).contiguous() : t; }

// The geometry of one call and its tasks: a task is some neighbouring groups of one sample.
struct Plan {
  explicit Plan(const Norm& norm)
      : samples(norm.x.size(0)), channels(norm.x.size(1)), groups(norm.groups),
        group_width(channels / groups), rows(norm.x.size(2) * norm.x.size(3)),
        size(norm.x.element_size()) {
    const int64_t threads = at::get_num_threads();
    while (samples * splits < threads && groups % (splits * 2) == 0 &&
           channels / (splits * 2) >= kFewestChannels)
      splits *= 2;
  }

  Block block(const Norm& norm) const {
    const auto element = norm.x.scalar_type() == at::kFloat ? tweedie::Element::kFloat
                                                            : tweedie::Element::kBFloat16;
    return Block{element, rows, channels / splits, channels, norm.silu};
  }

  // Calls body(sample, first group) for every task.
  template <typename Body>
  void each(const Body& body) const {
    at::parallel_for(0, samples * splits, 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task)
        body(task / splits, task % splits * (groups / splits));
    });
  }

  // The address of the first element of a task in a tensor laid out like x.
  template <typename Pointer>
  Pointer at_task(Pointer base, int64_t sample, int64_t group) const {
    return base + (sample * rows * channels + group * group_width) * size;
  }

  int64_t samples, channels, groups, group_width, rows, size, splits = 1;
};

// Per-channel constants of one task.
struct Channels {
  explicit Channels(int64_t width) : center(width), scale(width), offset(width) {}
  std::vector<float> center, scale, offset;
};

// The values of a sample in [c] or [n or 1, c].
const float* row_of(const Tensor& t, int64_t sample) {
  const bool shared = t.dim() == 1 || t.size(0) == 1;
  return t.const_data_ptr<float>() + (shared ? 0 : sample * t.size(-1));
}

const float* shift_of(const Norm& norm, int64_t sample) {
  return norm.shift.defined() ? row_of(norm.shift, sample) : nullptr;
}

// What a gradient [n, c] comes to for such values.
Tensor gathered(const Tensor& gradient, const Tensor& values) {
  const bool single = values.dim() == 1;
  const bool shared = single || values.size(0) == 1;
  return (shared ? gradient.sum(0, !single) : gradient).to(values.scalar_type());
}

void fill(Channels& out, const Norm& norm, const Plan& plan, int64_t sample, int64_t group,
          const float* mean, const float* rstd) {
  const float* weight = row_of(norm.weight, sample);
  const float* bias = row_of(norm.bias, sample);
  const float* shift = shift_of(norm, sample);
  for (std::size_t i = 0; i < out.center.size(); ++i) {
    const int64_t c = group * plan.group_width + static_cast<int64_t>(i);
    const int64_t g = sample * plan.groups + c / plan.group_width;
    out.center[i] = mean[g] - (shift == nullptr ? 0.0f : shift[c]);
    out.scale[i] = weight[c] * rstd[g];
    out.offset[i] = bias[c];
  }
}

// Mean and 1 / standard deviation of the groups of one task, in two passes.
void moments(const Norm& norm, const Plan& plan, int64_t sample, int64_t group, float* mean,
             float* rstd) {
  const Block block = plan.block(norm);
  const char* x = plan.at_task(static_cast<const char*>(norm.x.const_data_ptr()), sample, group);
  const float* shift = shift_of(norm, sample);
  const int64_t width = plan.group_width, first = group * width;
  const double count = static_cast<double>(plan.rows * width);
  std::vector<double> sums(block.width, 0.0), squares(block.width, 0.0);
  std::vector<float> center(block.width);
  tweedie::column_sums(block, x, sums.data());
  for (int64_t c = 0; c < block.width; c += width) {
    double total = 0.0;
    for (int64_t j = c; j < c + width; ++j) {
      const double added = shift == nullptr ? 0.0 : shift[first + j];
      total += sums[j] + plan.rows * added;
    }
    mean[c / width] = static_cast<float>(total / count);
    for (int64_t j = c; j < c + width; ++j)
      center[j] = mean[c / width] - (shift == nullptr ? 0.0f : shift[first + j]);
  }
  tweedie::column_squares(block, x, center.data(), squares.data());
  for (int64_t c = 0; c < block.width; c += width) {
    double total = 0.0;
    for (int64_t j = c; j < c + width; ++j) total += squares[j];
    rstd[c / width] = static_cast<float>(1.0 / std::sqrt(total / count + norm.eps));
  }
}

Tensor forward(const Norm& norm, Moments& out) {
  const Plan plan(norm);
  const auto options = norm.x.options().dtype(at::kFloat);
  out.mean = at::empty({plan.samples, plan.groups}, options);
  out.rstd = at::empty_like(out.mean);
  Tensor y = at::empty_like(norm.x);
  float* mean = out.mean.mutable_data_ptr<float>();
  float* rstd = out.rstd.mutable_data_ptr<float>();
  const char* x = static_cast<const char*>(norm.x.const_data_ptr());
  char* to = static_cast<char*>(y.mutable_data_ptr());
  plan.each([&](int64_t sample, int64_t group) {
    const int64_t g = sample * plan.groups + group;
    moments(norm, plan, sample, group, mean + g, rstd + g);
    const Block block = plan.block(norm);
    Channels c(block.width);
    fill(c, norm, plan, sample, group, mean, rstd);
    tweedie::normalize(block, plan.at_task(x, sample, group), c.center.data(), c.scale.data(),
                       c.offset.data(), plan.at_task(to, sample, group));
  });
  return y;
}

struct Gradients {
  Tensor x, weight, bias, shift;  // the last three as [n, c], float
};

// With u the value before the activation, du its gradient and X the normalized input:
// dx = rstd (weight du - mean_g(weight du) - X mean_g(weight du X)), the sums over the group.
void backward_task(const Norm& norm, const Plan& plan, const Moments& moments, const char* dy,
                   Gradients& out, int64_t sample, int64_t group) {
  const Block block = plan.block(norm);
  const int64_t width = plan.group_width, first = group * width;
  const double count = static_cast<double>(plan.rows * width);
  const float* rstd = moments.rstd.const_data_ptr<float>() + sample * plan.groups + group;
  const float* weight = row_of(norm.weight, sample) + first;
  Channels c(block.width);
  fill(c, norm, plan, sample, group, moments.mean.const_data_ptr<float>(),
       moments.rstd.const_data_ptr<float>());
  std::vector<double> du(block.width, 0.0), du_x(block.width, 0.0), xs(block.width, 0.0);
  const char* x = plan.at_task(static_cast<const char*>(norm.x.const_data_ptr()), sample, group);
  char* dx = plan.at_task(static_cast<char*>(out.x.mutable_data_ptr()), sample, group);
  tweedie::backward_sums(block, x, plan.at_task(dy, sample, group), c.center.data(), c.scale.data(),
                         c.offset.data(), dx, du.data(), du_x.data(), xs.data());
  std::vector<float> p(block.width), q(block.width), k(block.width);
  const int64_t at = sample * plan.channels + first;
  float* d_weight = out.weight.mutable_data_ptr<float>() + at;
  float* d_bias = out.bias.mutable_data_ptr<float>() + at;
  float* d_shift = out.shift.mutable_data_ptr<float>() + at;
  for (int64_t g = 0; g < block.width / width; ++g) {
    const double r = rstd[g];
    double mean_du = 0.0, mean_du_x = 0.0;
    for (int64_t j = g * width; j < (g + 1) * width; ++j) {
      mean_du += weight[j] * du[j] / count;
      mean_du_x += weight[j] * du_x[j] * r / count;
    }
    for (int64_t j = g * width; j < (g + 1) * width; ++j) {
      p[j] = static_cast<float>(r * weight[j]);
      q[j] = static_cast<float>(r * mean_du);
      k[j] = static_cast<float>(r * r * mean_du_x);
      d_weight[j] = static_cast<float>(r * du_x[j]);
      d_bias[j] = static_cast<float>(du[j]);
      d_shift[j] = static_cast<float>(
          r * (weight[j] * du[j] - plan.rows * mean_du - r * mean_du_x * xs[j]));
    }
  }
  tweedie::backward_apply(block, x, c.center.data(), p.data(), q.data(), k.data(), dx);
}

Gradients backward(const Norm& norm, const Moments& moments, const Tensor& dy_any) {
  const Plan plan(norm);
  const Tensor dy =
      dy_any.to(norm.x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
  const auto options =
      norm.x.options().dtype(at::kFloat).memory_format(at::MemoryFormat::Contiguous);
  const auto per_channel = [&] { return at::empty({plan.samples, plan.channels}, options); };
  Gradients out{at::empty_like(norm.x), per_channel(), per_channel(), per_channel()};
  const char* from = static_cast<const char*>(dy.const_data_ptr());
  plan.each([&](int64_t sample, int64_t group) {
    backward_task(norm, plan, moments, from, out, sample, group);
  });
  return out;
}

// The gradients by plain operations, which can be differentiated again.
variable_list differentiable_backward(const Norm& norm, const Tensor& dy) {
  const Tensor y = plain(norm);
  variable_list inputs, wanted{norm.x, norm.weight, norm.bias, norm.shift};
  for (const auto& input : wanted)
    if (input.defined() && input.requires_grad()) inputs.push_back(input);
  const auto grads = torch::autograd::grad({y}, inputs, {dy}, /*retain_graph=*/true,
                                           /*create_graph=*/true, /*allow_unused=*/true);
  variable_list out(4);
  for (std::size_t i = 0, next = 0; i < wanted.size(); ++i)
    if (wanted[i].defined() && wanted[i].requires_grad()) out[i] = grads[next++];
  return out;
}

struct GroupNormFunction : torch::autograd::Function<GroupNormFunction> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x,
                        const Tensor& weight, const Tensor& bias,
                        const std::optional<Tensor>& shift, int64_t groups, double eps, bool silu) {
    const Tensor added = shift.value_or(Tensor());
    const Norm norm{x, as_float(weight), as_float(bias), as_float(added), groups, eps, silu};
    Moments moments;
    Tensor y = ::forward(norm, moments);
    context->save_for_backward({x, weight, bias, added, moments.mean, moments.rstd});
    context->saved_data["groups"] = groups;
    context->saved_data["eps"] = eps;
    context->saved_data["silu"] = silu;
    return y;
  }

  static variable_list backward(torch::autograd::AutogradContext* context, variable_list dys) {
    const auto saved = context->get_saved_variables();
    Norm norm{saved[0], saved[1], saved[2], saved[3], context->saved_data["groups"].toInt(),
              context->saved_data["eps"].toDouble(), context->saved_data["silu"].toBool()};
    variable_list out(7);
    if (at::GradMode::is_enabled()) {
      const auto grads = differentiable_backward(norm, dys[0]);
      std::copy(grads.begin(), grads.end(), out.begin());
      return out;
    }
    norm.weight = as_float(norm.weight);
    norm.bias = as_float(norm.bias);
    norm.shift = as_float(norm.shift);
    const Gradients grads = ::backward(norm, {saved[4], saved[5]}, dys[0]);
    out[0] = grads.x;
    out[1] = gathered(grads.weight, saved[1]);
    out[2] = gathered(grads.bias, saved[2]);
    if (saved[3].defined()) out[3] = gathered(grads.shift, saved[3]);
    return out;
  }
};

Tensor group_norm(const Norm& norm) {
  if (!fusable(norm)) return plain(norm);
  const auto wants = [](const Tensor& t) { return t.defined() && t.requires_grad(); };
  const bool recorded = at::GradMode::is_enabled() &&
      (wants(norm.x) || wants(norm.weight) || wants(norm.bias) || wants(norm.shift));
  if (recorded) {
    const auto shift = norm.shift.defined() ? std::make_optional(norm.shift) : std::nullopt;
    return GroupNormFunction::apply(norm.x, norm.weight, norm.bias, shift, norm.groups, norm.eps,
                                    norm.silu);
  }
  const Norm floats{norm.x, as_float(norm.weight), as_float(norm.bias), as_float(norm.shift),
                    norm.groups, norm.eps, norm.silu};
  Moments moments;
  return forward(floats, moments);
}

}  // namespace

extern "C" char* tweedie_group_norm(
    const at::Tensor* x, const at::Tensor* weight, const at::Tensor* bias, const at::Tensor* shift,
    int64_t groups, double eps, int silu, at::Tensor** out) {
  return tweedie::guarded([&] {
    const Tensor added = shift == nullptr ? Tensor() : *shift;
    const Norm norm{*x, *weight, *bias, added, groups, eps, silu != 0};
    *out = new Tensor(group_norm(norm));
  });
}
