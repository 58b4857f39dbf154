// The library as a whole: version, threads, grad mode, late loading of CUDA.
#include "shim.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/version.h>

#include <dlfcn.h>

extern "C" const char* tweedie_libtorch_version() { return TORCH_VERSION; }

extern "C" int tweedie_grad_enabled() { return at::GradMode::is_enabled() ? 1 : 0; }

extern "C" int tweedie_threads() { return at::get_num_threads(); }

extern "C" char* tweedie_set_threads(int count) {
  return tweedie::guarded([&] { at::set_num_threads(count); });
}

extern "C" void tweedie_free(char* text) { free(text); }

// The file libtorch_cpu was loaded from; null if the loader does not say.
extern "C" const char* tweedie_libtorch_path() {
  Dl_info info;
  const void* inside = reinterpret_cast<const void*>(&at::get_num_threads);
  return dladdr(inside, &info) != 0 ? info.dli_fname : nullptr;
}

// Loads a shared library with its symbols visible to all.
extern "C" char* tweedie_load_library(const char* path) {
  return dlopen(path, RTLD_NOW | RTLD_GLOBAL) != nullptr ? nullptr : tweedie::message(dlerror());
}

extern "C" char* tweedie_has_cuda(int* out) {
  return tweedie::guarded([&] { *out = at::globalContext().hasCUDA() ? 1 : 0; });
}
