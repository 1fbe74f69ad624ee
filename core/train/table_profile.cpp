// Distinct values are counted by their hashes, up to a limit.
#include "core/train/table_profile.hpp"

#include "core/base/error.hpp"
#include "core/train/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <unordered_set>

namespace mlp::train {

namespace {

constexpr std::size_t some_values = 5;
constexpr std::int64_t rows_between = 4096;

std::optional<double> number_of(std::string_view text) noexcept {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return {};
  return value;
}

bool is_blank(std::string_view text) noexcept {
  static const TableOptions defaults;
  return std::ranges::find(defaults.blanks, text) != defaults.blanks.end();
}

std::optional<int> year_of(std::string_view text) noexcept {
  int year = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), year);
  if (text.size() != 4 || error != std::errc() || end != text.data() + 4) return std::nullopt;
  return year >= 1000 && year < 3000 ? std::optional(year) : std::nullopt;
}

bool is_number(std::string_view text) noexcept {
  return number_of(text).has_value();
}

// "2019", "2020", ... beside text: two years or more, in steps of one size, and no other number.
bool names_years(const std::vector<std::string>& fields) {
  std::vector<int> years;
  for (const std::string& field : fields) {
    if (!is_number(field)) continue;
    const auto year = year_of(field);
    if (!year) return false;
    years.push_back(*year);
  }
  if (years.size() < 2 || years[0] == years[1]) return false;
  for (std::size_t i = 2; i < years.size(); ++i)
    if (years[i] - years[i - 1] != years[1] - years[0]) return false;
  return true;
}

// Whether the first record names the columns. `second` is empty if there is none.
bool is_header(const std::vector<std::string>& first, const std::vector<std::string_view>& second) {
  if (std::ranges::none_of(first, is_number)) return true;
  return names_years(first) && std::ranges::any_of(second, [](std::string_view field) {
           return is_number(field) && !year_of(field);
         });
}

class Profiler {
 public:
  explicit Profiler(const ProfileOptions& options) : options_(options) {}

  TableProfile run(CsvReader& reader) {
    std::vector<std::string_view> fields;
    if (!reader.next(fields)) return std::move(profile_);
    const std::vector<std::string> first(fields.begin(), fields.end());
    bool more = reader.next(fields);
    profile_.header = is_header(first, more ? fields : std::vector<std::string_view>());
    for (std::size_t i = 0; i < first.size(); ++i)
      profile_.columns.push_back(
          {.name = profile_.header ? column_name(first[i], i) : fmt::format("column_{}", i + 1)});
    hashes_.resize(first.size());
    if (!profile_.header) row({first.begin(), first.end()});
    for (; more; more = reader.next(fields)) {
      if (profile_.rows >= options_.max_rows) {
        profile_.ended = false;
        break;
      }
      if (fields.size() != profile_.columns.size())
        throw Error(ErrorKind::config,
                    fmt::format("{}:{}: {} fields, the first record has {}", reader.name(),
                                reader.line(), fields.size(), profile_.columns.size()));
      row(fields);
      if (options_.on_rows && profile_.rows % rows_between == 0) options_.on_rows();
    }
    return std::move(profile_);
  }

 private:
  void row(const std::vector<std::string_view>& fields) {
    ++profile_.rows;
    if (profile_.first_rows.size() < options_.kept_rows)
      profile_.first_rows.emplace_back(fields.begin(), fields.end());
    for (std::size_t i = 0; i < fields.size(); ++i)
      value(profile_.columns[i], hashes_[i], fields[i]);
  }

  static void value(ColumnProfile& column, std::unordered_set<std::size_t>& hashes,
                    std::string_view text) {
    if (is_blank(text)) {
      ++column.blanks;
      return;
    }
    ++column.values;
    if (const auto number = number_of(text)) {
      ++column.numbers;
      if (*number == std::floor(*number)) ++column.integers;
      column.least = std::min(column.least, *number);
      column.most = std::max(column.most, *number);
      column.mean += (*number - column.mean) / static_cast<double>(column.numbers);
    }
    if (column.distinct > ColumnProfile::kMostDistinct) return;
    if (!hashes.insert(std::hash<std::string_view>{}(text)).second) return;
    ++column.distinct;
    if (column.some.size() < some_values) column.some.emplace_back(text);
  }

  const ProfileOptions& options_;
  TableProfile profile_;
  std::vector<std::unordered_set<std::size_t>> hashes_; // of each column's values
};

} // namespace

const char* ColumnProfile::type() const noexcept {
  if (values == 0) return "empty";
  if (numbers < values) return "text";
  return integers == numbers ? "integer" : "number";
}

char guess_delimiter(std::string_view head) noexcept {
  const std::string_view line = head.substr(0, head.find('\n'));
  char best = ',';
  for (const char c : {';', '\t', '|'})
    if (std::ranges::count(line, c) > std::ranges::count(line, best)) best = c;
  return best;
}

TableProfile profile_table(std::unique_ptr<ByteSource> source, const ProfileOptions& options) {
  CsvReader reader(std::move(source), options.dialect);
  return Profiler(options).run(reader);
}

} // namespace mlp::train
