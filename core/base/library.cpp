// dlopen with our errors.
#include "core/base/library.hpp"

#include "core/base/error.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

namespace mlp {

Library::Library(std::initializer_list<const char*> names, std::string_view package) {
  std::string reason;
  for (const char* name : names) {
    handle_ = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle_ != nullptr) {
      name_ = name;
      return;
    }
    if (reason.empty()) reason = ::dlerror();
  }
  throw Error(ErrorKind::not_found, fmt::format("cannot load library: {}", reason))
      .with_hint(fmt::format("install it: apt install {}", package));
}

void* Library::symbol(const char* name) const {
  void* address = ::dlsym(handle_, name);
  if (address == nullptr)
    throw Error(ErrorKind::failed, fmt::format("library '{}' has no function '{}'", name_, name));
  return address;
}

} // namespace mlp
