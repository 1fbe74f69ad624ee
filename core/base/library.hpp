// A shared library opened when first needed, so that commands that do not use it do not pay for it.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace mlp {

// Never unloaded once opened. Thread-safe after construction.
class Library {
 public:
  // `names` are tried in order, e.g. "libgit2.so.1.5". Throws Error(not_found) with the reason and
  // a hint to install `package`.
  Library(std::initializer_list<const char*> names, std::string_view package);

  // The function `name` as a pointer of type Function; throws Error(failed) if it is not there.
  template <class Function>
  [[nodiscard]] Function* function(const char* name) const {
    return reinterpret_cast<Function*>(symbol(name));
  }
  [[nodiscard]] void* symbol(const char* name) const;

 private:
  void* handle_ = nullptr;
  std::string name_;
};

} // namespace mlp
