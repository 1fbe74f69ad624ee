// Integers are recognised by writing the parsed value back.
#include "core/train/classes.hpp"

#include <algorithm>
#include <charconv>

namespace mlp::train {

std::optional<std::int64_t> integer_label(std::string_view label) {
  std::int64_t value = 0;
  const auto [stop, code] = std::from_chars(label.data(), label.data() + label.size(), value);
  if (code != std::errc{} || stop != label.data() + label.size()) return std::nullopt;
  if (std::to_string(value) != label) return std::nullopt;
  return value;
}

std::optional<std::vector<std::int64_t>> integer_classes(const std::vector<std::string>& classes) {
  std::vector<std::int64_t> values;
  for (const std::string& name : classes) {
    const auto value = integer_label(name);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

void sort_classes(std::vector<std::string>& classes) {
  if (integer_classes(classes)) {
    std::sort(classes.begin(), classes.end(), [](const std::string& a, const std::string& b) {
      return *integer_label(a) < *integer_label(b);
    });
  } else {
    std::sort(classes.begin(), classes.end());
  }
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
}

} // namespace mlp::train
