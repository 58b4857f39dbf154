// A layer whose inner values are not kept for the gradient, but computed again when it is formed.
#include "shim.hpp"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/ivalue.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>


#include <mutex>
#include <optional>
#include <stdexcept>
#include <vector>

namespace {

using at::Tensor;
using torch::autograd::variable_list;

// Calls the layer with tensors that pass to it; writes its output. 0 if it came back.
using Call = int (*)(const void* layer, Tensor** inputs, std::size_t count, Tensor* out);
using Drop = void (*)(void* layer);

struct Layer : torch::CustomClassHolder {
  Layer(Call call, Drop drop, void* data) : call(call), drop(drop), data(data) {}
  ~Layer() override { drop(data); }

  Tensor run(const variable_list& inputs) const {
    std::vector<Tensor*> owned;
    for (const Tensor& input : inputs) owned.push_back(new Tensor(input));
    Tensor out;
    if (call(data, owned.data(), owned.size(), &out) != 0)
      throw std::runtime_error("a recomputed layer panicked");
    return out;
  }

  Call call;
  Drop drop;
  void* data;
};

at::Generator generator_of(const Tensor& like) {
  return at::globalContext().defaultGenerator(like.device());
}

Tensor state_of(const Tensor& like) {
  at::Generator generator = generator_of(like);
  std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

void set_state(const Tensor& like, const Tensor& state) {
  at::Generator generator = generator_of(like);
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state);
}

// Puts the generator where it was when the layer ran first, and back at the end.
class Redrawing {
 public:
  Redrawing(const Tensor& like, const Tensor& state) : like_(like) {
    if (!state.defined()) return;
    present_ = state_of(like);
    set_state(like, state);
  }
  ~Redrawing() {
    if (present_.defined()) set_state(like_, present_);
  }

 private:
  Tensor like_, present_;
};

struct Recomputed : torch::autograd::Function<Recomputed> {
  // The inputs of the layer come first, then the parameters that it holds.
  static Tensor forward(torch::autograd::AutogradContext* context, at::TensorList all,
                        int64_t inputs, bool draws, const c10::intrusive_ptr<Layer>& layer) {
    const variable_list given(all.begin(), all.begin() + inputs);
    if (draws) context->saved_data["state"] = state_of(given[0]);
    context->saved_data["inputs"] = inputs;
    context->saved_data["layer"] =
        c10::IValue::make_capsule(c10::intrusive_ptr<torch::CustomClassHolder>(layer));
    context->save_for_backward(all.vec());
    return layer->run(given);
  }

  static variable_list backward(torch::autograd::AutogradContext* context, variable_list dys) {
    const variable_list all = context->get_saved_variables();
    variable_list out(all.size() + 3);
    if (!dys[0].defined()) return out;
    const auto count = context->saved_data["inputs"].toInt();
    const auto capsule = context->saved_data["layer"].toCapsule();
    const auto* layer = static_cast<const Layer*>(capsule.get());
    const auto state = context->saved_data.find("state");
    // Where the gradient is to be differentiated, the layer is recorded on the caller's own graph.
    const bool again = at::GradMode::is_enabled();
    at::AutoGradMode record(true);
    variable_list inputs(all.begin(), all.begin() + count), wanted;
    if (!again)
      for (Tensor& input : inputs) input = input.detach().requires_grad_(input.requires_grad());
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Tensor& leaf = i < inputs.size() ? inputs[i] : all[i];
      if (all[i].requires_grad()) wanted.push_back(leaf);
    }
    const Redrawing redrawing(
        inputs[0], state == context->saved_data.end() ? Tensor() : state->second.toTensor());
    const auto grads = torch::autograd::grad({layer->run(inputs)}, wanted, {dys[0]},
                                             /*retain_graph=*/again, /*create_graph=*/again,
                                             /*allow_unused=*/true);
    for (std::size_t i = 0, next = 0; i < all.size(); ++i)
      if (all[i].requires_grad()) out[i] = grads[next++];
    return out;
  }
};

}  // namespace

extern "C" void tweedie_assign(const Tensor* from, Tensor* to) { *to = *from; }

extern "C" char* tweedie_recomputed(tweedie::Tensors all, std::size_t count, std::size_t inputs,
                                    int draws, Call call, Drop drop, void* data, Tensor** out) {
  // Owned from here on, whatever is thrown.
  const auto layer = c10::make_intrusive<Layer>(call, drop, data);
  return tweedie::guarded([&] {
    variable_list list;
    for (std::size_t i = 0; i < count; ++i) list.push_back(*all[i]);
    // As a list of tensors: autograd does not look into a vector for its inputs.
    *out = new Tensor(Recomputed::apply(at::TensorList(list), static_cast<int64_t>(inputs),
                                        draws != 0, layer));
  });
}
