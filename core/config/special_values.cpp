// Values of mlp.yaml that have a form of their own, as the tools they come from write them:
// amounts ("4+") and accelerators ("H100:8", {H100: 8}) of SkyPilot, plots of DVC,
// and secrets by their names.
#include "core/config/project_keys.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace mlp::config {

namespace {

std::optional<double> parse_amount(std::string_view text) {
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(value) || value <= 0 || value > 1e9) return std::nullopt;
  return value;
}

bool is_accelerator_name(std::string_view text) {
  static constexpr std::string_view letters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  return !text.empty() && text.size() <= 64 &&
         text.find_first_not_of(letters) == std::string_view::npos;
}

std::optional<std::int64_t> parse_count(std::string_view text) {
  std::int64_t count = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (count < 0 || count > 1024) return std::nullopt;
  return count;
}

// NAME, NAME:COUNT, COUNT.
std::optional<Accelerators> parse_accelerators(std::string_view text) {
  if (const auto count = parse_count(text)) return Accelerators{"", *count};
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  if (!is_accelerator_name(name)) return std::nullopt;
  if (colon == std::string_view::npos) return Accelerators{std::string(name), 1};
  const auto count = parse_count(text.substr(colon + 1));
  if (!count) return std::nullopt;
  return Accelerators{std::string(name), *count};
}

} // namespace

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                Amount& value) {
  constexpr std::string_view wanted = "a number above 0, or such as 4+ for at least 4";
  const auto text = reader.text(key, node, rule, wanted, false);
  if (!text) return;
  std::string_view digits = *text;
  value.at_least = digits.ends_with('+');
  if (value.at_least) digits.remove_suffix(1);
  const auto amount = parse_amount(digits);
  if (!amount) throw reader.wrong(key, node, wanted, text);
  value.value = *amount;
}

Shape shape_of(const Amount&, const Rule& rule) {
  Shape shape{.kind = Shape::Kind::either, .rule = rule};
  shape.inner.push_back({.kind = Shape::Kind::number, .rule = {.minimum = 0}});
  shape.inner.push_back({.kind = Shape::Kind::text, .pattern = "^[0-9]+(\\.[0-9]+)?\\+?$"});
  return shape;
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                Accelerators& value) {
  constexpr std::string_view wanted = "NAME, NAME:COUNT or a count, such as H100:8";
  if (node.kind == YamlKind::mapping && node.entries.size() == 1) {
    const YamlEntry& entry = node.entries.front();
    const auto count = reader.text(entry.key, entry.value, rule, "a whole number", false);
    if (!count) return;
    const auto parsed = parse_count(*count);
    if (!parsed || !is_accelerator_name(entry.key)) throw reader.wrong(key, node, wanted);
    value = {entry.key, *parsed};
    return;
  }
  const auto text = reader.text(key, node, rule, wanted, false);
  if (!text) return;
  const auto parsed = parse_accelerators(*text);
  if (!parsed) throw reader.wrong(key, node, wanted, text);
  value = *parsed;
}

Shape shape_of(const Accelerators&, const Rule& rule) {
  Shape shape{.kind = Shape::Kind::either, .rule = rule};
  shape.inner.push_back({.kind = Shape::Kind::text, .pattern = "^[A-Za-z0-9._-]+(:[0-9]+)?$"});
  shape.inner.push_back({.kind = Shape::Kind::integer, .rule = {.minimum = 0, .maximum = 1024}});
  Shape counts{.kind = Shape::Kind::map};
  counts.inner.push_back({.kind = Shape::Kind::integer, .rule = {.minimum = 0, .maximum = 1024}});
  shape.inner.push_back(std::move(counts));
  return shape;
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                PlotEntry& value) {
  if (node.kind != YamlKind::mapping) {
    read_value(reader, key, node, rule, value.path);
    return;
  }
  read_value<PlotEntry>(reader, key, node, rule, value);
}

Shape shape_of(const PlotEntry&, const Rule& rule) {
  Shape shape{.kind = Shape::Kind::either, .rule = rule};
  shape.inner.push_back(shape_of(std::string(), Rule{}));
  shape.inner.push_back(shape_of<PlotEntry>(PlotEntry{}, Rule{}));
  return shape;
}

void read_value(const Reader& reader, std::string_view key, const YamlNode& node, const Rule& rule,
                SecretUse& value) {
  if (node.kind == YamlKind::mapping)
    read_value<SecretUse>(reader, key, node, rule, value);
  else
    read_value(reader, key, node, rule, value.name);
}

Shape shape_of(const SecretUse&, const Rule& rule) {
  Shape shape{.kind = Shape::Kind::either, .rule = rule};
  shape.inner.push_back({.kind = Shape::Kind::text, .pattern = "^[A-Za-z_][A-Za-z0-9_]{0,127}$"});
  shape.inner.push_back(shape_of<SecretUse>(SecretUse{}, Rule{}));
  return shape;
}

} // namespace mlp::config
