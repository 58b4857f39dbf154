// What every shim function shares: tensors by address in, an error message or null out.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

namespace tweedie {

using Tensors = const at::Tensor* const*;

inline std::vector<at::Tensor> gather(Tensors tensors, std::size_t count) {
  std::vector<at::Tensor> out;
  out.reserve(count);
  for (std::size_t i = 0; i < count; ++i) out.push_back(*tensors[i]);
  return out;
}

inline char* message(const char* what) {
  return strdup(what == nullptr || *what == '\0' ? "unknown C++ exception" : what);
}

// Runs `body` and turns every exception into a message that the caller frees; null means success.
template <typename Body>
char* guarded(Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return message(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return message(error.what());
  } catch (...) {
    return message(nullptr);
  }
}

// Whether products of these numbers are better taken in f32 (see products.cpp).
bool widens(const at::Tensor& x);

}  // namespace tweedie
