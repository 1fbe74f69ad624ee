// Shared libraries that are loaded on need: NVIDIA's driver, cuBLASLt, cuDNN, NCCL, NVML.
#pragma once

#include "kernels/device.hpp"

#include <initializer_list>
#include <string>

namespace mlp::kernels::cuda {

// A loaded library; it stays loaded until the process ends, because what it started may still run.
class Library {
 public:
  // The first of `names` that loads: each where the loader looks, then in $CUDA_HOME/lib64 and
  // /usr/local/cuda/lib64. None: ErrorKind::unavailable "WHAT is not installed: LOADER'S WORDS",
  // with `hint`, what to install.
  Library(const std::string& what, std::initializer_list<const char*> names, std::string hint);

  // The function `name`; ErrorKind::unavailable if this version has none.
  template <class Function>
  Function* function(const char* name) const {
    return reinterpret_cast<Function*>(symbol(name, true));
  }
  // The same, or null.
  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(symbol(name, false));
  }
  const std::string& file() const noexcept { return file_; } // the name that has loaded

 private:
  void* symbol(const char* name, bool required) const;

  std::string what_, hint_, file_;
  void* handle_ = nullptr;
};

} // namespace mlp::kernels::cuda
