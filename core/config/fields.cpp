// Reading single values, and the words of every error about keys and types.
#include "core/config/fields.hpp"

#include "core/base/text.hpp"
#include "core/config/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace mlp::config {

namespace {

constexpr std::size_t max_map_entries = 10'000;

// The nth occurrence of a reference in the source, from where its value begins.
Position locate(const YamlDocument& document, const YamlNode& node, std::size_t offset) {
  const std::size_t end = node.text.find('}', offset);
  const std::string_view token =
      std::string_view(node.text).substr(offset, end == std::string::npos ? 2 : end + 1 - offset);
  std::size_t nth = 0;
  for (std::size_t at = node.text.find(token); at < offset; at = node.text.find(token, at + 1))
    ++nth;
  Position position{1, 1};
  const std::string& source = document.text();
  for (std::size_t i = 0; i < source.size(); ++i) {
    const bool inside =
        position.line > node.position.line ||
        (position.line == node.position.line && position.column >= node.position.column);
    if (inside && source.compare(i, token.size(), token) == 0 && nth-- == 0) return position;
    if (source[i] == '\n') {
      ++position.line;
      position.column = 1;
    } else if ((static_cast<unsigned char>(source[i]) & 0xc0) != 0x80) {
      // columns count characters; this byte may be followed by the rest of its character
      ++position.column;
    }
  }
  return node.position;
}

std::string shown(const YamlNode& node, const std::string& scalar) {
  switch (node.kind) {
  case YamlKind::null:
    return "nothing";
  case YamlKind::sequence:
    return "a list";
  case YamlKind::mapping:
    return "a map";
  case YamlKind::scalar:
    break;
  }
  std::string text = printable(scalar.substr(0, 60));
  if (scalar.size() > 60) text += "...";
  return fmt::format("'{}'", text);
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  Number value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  if constexpr (std::is_floating_point_v<Number>)
    if (!std::isfinite(value)) return std::nullopt;
  return value;
}

std::string range_words(const Rule& rule) {
  if (rule.minimum && rule.maximum)
    return fmt::format(" from {} to {}", *rule.minimum, *rule.maximum);
  if (rule.minimum) return fmt::format(" of at least {}", *rule.minimum);
  return {};
}

template <class Number>
void read_number(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                 std::string_view noun, Number& value) {
  const std::string wanted = fmt::format("{}{}", noun, range_words(rule));
  const auto text = reader.text(key, node, rule, wanted, false);
  if (!text) return;
  // Where a reference stands, quotes may be there for YAML's sake.
  const bool is_text = node.quoted && !has_reference(node.text);
  const auto number = is_text ? std::nullopt : parse_number<Number>(*text);
  if (!number || (rule.minimum && static_cast<double>(*number) < *rule.minimum) ||
      (rule.maximum && static_cast<double>(*number) > *rule.maximum))
    throw reader.wrong(key, node, wanted, text);
  value = *number;
}

Shape number_shape(Shape::Kind kind, const Rule& rule, std::string fallback) {
  return {.kind = kind, .rule = rule, .fallback = std::move(fallback)};
}

template <class Duration>
void read_duration(const Reader& reader, std::string_view key, const YamlNode& node,
                   const Rule& rule, Duration& value) {
  constexpr std::string_view wanted = "a duration such as 2ms, 30s, 5m or 2h";
  const auto text = reader.text(key, node, rule, wanted, false);
  if (!text) return;
  const auto duration = parse_duration(*text);
  if (!duration) throw reader.wrong(key, node, wanted, text);
  value = std::chrono::duration_cast<Duration>(*duration);
}

Shape duration_shape(const Rule& rule, std::string fallback) {
  return {.kind = Shape::Kind::text,
          .rule = rule,
          .pattern = "^[0-9]+(\\.[0-9]+)?(us|ms|s|m|h|d)$",
          .fallback = std::move(fallback)};
}

} // namespace

Error Reader::wrong(std::string_view key, const YamlNode& node, std::string_view wanted,
                    const std::optional<std::string>& replaced) const {
  Error problem = error(node.position, fmt::format("'{}' must be {}, not {}", key, wanted,
                                                   shown(node, replaced.value_or(node.text))));
  if (node.quoted && node.kind == YamlKind::scalar && !has_reference(node.text) &&
      wanted.find("number") != std::string_view::npos)
    problem.add_hint("leave the quotes out");
  return problem;
}

std::optional<std::string> Reader::text(std::string_view key, const YamlNode& node,
                                        const Rule& rule, std::string_view wanted,
                                        bool for_text) const {
  if (node.kind != YamlKind::scalar) throw wrong(key, node, wanted);
  if (rule.raw || !has_reference(node.text)) return node.text;
  if (references == References::refused)
    throw error(node.position, fmt::format("'{}' cannot hold ${{...}}", key))
        .with_hint("${params.NAME} and ${env.NAME} are replaced within tasks only");
  bool unset = false;
  const SubstitutionValues values{params, [&](const char* name) {
                                    const char* value = environment ? environment(name) : nullptr;
                                    if (value != nullptr || references == References::replaced)
                                      return value;
                                    unset = true;
                                    return "";
                                  }};
  try {
    std::string replaced =
        rule.shell ? substitute_for_shell(node.text, values) : substitute(node.text, values);
    if (references == References::checked && for_text) return node.text;
    if (unset) return std::nullopt;
    return replaced;
  } catch (const SubstitutionError& problem) {
    Error located = error(locate(document, node, problem.offset), problem.what());
    if (!problem.hint.empty()) located.add_hint(problem.hint);
    throw located;
  }
}

