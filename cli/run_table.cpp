// Tables of runs and their three writings.
#include "cli/run_table.hpp"

#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/logged.hpp"
#include "core/track/run_diff.hpp"
#include "core/track/run_field.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace mlp {

namespace {

std::vector<std::string> metric_names(const std::vector<track::RunRecord>& runs) {
  std::set<std::string> names;
  for (const track::RunRecord& run : runs)
    for (const auto& [name, value] : run.metrics)
      if (!name.starts_with(track::system_prefix)) names.insert(name);
  return {names.begin(), names.end()};
}

std::string number_text(double value, int digits) {
  return digits == 0 ? fmt::format("{}", value) : fmt::format("{:.{}g}", value, digits);
}

std::string param_text(const std::string& json, int digits) {
  const Json value = parse_json(json, "param");
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return number_text(value.get<double>(), digits);
  return json;
}

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string space(width - std::min(width, display_width(text)), ' ');
  return right ? space + text : text + space;
}

std::string markdown_cell(std::string_view raw) {
  std::string out;
  for (const char c : printable(raw)) {
    if (std::string_view("\\|`*_<>[]~#").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string csv_field(std::string_view raw) {
  if (raw.find_first_of(",\"\r\n") == std::string_view::npos && trim(raw) == raw)
    return std::string(raw);
  std::string out = "\"";
  for (const char c : raw) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

} // namespace

RunTable run_table(const std::vector<track::RunRecord>& runs, int digits) {
  const std::vector<std::string> params = track::differing_params(runs);
  const std::vector<std::string> metrics = metric_names(runs);
  // A name that is a param and a metric gets its group in front.
  const auto title = [](const std::string& name, const std::vector<std::string>& others,
                        std::string_view group) {
    return std::ranges::binary_search(others, name) ? fmt::format("{}.{}", group, name) : name;
  };
  RunTable table;
  table.header = {"run", "task", "state"};
  for (const std::string& name : params)
    table.header.push_back(title(name, metrics, "params"));
  for (const std::string& name : metrics)
    table.header.push_back(title(name, params, "metrics"));
  table.numeric.assign(table.header.size(), true);
  std::fill_n(table.numeric.begin(), 3, false);
  for (const track::RunRecord& run : runs) {
    std::vector<std::string> row = {run.spec.id, run.spec.task,
                                    std::string(track::state_name(run.state))};
    const std::map<std::string, std::string> own = run.params();
    for (const std::string& name : params) {
      const auto found = own.find(name);
      const bool there = found != own.end();
      if (there && !track::number_in(found->second)) table.numeric[row.size()] = false;
      row.push_back(there ? param_text(found->second, digits) : std::string());
    }
    for (const std::string& name : metrics) {
      const auto found = run.metrics.find(name);
      row.push_back(found == run.metrics.end() ? std::string()
                                               : number_text(found->second, digits));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Json run_table_json(const std::vector<track::RunRecord>& runs) {
  const std::vector<std::string> params = track::differing_params(runs);
  Json rows = json_array();
  for (const track::RunRecord& run : runs) {
    Json values = json_object();
    const std::map<std::string, std::string> own = run.params();
    for (const std::string& name : params)
      if (const auto found = own.find(name); found != own.end())
        values[name] = parse_json(found->second, "param");
    rows.push_back(json_object({{"run", run.spec.id},
                                {"task", run.spec.task},
                                {"state", track::state_name(run.state)},
                                {"params", std::move(values)},
                                {"metrics", Json(run.metrics)}}));
  }
  return json_object(
      {{"runs", std::move(rows)}, {"params", params}, {"metrics", metric_names(runs)}});
}

std::string aligned_text(const RunTable& table) {
  std::vector<std::vector<std::string>> lines{table.header};
  lines.insert(lines.end(), table.rows.begin(), table.rows.end());
  std::vector<std::size_t> widths(table.header.size(), 0);
  for (auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) {
      line[i] = line[i].empty() ? "-" : printable(line[i]);
      widths[i] = std::max(widths[i], display_width(line[i]));
    }
  for (std::string& title : lines.front()) // as other tables have them, names as they are
    if (title == "run" || title == "task" || title == "state")
      std::ranges::transform(title, title.begin(),
                             [](char c) { return static_cast<char>(c - 'a' + 'A'); });
  std::string text;
  for (const auto& line : lines) {
    std::string row;
    for (std::size_t i = 0; i < line.size(); ++i)
      row += (i == 0 ? "" : "  ") + padded(line[i], widths[i], table.numeric[i]);
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + '\n';
  }
  return text;
}

std::string markdown_text(const RunTable& table) {
  std::string text;
  const auto add = [&](const std::vector<std::string>& cells) {
    for (const std::string& cell : cells)
      text += "| " + markdown_cell(cell) + (cell.empty() ? "" : " ");
    text += "|\n";
  };
  add(table.header);
  for (std::size_t i = 0; i < table.header.size(); ++i)
    text += table.numeric[i] ? "| ---: " : "| --- ";
  text += "|\n";
  for (const auto& row : table.rows)
    add(row);
  return text;
}

std::string csv_text(const RunTable& table) {
  std::string text;
  const auto add = [&](const std::vector<std::string>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i)
      text += (i == 0 ? "" : ",") + csv_field(cells[i]);
    text += '\n';
  };
  add(table.header);
  for (const auto& row : table.rows)
    add(row);
  return text;
}

} // namespace mlp
