// A sample of the first rows says which open columns hold text; one pass then stores all values. If
// text turns up in a column that was taken for numbers, the file is read once more with it as a
// category, so that "1.0" and "1" stay two values as they stand.
#include "core/train/table.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>

namespace mlp::train {
namespace {

constexpr std::int64_t kSampleRows = 1000;
constexpr std::size_t kMaxValues = 1'000'000; // distinct values of a category
constexpr std::size_t kMemoryCheckRows = 1U << 14;

[[noreturn]] void fail(std::string_view source, std::int64_t line, std::string_view what) {
  throw Error(ErrorKind::config, fmt::format("{}:{}: {}", source, line, what));
}

std::string shown(std::string_view cell) {
  constexpr std::size_t kMost = 40;
  return printable(cell.size() <= kMost ? std::string(cell)
                                        : fmt::format("{}...", cell.substr(0, kMost)));
}

enum class Parsed { number, out_of_range, text };

Parsed parse_number(std::string_view text, float& value) noexcept {
  if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value);
  if (stop != end || text.empty()) return Parsed::text;
  if (code == std::errc{}) return std::isfinite(value) ? Parsed::number : Parsed::text;
  if (code != std::errc::result_out_of_range) return Parsed::text;
  double wide = 0.0; // too small is 0, too large is not a number that a float can hold
  if (std::from_chars(text.data(), end, wide).ec == std::errc{}) {
    value = static_cast<float>(wide);
    return std::isfinite(value) ? Parsed::number : Parsed::out_of_range;
  }
  if (text.find("e-") == std::string_view::npos && text.find("E-") == std::string_view::npos)
    return Parsed::out_of_range;
  value = 0.0F;
  return Parsed::number;
}

// The markers of a blank, with a quick no for most cells.
class Blanks {
 public:
  explicit Blanks(const std::vector<std::string>& markers) : markers_(markers) {
    for (const auto& marker : markers)
      first_[marker.empty() ? 0 : static_cast<unsigned char>(marker[0])] = true;
  }
  [[nodiscard]] bool contains(std::string_view cell) const noexcept {
    if (!first_[cell.empty() ? 0 : static_cast<unsigned char>(cell[0])]) return false;
    return std::find(markers_.begin(), markers_.end(), cell) != markers_.end();
  }

 private:
  const std::vector<std::string>& markers_;
  std::array<bool, 256> first_{};
};

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept {
    return std::hash<std::string_view>{}(text);
  }
};

// A column while it is read.
struct Slot {
  Column column;
  bool used = false;
  bool open = false; // the kind is not declared
  std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>> codes;
  std::vector<bool> value_is_number; // of an open category, a value each
  std::int64_t numbers = 0, texts = 0;
  std::int64_t first_text_line = 0;
  std::string first_text;

  void note_text(std::string_view cell, std::int64_t line) {
    if (texts++ > 0) return;
    first_text_line = line;
    first_text = shown(cell);
  }
};

class Pass {
 public:
  Pass(std::unique_ptr<ByteSource> source, const TableOptions& options,
       const std::map<std::string, ColumnKind>& found)
      : options_(options), reader_(std::move(source), options.dialect), blanks_(options.blanks) {
    read_names();
    choose_columns(found);
  }

  // At most `limit` rows; `keep` false looks at the kinds only.
  void run(std::int64_t limit, bool keep, std::uint64_t max_bytes) {
    for (; rows_ < limit && advance(); ++rows_) {
      if (fields_.size() != slots_.size())
        fail(reader_.name(), reader_.line(),
             fmt::format("too {} fields: {} where {} {}",
                         fields_.size() > slots_.size() ? "many" : "few", fields_.size(),
                         options_.header ? "the header has" : "there should be", slots_.size()));
      if (rows_ >= std::numeric_limits<std::int32_t>::max() - 1)
        fail(reader_.name(), reader_.line(), "more rows than 2^31 - 2, which is the limit");
      for (std::size_t i = 0; i < slots_.size(); ++i)
        if (slots_[i].used) cell(slots_[i], fields_[i], keep);
      if (!keep) continue;
      lines_.push_back(static_cast<std::uint32_t>(reader_.line()));
      if (lines_.size() % kMemoryCheckRows == 0) check_memory(max_bytes);
    }
  }