void Reader::check_map_key(const YamlEntry& entry, const Rule& rule) const {
  const auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (rule.keys == MapKeys::names && !is_valid_name(entry.key))
    throw error(entry.key_position, fmt::format("'{}' is not a valid name", printable(entry.key)))
        .with_hint("a name has letters, digits, '.', '_' and '-', and begins with a letter or "
                   "digit");
  if (rule.keys == MapKeys::environment_names &&
      (entry.key.empty() || (entry.key.front() >= '0' && entry.key.front() <= '9') ||
       !std::all_of(entry.key.begin(), entry.key.end(), word)))
    throw error(entry.key_position,
                fmt::format("'{}' is not a name of an environment variable", printable(entry.key)));
}

Error Reader::unknown_key(const YamlEntry& entry, const std::vector<std::string>& known) const {
  Error problem = error(entry.key_position,
                        fmt::format("unknown key '{}'", printable(entry.key.substr(0, 60))));
  if (std::string hint = suggestion_hint(entry.key, known, "keys"); !hint.empty())
    problem.add_hint(std::move(hint));
  return problem;
}

Error Reader::missing_key(const YamlNode& node, std::string_view key) const {
  return error(node.position, fmt::format("key '{}' is missing here", key));
}

const std::vector<YamlNode>& list_items(const Reader& reader, std::string_view key,
                                        const YamlNode& node) {
  if (node.kind != YamlKind::sequence && node.kind != YamlKind::null)
    throw reader.wrong(key, node, "a list");
  return node.items;
}

const std::vector<YamlEntry>& map_entries(const Reader& reader, std::string_view key,
                                          const YamlNode& node) {
  if (node.kind != YamlKind::mapping && node.kind != YamlKind::null)
    throw reader.wrong(key, node, "a map");
  if (node.entries.size() > max_map_entries)
    throw reader.error(node.position, fmt::format("'{}' has more than {} entries", key,
                                                  format_count(max_map_entries)));
  return node.entries;
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                std::string& value) {
  std::string wanted = "text";
  if (!rule.choices.empty()) {
    wanted =
        "one of " + join(std::vector<std::string>(rule.choices.begin(), rule.choices.end()), ", ");
  }
  auto text = reader.text(key, node, rule, wanted, true);
  if (!text) return;
  if (!rule.choices.empty() && !has_reference(*text) &&
      std::find(rule.choices.begin(), rule.choices.end(), *text) == rule.choices.end()) {
    Error problem = reader.wrong(key, node, wanted, text);
    const std::vector<std::string> known(rule.choices.begin(), rule.choices.end());
    if (const auto nearest = nearest_name(*text, known))
      problem.add_hint(fmt::format("did you mean '{}'?", *nearest));
    throw problem;
  }
  value = std::move(*text);
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                bool& value) {
  const auto text = reader.text(key, node, rule, "true or false", false);
  if (!text) return;
  const Scalar scalar = parse_scalar(*text);
  if (scalar.type != ScalarType::boolean || (node.quoted && !has_reference(node.text)))
    throw reader.wrong(key, node, "true or false", text);
  value = scalar.text.front() == 't' || scalar.text.front() == 'T';
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                std::int64_t& value) {
  read_number(reader, key, node, rule, "a whole number", value);
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                std::uint64_t& value) {
  Rule with_minimum = rule;
  if (!with_minimum.minimum) with_minimum.minimum = 0;
  read_number(reader, key, node, with_minimum, "a whole number", value);
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                double& value) {
  read_number(reader, key, node, rule, "a number", value);
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                Scalar& value) {
  if (node.kind == YamlKind::null) {
    value = {ScalarType::null, "", node.position};
    return;
  }
  const auto text = reader.text(key, node, rule, "a number, text, true or false", true);
  if (!text) return;
  value = node.quoted ? Scalar{ScalarType::string, *text, node.position}
                      : parse_scalar(*text, node.position);
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                std::chrono::milliseconds& value) {
  read_duration(reader, key, node, rule, value);
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                std::chrono::microseconds& value) {
  read_duration(reader, key, node, rule, value);
}

Shape shape_of(const std::string& fallback, const Rule& rule) {
  return {.kind = Shape::Kind::text, .rule = rule, .fallback = fallback};
}
Shape shape_of(bool fallback, const Rule& rule) {
  return number_shape(Shape::Kind::boolean, rule, fallback ? "true" : "false");
}
Shape shape_of(std::int64_t fallback, const Rule& rule) {
  return number_shape(Shape::Kind::integer, rule, std::to_string(fallback));
}
Shape shape_of(std::uint64_t fallback, const Rule& rule) {
  Rule with_minimum = rule;
  if (!with_minimum.minimum) with_minimum.minimum = 0;
  return number_shape(Shape::Kind::integer, with_minimum, std::to_string(fallback));
}
Shape shape_of(double fallback, const Rule& rule) {
  return number_shape(Shape::Kind::number, rule, fmt::format("{}", fallback));
}
Shape shape_of(const Scalar&, const Rule& rule) {
  return {.kind = Shape::Kind::scalar, .rule = rule};
}
Shape shape_of(std::chrono::milliseconds fallback, const Rule& rule) {
  return duration_shape(rule, fmt::format("{}ms", fallback.count()));
}
Shape shape_of(std::chrono::microseconds fallback, const Rule& rule) {
  return duration_shape(rule, fmt::format("{}us", fallback.count()));
}

} // namespace mlp::config
