// What can be asked of a run by name: a column of the index, a param, a metric; its value in one
// run, and how values are ordered.
#pragma once

#include "core/base/time.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mlp::track {

struct RunRow;

// One thing that is known of a run: a column of the index, a param or a metric.
struct RunField {
  enum class Kind {
    run,
    task,
    name,
    state,
    reason,
    user,
    host,
    commit,
    note,
    tags,
    models,
    created,
    started,
    ended,
    duration, // seconds that the last attempt ran
    attempts,
    exit_code,
    params,
    metrics,
  };
  Kind kind = Kind::run;
  std::string name; // of the param or metric; else empty
  bool operator==(const RunField&) const = default;
};

// "state", "params.lr". Throws Error(usage) with the nearest name as a hint.
[[nodiscard]] RunField parse_run_field(std::string_view text);
[[nodiscard]] std::string run_field_text(const RunField& field);

// The whole of `text` as a number, with or without a sign.
[[nodiscard]] std::optional<double> number_in(std::string_view text);

// Nothing, a number (a duration in seconds), a text, a time, or several texts (tags, models).
using RunValue =
    std::variant<std::monostate, double, std::string, WallTime, std::vector<std::string>>;
[[nodiscard]] RunValue run_value(const RunRow& row, const RunField& field, WallTime now);

// The key of `--sort`: a field, with "-" before it for the largest first.
struct RunOrder {
  RunField field;
  bool descending = false;
};
[[nodiscard]] RunOrder parse_run_order(std::string_view text);
// True if `a` comes before `b`: numbers before texts, runs without a value last, whatever the
// direction. Neither before the other if they are equal.
[[nodiscard]] bool comes_before(const RunValue& a, const RunValue& b, bool descending);

} // namespace mlp::track
