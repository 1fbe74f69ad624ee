// Views of a JSON value as text: aligned tables, fields, and units that people read.
#include "cli/output.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace mlp {

namespace {

const Json* reach(const Json& record, std::string_view key) {
  const Json* at = &record;
  while (!key.empty()) {
    const std::size_t dot = key.find('.');
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key.substr(0, dot));
    if (found == at->end()) return nullptr;
    at = &*found;
    key = dot == std::string_view::npos ? std::string_view{} : key.substr(dot + 1);
  }
  return at;
}

// A count or a size as JSON may hold it: whole numbers exactly, anything else clamped.
std::uint64_t whole(const Json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (value.is_number_integer())
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, value.get<std::int64_t>()));
  const double number = value.get<double>();
  if (!(number > 0)) return 0;
  return number < 1.8e19 ? static_cast<std::uint64_t>(number) : UINT64_MAX;
}

std::string number_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return fmt::format("{:.0f}", value);
  return fmt::format("{:.4g}", value);
}

std::string list_text(const Json& list) {
  std::string text;
  for (const Json& item : list) {
    if (!text.empty()) text += ", ";
    text += item.is_string() ? printable(item.get<std::string>()) : dump_json(item);
  }
  return text;
}

std::string cell(const Json* value, Format format) {
  if (value == nullptr || value->is_null()) return "-";
  if (value->is_string()) {
    const std::string text = value->get<std::string>();
    if (format == Format::age)
      if (const auto time = parse_time(text)) return format_age(*time, wall_now());
    if (format == Format::digest) {
      const std::size_t start = text.starts_with("sha256:") ? 7 : 0;
      return printable(text.substr(start, 12));
    }
    return printable(text);
  }
  if (value->is_boolean()) return value->get<bool>() ? "yes" : "no";
  if (value->is_array()) return value->empty() ? "-" : list_text(*value);
  if (value->is_object()) {
    std::string text;
    for (const auto& [key, item] : value->items()) {
      if (!text.empty()) text += "  ";
      text += printable(key) + "=" + cell(&item, Format::number);
    }
    return text.empty() ? "-" : text;
  }
  const double number = value->get<double>();
  switch (format) {
  case Format::bytes:
    return format_bytes(whole(*value));
  case Format::count:
    return format_count(whole(*value));
  case Format::duration:
    return format_duration(std::chrono::duration<double>(number));
  case Format::percent:
    return fmt::format("{:.2f} %", number * 100);
  default:
    return value->is_number_integer() ? value->dump() : number_text(number);
  }
}

std::string pad(const std::string& text, std::size_t to, bool right) {
  const std::string space(to - std::min(to, display_width(text)), ' ');
  return right ? space + text : text + space;
}

bool is_numeric(Format format) {
  return format == Format::count || format == Format::bytes || format == Format::duration ||
         format == Format::percent || format == Format::number;
}

std::string render_table(const Json& record, const TableView& view, bool color) {
  const Json& rows = record.at(std::string(view.rows));
  std::vector<std::vector<std::string>> cells(1);
  for (const Column& column : view.columns)
    cells[0].emplace_back(column.title);
  for (const Json& row : rows) {
    std::vector<std::string> line;
    for (const Column& column : view.columns)
      line.push_back(cell(reach(row, column.key), column.format));
    cells.push_back(std::move(line));
  }
  std::vector<std::size_t> widths(view.columns.size(), 0);
  for (const auto& line : cells)
    for (std::size_t i = 0; i < line.size(); ++i)
      widths[i] = std::max(widths[i], display_width(line[i]));
  std::string text;
  for (std::size_t r = 0; r < cells.size(); ++r) {
    std::string line;
    for (std::size_t i = 0; i < cells[r].size(); ++i) {
      if (i > 0) line += "  ";
      line += pad(cells[r][i], widths[i], is_numeric(view.columns[i].format));
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += r == 0 && color ? "\033[1m" + line + "\033[0m\n" : line + "\n";
  }
  return text;
}

std::string render_fields(const Json& record, const FieldsView& view, bool color) {
  std::size_t widest = 0;
  for (const Column& field : view.fields)
    if (reach(record, field.key) != nullptr) widest = std::max(widest, display_width(field.title));
  std::string text;
  for (const Column& field : view.fields) {
    const Json* value = reach(record, field.key);
    if (value == nullptr || value->is_null()) continue;
    const std::string title = pad(std::string(field.title) + ":", widest + 1, false);
    text += fmt::format("{}{}{} {}\n", color ? "\033[1m" : "", title, color ? "\033[0m" : "",
                        cell(value, field.format));
  }
  return text;
}

} // namespace

std::string render(const Json& record, const View& view, bool color) {
  if (const auto* table = std::get_if<TableView>(&view)) return render_table(record, *table, color);
  if (const auto* fields = std::get_if<FieldsView>(&view))
    return render_fields(record, *fields, color);
  return std::get<TextView>(view).text;
}

} // namespace mlp