  [[nodiscard]] std::vector<Slot>& slots() noexcept { return slots_; }
  [[nodiscard]] std::vector<std::uint32_t>& lines() noexcept { return lines_; }
  [[nodiscard]] const std::string& name() const noexcept { return reader_.name(); }

 private:
  bool advance() {
    if (pending_) {
      pending_ = false;
      return true;
    }
    return reader_.next(fields_);
  }

  void read_names() {
    if (!reader_.next(fields_))
      throw Error(ErrorKind::config, fmt::format("'{}' has no {}", reader_.name(),
                                                 options_.header ? "header line" : "rows"));
    slots_.resize(fields_.size());
    for (std::size_t i = 0; i < fields_.size(); ++i)
      slots_[i].column.name = column_name(fields_[i], i);
    if (!options_.header) {
      pending_ = true; // the record is the first row
      if (options_.columns.size() != fields_.size())
        fail(reader_.name(), reader_.line(),
             fmt::format("{} fields where 'columns' names {}", fields_.size(),
                         options_.columns.size()));
      for (std::size_t i = 0; i < fields_.size(); ++i)
        slots_[i].column.name = options_.columns[i];
    }
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      const std::string& name = slots_[i].column.name;
      if (!is_valid_utf8(name))
        fail(reader_.name(), reader_.line(),
             fmt::format("the name of column {} is not UTF-8", i + 1));
      if (!index_.emplace(name, i).second)
        fail(reader_.name(), reader_.line(),
             fmt::format("two columns are named '{}'", shown(name)));
    }
  }

  std::size_t find_column(const std::string& name) const {
    if (const auto found = index_.find(name); found != index_.end()) return found->second;
    std::vector<std::string> names;
    for (const Slot& slot : slots_)
      names.push_back(slot.column.name);
    throw Error(ErrorKind::config,
                fmt::format("'{}' has no column '{}'", reader_.name(), printable(name)))
        .with_hint(suggestion_hint(name, names, "columns"));
  }

  void choose_columns(const std::map<std::string, ColumnKind>& found) {
    for (Slot& slot : slots_)
      slot.used = slot.open = !options_.only_declared;
    for (const auto& [name, kind] : options_.kinds) {
      Slot& slot = slots_[find_column(name)];
      slot.used = true;
      slot.open = false;
      slot.column.kind = kind;
    }
    for (const auto& name : options_.excluded)
      slots_[find_column(name)].used = false;
    for (const auto& [name, kind] : found) // kinds that an earlier pass has seen
      slots_[find_column(name)].column.kind = kind;
  }

  void cell(Slot& slot, std::string_view text, bool keep) {
    const bool blank = blanks_.contains(text);
    if (slot.column.kind == ColumnKind::category) {
      const std::int32_t code = blank ? -1 : code_of(slot, text);
      if (keep) slot.column.codes.push_back(code);
      return;
    }
    float value = std::numeric_limits<float>::quiet_NaN();
    if (!blank) {
      switch (parse_number(text, value)) {
      case Parsed::number:
        ++slot.numbers;
        break;
      case Parsed::out_of_range:
        fail_cell(slot, text, "is too large for a 32-bit float");
      case Parsed::text:
        if (!slot.open) fail_cell(slot, text, "is not a number");
        value = std::numeric_limits<float>::quiet_NaN();
        slot.note_text(text, reader_.line());
      }
    }
    if (keep) slot.column.numbers.push_back(value);
  }

  std::int32_t code_of(Slot& slot, std::string_view text) {
    auto found = slot.codes.find(text);
    if (found == slot.codes.end()) {
      if (!is_valid_utf8(text)) fail_cell(slot, text, "is not UTF-8 text");
      if (slot.column.values.size() >= kMaxValues)
        fail_cell(slot, text, "is one value too many: a category may have 1,000,000 of them");
      const auto code = static_cast<std::int32_t>(slot.column.values.size());
      found = slot.codes.emplace(std::string(text), code).first;
      slot.column.values.emplace_back(text);
      text_bytes_ += 2 * text.size() + 128;
      float ignored = 0.0F;
      if (slot.open) slot.value_is_number.push_back(parse_number(text, ignored) != Parsed::text);
    }
    const std::int32_t code = found->second;
    if (slot.open) {
      if (slot.value_is_number[static_cast<std::size_t>(code)])
        ++slot.numbers;
      else
        slot.note_text(text, reader_.line());
    }
    return code;
  }

  [[noreturn]] void fail_cell(const Slot& slot, std::string_view text, std::string_view what) {
    fail(reader_.name(), reader_.line(),
         fmt::format("column '{}': '{}' {}", shown(slot.column.name), shown(text), what));
  }

  void check_memory(std::uint64_t max_bytes) const {
    std::uint64_t columns = 1;
    for (const Slot& slot : slots_)
      columns += slot.used ? 1 : 0;
    if (columns * lines_.size() * 4 + text_bytes_ > max_bytes)
      fail(reader_.name(), reader_.line(),
           fmt::format("the table needs more than {} of memory", format_bytes(max_bytes)));
  }

  const TableOptions& options_;
  CsvReader reader_;
  Blanks blanks_;
  std::vector<Slot> slots_;
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<std::string_view> fields_;
  std::vector<std::uint32_t> lines_;
  std::int64_t rows_ = 0;
  std::uint64_t text_bytes_ = 0;
  bool pending_ = false;
};

