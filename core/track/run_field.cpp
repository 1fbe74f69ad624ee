// Fields of runs by name, their values and their order.
#include "core/track/run_field.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/run_index.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

namespace mlp::track {

namespace {

using Kind = RunField::Kind;

struct FieldName {
  std::string_view name;
  Kind kind;
};
constexpr std::array<FieldName, 17> field_names = {{{"run", Kind::run},
                                                    {"task", Kind::task},
                                                    {"name", Kind::name},
                                                    {"state", Kind::state},
                                                    {"reason", Kind::reason},
                                                    {"user", Kind::user},
                                                    {"host", Kind::host},
                                                    {"commit", Kind::commit},
                                                    {"note", Kind::note},
                                                    {"tags", Kind::tags},
                                                    {"models", Kind::models},
                                                    {"created", Kind::created},
                                                    {"started", Kind::started},
                                                    {"ended", Kind::ended},
                                                    {"duration", Kind::duration},
                                                    {"attempts", Kind::attempts},
                                                    {"exit_code", Kind::exit_code}}};

RunValue param_value(const std::string& json) {
  if (const auto number = number_in(json)) return *number;
  if (json.size() < 2 || json.front() != '"') return json; // true, null, a list
  // The index and spec.json hold what dump_json() wrote; without an escape it is the text itself.
  if (json.find('\\') == std::string::npos) return json.substr(1, json.size() - 2);
  try {
    return parse_json(json, "param").get<std::string>();
  } catch (const std::exception&) {
    return json;
  }
}

} // namespace

std::optional<double> number_in(std::string_view text) {
  double value = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string run_field_text(const RunField& field) {
  if (field.kind == Kind::params) return "params." + field.name;
  if (field.kind == Kind::metrics) return "metrics." + field.name;
  for (const FieldName& known : field_names)
    if (known.kind == field.kind) return std::string(known.name);
  return {};
}

RunField parse_run_field(std::string_view text) {
  const std::size_t dot = text.find('.');
  const std::string_view head = text.substr(0, dot);
  std::vector<std::string> candidates;
  if (dot != std::string_view::npos) {
    const std::string_view name = text.substr(dot + 1);
    if (!name.empty()) {
      if (head == "params") return {Kind::params, std::string(name)};
      if (head == "metrics") return {Kind::metrics, std::string(name)};
    }
    for (const char* group : {"params.", "metrics."})
      candidates.push_back(group + std::string(name.empty() ? "NAME" : name));
  } else {
    for (const FieldName& known : field_names) {
      if (known.name == text) return {known.kind, {}};
      candidates.emplace_back(known.name);
    }
    for (const char* group : {"params.NAME", "metrics.NAME"})
      candidates.emplace_back(group);
    if (text == "id") return {Kind::run, {}};
  }
  // At most 12 are listed in a hint: the groups are the ones not to be missed.
  std::string hint = "did you mean ";
  if (const auto near = nearest_name(text, candidates)) {
    hint += "'" + printable(*near) + "'?";
  } else {
    hint = "fields: params.NAME, metrics.NAME";
    for (const FieldName& known : field_names)
      hint += fmt::format(", {}", known.name);
  }
  throw Error(ErrorKind::usage, fmt::format("no field '{}'", printable(text))).with_hint(hint);
}

RunValue run_value(const RunRow& row, const RunField& field, WallTime now) {
  const auto text = [](const std::string& value) -> RunValue {
    if (value.empty()) return std::monostate{};
    return value;
  };
  const auto list = [](const std::vector<std::string>& values) -> RunValue {
    if (values.empty()) return std::monostate{};
    return values;
  };
  const auto time = [](const std::optional<WallTime>& value) -> RunValue {
    if (!value) return std::monostate{};
    return *value;
  };
  switch (field.kind) {
  case Kind::run:
    return row.id;
  case Kind::task:
    return text(row.task);
  case Kind::name:
    return text(row.name);
  case Kind::state:
    return std::string(row.problem.empty() ? state_name(row.state) : "damaged");
  case Kind::reason:
    return text(row.problem.empty() ? row.reason : row.problem);
  case Kind::user:
    return text(row.user);
  case Kind::host:
    return text(row.host);
  case Kind::commit:
    return text(row.commit);
  case Kind::note:
    return text(row.note);
  case Kind::tags:
    return list(row.tags);
  case Kind::models:
    return list(row.models);
  case Kind::created:
    return row.created;
  case Kind::started:
    return time(row.started);
  case Kind::ended:
    return time(row.ended);
  case Kind::duration:
    // Of a lost run nobody saw the end.
    if (!row.started || (!row.ended && !is_active(row.state))) return std::monostate{};
    return std::chrono::duration<double>(row.ended.value_or(now) - *row.started).count();
  case Kind::attempts:
    return static_cast<double>(row.attempts);
  case Kind::exit_code:
    if (!row.exit_code) return std::monostate{};
    return static_cast<double>(*row.exit_code);
  case Kind::params:
    if (const auto found = row.params.find(field.name); found != row.params.end())
      return param_value(found->second);
    return std::monostate{};
  case Kind::metrics:
    if (const auto found = row.metrics.find(field.name); found != row.metrics.end())
      return found->second;
    return std::monostate{};
  }
  return std::monostate{};
}

RunOrder parse_run_order(std::string_view text) {
  const bool descending = text.starts_with('-');
  if (descending) text.remove_prefix(1);
  return {parse_run_field(text), descending};
}

bool comes_before(const RunValue& a, const RunValue& b, bool descending) {
  const auto rank = [](const RunValue& value) {
    if (std::holds_alternative<std::monostate>(value)) return 2;
    if (const auto* number = std::get_if<double>(&value)) return std::isnan(*number) ? 2 : 0;
    return 1;
  };
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  if (rank(a) == 2 || a.index() != b.index()) return false;
  return descending ? b < a : a < b;
}

} // namespace mlp::track
