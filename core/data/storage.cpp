// What all storage backends share: the rule for names, and reading a small object whole.
#include "core/data/storage.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp::data {

namespace {

std::string_view bad_name_reason(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.size() > max_object_name) return "it is longer than 512 bytes";
  char previous = '/';
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-';
    if (!plain && c != '.' && c != '/')
      return "it holds a character other than letters, digits, '.', '_', '-' and '/'";
    if (previous == '/' && c == '/') return "it has an empty component";
    if (previous == '/' && c == '.') return "a component begins with '.'";
    previous = c;
  }
  return previous == '/' ? "it ends in '/'" : std::string_view();
}

} // namespace

void check_object_name(std::string_view name) {
  const std::string_view reason = bad_name_reason(name);
  if (!reason.empty())
    throw Error(ErrorKind::failed,
                fmt::format("bad object name '{}': {}", printable(name.substr(0, 200)), reason));
}

void check_name_kind(std::string_view name, bool ref) {
  check_object_name(name);
  if (name.starts_with("refs/") != ref)
    throw Error(ErrorKind::failed,
                fmt::format("bad {} name '{}': it {} begin with 'refs/'", ref ? "ref" : "object",
                            name, ref ? "does not" : "must not"));
}

std::string read_object(Storage& storage, std::string_view name, std::size_t max_bytes) {
  std::string content;
  std::size_t step = 64 * 1024;
  while (true) {
    const std::size_t done = content.size();
    content.resize(done + step);
    const std::size_t n =
        storage.read(name, done, std::as_writable_bytes(std::span(content)).subspan(done));
    content.resize(done + n);
    if (content.size() > max_bytes)
      throw Error(ErrorKind::failed, fmt::format("object '{}' at '{}' is larger than {} bytes",
                                                 name, storage.location(), max_bytes));
    if (n < step) return content;
    step *= 2;
  }
}

} // namespace mlp::data