// The kind of each open column from what a pass has counted.
std::map<std::string, ColumnKind> kinds_seen(std::vector<Slot>& slots, std::string_view source,
                                             bool complete) {
  std::map<std::string, ColumnKind> kinds;
  for (const Slot& slot : slots) {
    if (!slot.used || !slot.open) continue;
    const bool text = slot.texts > 0;
    if (complete && text && slot.numbers >= 99 * slot.texts)
      throw Error(ErrorKind::config,
                  fmt::format("{}:{}: column '{}': '{}' is not a number", source,
                              slot.first_text_line, shown(slot.column.name), slot.first_text))
          .with_hint(fmt::format("nearly all of the column is numbers; if '{}' marks a blank, add "
                                 "it to 'data.blanks'; if the column holds categories, name it "
                                 "under 'data.features.categorical'",
                                 slot.first_text));
    kinds[slot.column.name] = text ? ColumnKind::category : ColumnKind::number;
  }
  return kinds;
}

std::uint64_t half_of_memory() noexcept {
  const long pages = ::sysconf(_SC_PHYS_PAGES), size = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0
             ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(size) / 2
             : std::uint64_t{4} << 30;
}

} // namespace

std::string column_name(std::string_view field, std::size_t index) {
  return field.empty() ? fmt::format("column_{}", index + 1) : std::string(field);
}

const Column* Table::find(std::string_view name) const noexcept {
  const auto found = std::find_if(columns.begin(), columns.end(),
                                  [&](const Column& column) { return column.name == name; });
  return found == columns.end() ? nullptr : &*found;
}

Table read_table(const SourceOpener& open, const TableOptions& options) {
  constexpr auto kAll = std::numeric_limits<std::int64_t>::max();
  const std::uint64_t max_bytes = options.max_bytes > 0 ? options.max_bytes : half_of_memory();
  std::map<std::string, ColumnKind> kinds;
  if (!options.only_declared) {
    Pass sample(open(), options, {});
    sample.run(kSampleRows, false, max_bytes);
    kinds = kinds_seen(sample.slots(), sample.name(), false);
  }
  std::optional<Pass> pass;
  for (bool again = true; again;) {
    pass.emplace(open(), options, kinds);
    pass->run(kAll, true, max_bytes);
    auto seen = kinds_seen(pass->slots(), pass->name(), true);
    again = seen != kinds;
    kinds = std::move(seen);
  }
  if (pass->lines().empty())
    throw Error(ErrorKind::config, fmt::format("'{}' has no rows", pass->name()));
  Table table;
  table.source = pass->name();
  table.lines = std::move(pass->lines());
  for (Slot& slot : pass->slots())
    if (slot.used) table.columns.push_back(std::move(slot.column));
  return table;
}

Table read_table(const std::filesystem::path& path, const TableOptions& options) {
  return read_table([&] { return open_source(path); }, options);
}

} // namespace mlp::train
