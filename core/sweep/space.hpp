// The space that a sweep searches: dimensions with their ranges or choices, and conditions under
// which one is there. A point has a number for each: the value of a range, the index of a choice,
// or NaN where the dimension is not there.
#pragma once

#include "core/config/sweep_spec.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mlp::sweep {

enum class DimensionKind : std::uint8_t { choice, integer, real };

struct Condition {
  std::size_t parent = 0;       // a dimension that stands before
  std::vector<double> accepted; // its values; not empty
};

struct Dimension {
  std::string name;
  DimensionKind kind = DimensionKind::real;
  double low = 0, high = 1;         // of a range, both inclusive
  bool log = false;                 // of a range: drawn by ratios; low > 0
  std::size_t count = 0;            // of a range: how many values a grid takes; 0: all integers
  std::vector<std::string> choices; // the texts of values; one for a constant
  std::vector<Condition> conditions;
};

using Point = std::vector<double>;

// Immutable; may be read by many threads.
class Space {
 public:
  explicit Space(std::vector<Dimension> dimensions) : dimensions_(std::move(dimensions)) {}
  // Of parameters that have been checked (config::check_sweeps).
  explicit Space(const config::OrderedMap<config::ParameterSpec>& parameters);

  [[nodiscard]] const std::vector<Dimension>& dimensions() const noexcept { return dimensions_; }
  [[nodiscard]] std::size_t size() const noexcept { return dimensions_.size(); }

  // Whether a dimension is there, by the values of those before it.
  [[nodiscard]] bool is_active(std::size_t dimension, const Point& point) const;

  // Of a range: where a value lies from low (0) to high (1), and back. Of integers each has a share
  // of its own width; back rounds to the nearest one.
  [[nodiscard]] double to_unit(std::size_t dimension, double value) const;
  [[nodiscard]] double from_unit(std::size_t dimension, double unit) const;

  // Names and texts of a point, as --param takes them: what is not there is left out. A number is
  // written with as many digits as it takes to read the same one.
  [[nodiscard]] std::map<std::string, std::string> texts_of(const Point& point) const;
  // Back. Throws Error(config) for a text that is no value of its dimension.
  [[nodiscard]] Point point_of(const std::map<std::string, std::string>& texts) const;

 private:
  std::vector<Dimension> dimensions_;
};

} // namespace mlp::sweep
