// Names of classes: their order, and whether they are integers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::train {

// The value of a label that is written as an integer is: "7" or "-1", not "07", "+7" or "1.0".
[[nodiscard]] std::optional<std::int64_t> integer_label(std::string_view label);

// The values of all classes if each is an integer label.
[[nodiscard]] std::optional<std::vector<std::int64_t>>
integer_classes(const std::vector<std::string>& classes);

// Sorts, as numbers if all are integers, else as text; drops repetitions.
void sort_classes(std::vector<std::string>& classes);

} // namespace mlp::train
