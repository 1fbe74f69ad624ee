// From checked parameters to dimensions, and from numbers to the texts that runs get.
#include "core/sweep/space.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/track/run_field.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace mlp::sweep {

namespace {

double value_in(const Dimension& dimension, std::string_view text) {
  if (dimension.kind == DimensionKind::choice) {
    const auto found = std::find(dimension.choices.begin(), dimension.choices.end(), text);
    if (found != dimension.choices.end())
      return static_cast<double>(found - dimension.choices.begin());
  } else if (const auto number = track::number_in(text)) {
    const double slack = 1e-9 * std::max(std::fabs(dimension.low), std::fabs(dimension.high));
    if (*number >= dimension.low - slack && *number <= dimension.high + slack)
      return std::clamp(*number, dimension.low, dimension.high);
  }
  throw Error(ErrorKind::config,
              fmt::format("'{}' is no value of '{}'", printable(text), dimension.name));
}

Dimension dimension_of(const std::string& name, const config::ParameterSpec& spec) {
  Dimension out;
  out.name = name;
  out.count = static_cast<std::size_t>(spec.count.value_or(0));
  if (spec.type == "categorical" || spec.type == "const") {
    out.kind = DimensionKind::choice;
    for (const config::Scalar& value : spec.vals)
      out.choices.push_back(value.text);
    if (spec.val) out.choices.push_back(spec.val->text);
    return out;
  }
  out.kind = spec.type == "int" ? DimensionKind::integer : DimensionKind::real;
  out.low = spec.minval.value();
  out.high = spec.maxval.value();
  out.log = spec.log;
  if (spec.type == "log") {
    const double base = spec.base.value_or(10.0);
    out.low = std::pow(base, out.low);
    out.high = std::pow(base, out.high);
    out.log = true;
  }
  return out;
}

} // namespace

Space::Space(const config::OrderedMap<config::ParameterSpec>& parameters) {
  for (const auto& [name, position, spec] : parameters) {
    Dimension dimension = dimension_of(name, spec);
    for (const auto& [parent, where, wanted] : spec.when) {
      Condition condition;
      while (condition.parent < dimensions_.size() && dimensions_[condition.parent].name != parent)
        ++condition.parent;
      if (condition.parent == dimensions_.size())
        throw Error(ErrorKind::config, fmt::format("no parameter '{}' above '{}'", parent, name));
      for (const config::Scalar& value : wanted.values)
        condition.accepted.push_back(value_in(dimensions_[condition.parent], value.text));
      dimension.conditions.push_back(std::move(condition));
    }
    dimensions_.push_back(std::move(dimension));
  }
}

bool Space::is_active(std::size_t dimension, const Point& point) const {
  const std::vector<Condition>& all = dimensions_[dimension].conditions;
  return std::all_of(all.begin(), all.end(), [&](const Condition& condition) {
    // NaN, of a parent that is not there, equals nothing.
    return std::any_of(condition.accepted.begin(), condition.accepted.end(),
                       [&](double value) { return value == point[condition.parent]; });
  });
}

double Space::to_unit(std::size_t index, double value) const {
  const Dimension& dimension = dimensions_[index];
  const double half = dimension.kind == DimensionKind::integer ? 0.5 : 0.0;
  double low = dimension.low - half, high = dimension.high + half;
  if (dimension.log) {
    low = std::log(low);
    high = std::log(high);
    value = std::log(value);
  }
  return high > low ? std::clamp((value - low) / (high - low), 0.0, 1.0) : 0.5;
}

double Space::from_unit(std::size_t index, double unit) const {
  const Dimension& dimension = dimensions_[index];
  const double half = dimension.kind == DimensionKind::integer ? 0.5 : 0.0;
  const double low = dimension.low - half, high = dimension.high + half;
  double value = dimension.log ? std::exp(std::log(low) + unit * (std::log(high) - std::log(low)))
                               : low + unit * (high - low);
  if (dimension.kind == DimensionKind::integer) value = std::round(value);
  return std::clamp(value, dimension.low, dimension.high);
}

std::map<std::string, std::string> Space::texts_of(const Point& point) const {
  std::map<std::string, std::string> out;
  for (std::size_t i = 0; i < size(); ++i) {
    if (std::isnan(point[i])) continue;
    const Dimension& dimension = dimensions_[i];
    out[dimension.name] = dimension.kind == DimensionKind::choice
                              ? dimension.choices[static_cast<std::size_t>(point[i])]
                          : dimension.kind == DimensionKind::integer
                              ? fmt::format("{}", static_cast<std::int64_t>(point[i]))
                              : fmt::format("{}", point[i]);
  }
  return out;
}

Point Space::point_of(const std::map<std::string, std::string>& texts) const {
  Point point(size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < size(); ++i)
    if (const auto found = texts.find(dimensions_[i].name); found != texts.end())
      point[i] = value_in(dimensions_[i], found->second);
  return point;
}

} // namespace mlp::sweep
