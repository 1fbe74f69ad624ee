// Loading of shared libraries by name.
#include "kernels/cuda/library.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <vector>

namespace mlp::kernels::cuda {

Library::Library(const std::string& what, std::initializer_list<const char*> names,
                 std::string hint)
    : what_(what), hint_(std::move(hint)) {
  std::vector<std::string> folders = {""};
  // Read when a device is made or first used, where nothing changes the environment.
  if (const char* home = std::getenv("CUDA_HOME")) // NOLINT(concurrency-mt-unsafe)
    folders.push_back(std::string(home) + "/lib64/");
  folders.emplace_back("/usr/local/cuda/lib64/");
  std::string words;
  for (const std::string& folder : folders)
    for (const char* name : names) {
      file_ = folder + name;
      handle_ = dlopen(file_.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (handle_ != nullptr) return;
      const char* error = dlerror(); // NOLINT(concurrency-mt-unsafe)
      if (words.empty() && error != nullptr) words = error;
    }
  throw Error(ErrorKind::unavailable, what_ + " is not installed: " + words, hint_);
}

void* Library::symbol(const char* name, bool required) const {
  void* found = dlsym(handle_, name);
  if (found == nullptr && required)
    throw Error(ErrorKind::unavailable, what_ + " '" + file_ + "' has no function '" + name + "'",
                hint_);
  return found;
}

} // namespace mlp::kernels::cuda
