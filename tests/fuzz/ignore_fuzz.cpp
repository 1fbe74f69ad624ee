// Any bytes as a path (the first line) and a .mlpignore: patterns are read and matched, and a
// pattern that says the opposite of all others decides.
#include "core/data/ignore.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

using namespace mlp::data;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = std::min(text.find('\n'), text.size());
  std::string_view path = text.substr(0, line);
  std::vector<IgnorePattern> patterns = parse_ignore(text.substr(line));
  for (const IgnorePattern& pattern : patterns)
    if (pattern.components.empty()) __builtin_trap();
  const bool any = !patterns.empty();
  IgnoreRules rules;
  rules.enter("", std::move(patterns));
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string name(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
    const bool ignored = rules.ignores(name, true);
    if (ignored && !any) __builtin_trap();
    rules.enter(name, parse_ignore("!*\n"));
    if (rules.ignores(name, false)) __builtin_trap();
    rules.leave();
    rules.enter(name, {});
  }
  return 0;
}
