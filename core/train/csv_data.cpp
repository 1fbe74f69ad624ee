// CSV parts: tables read one after another, labels and targets checked with file and line, columns
// encoded into one matrix.
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/train/classes.hpp"
#include "core/train/data_parts.hpp"
#include "core/train/table.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace mlp::train {
namespace {

using config::TrainerKind;

std::string count_text(std::size_t count) {
  return format_count(count);
}

std::uint64_t physical_memory() noexcept {
  const long pages = ::sysconf(_SC_PHYS_PAGES), size = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || size <= 0) return std::uint64_t{8} << 30;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(size);
}

class CsvLoader {
 public:
  CsvLoader(const config::TrainerSpec& spec, const DataFiles& files,
            std::vector<std::string>& messages)
      : spec_(spec), files_(files), messages_(messages) {}

  TrainingData load() {
    read_train();
    read_other(files_.validation);
    read_other(files_.test);
    std::size_t first = 0;
    std::vector<std::int32_t>* const parts[] = {&data_.train, &data_.validation, &data_.test};
    const bool present[] = {true, files_.validation.exists(), files_.test.exists()};
    for (std::size_t part = 0, table = 0; part < 3; ++part) {
      if (!present[part]) continue;
      const std::size_t rows = tables_[table++].lines.size();
      *parts[part] = row_range(first, rows);
      first += rows;
    }
    if (first > static_cast<std::size_t>(INT32_MAX))
      throw Error(ErrorKind::config, "the files have more than 2^31 - 1 rows together");
    read_targets();
    split_parts(spec_, files_, data_);
    if (spec_.kind == TrainerKind::regressor) standardise_targets();
    fit_and_encode(first);
    return std::move(data_);
  }

 private:
  TableOptions base_options() const {
    const config::TrainerData& from = spec_.data;
    TableOptions options;
    options.dialect.delimiter = from.delimiter[0];
    options.dialect.comment = from.comment;
    options.dialect.skip_rows = from.skip_rows;
    options.dialect.trim = from.trim;
    options.header = from.header.value_or(from.columns.empty());
    options.columns = from.columns;
    options.blanks = from.blanks;
    if (!options.header && options.columns.empty())
      throw Error(ErrorKind::config, "'trainer.data.columns' must name the columns of a file "
                                     "without a header");
    return options;
  }

  static SourceOpener opener(const DataFile& file) {
    return [&file] { return open_source(file.path, file.name); };
  }

  void read_train() {
    TableOptions options = base_options();
    const config::TrainerFeatures& features = spec_.data.features;
    data_.target = spec_.data.target.empty() ? last_column(options) : spec_.data.target;
    const ColumnKind target_kind =
        spec_.kind == TrainerKind::classifier ? ColumnKind::category : ColumnKind::number;
    options.kinds[data_.target] = target_kind;
    for (const auto& name : features.categorical)
      options.kinds[name] = ColumnKind::category;
    for (const auto& name : features.numeric)
      options.kinds[name] = ColumnKind::number;
    for (const auto& name : features.log)
      options.kinds[name] = ColumnKind::number;
    options.excluded = features.exclude;
    if (!features.include.empty()) options.excluded = not_included(options);
    tables_.push_back(read_table(opener(files_.train), options));
    std::size_t numbers = 0;
    for (const Column& column : tables_[0].columns)
      numbers += column.kind == ColumnKind::number ? 1 : 0;
    messages_.push_back(fmt::format("read '{}': {} rows, {} numeric and {} categorical columns",
                                    files_.train.name, count_text(tables_[0].lines.size()), numbers,
                                    tables_[0].columns.size() - numbers));
  }

  std::vector<std::string> column_names(const TableOptions& options) const {
    if (!options.header) return options.columns;
    CsvReader reader(open_source(files_.train.path, files_.train.name), options.dialect);
    std::vector<std::string_view> fields;
    if (!reader.next(fields))
      throw Error(ErrorKind::config, fmt::format("'{}' is empty", files_.train.name));
    std::vector<std::string> names;
    for (const std::string_view field : fields)
      names.push_back(column_name(field, names.size()));
    return names;
  }

  std::string last_column(const TableOptions& options) const {
    return column_names(options).back();
  }

  // Columns that neither `include` nor the target names; what include names must be there.
  std::vector<std::string> not_included(const TableOptions& options) const {
    const auto& include = spec_.data.features.include;
    const std::vector<std::string> names = column_names(options);
    for (const auto& name : include)
      if (std::find(names.begin(), names.end(), name) == names.end())
        throw Error(ErrorKind::config, fmt::format("'{}' has no column '{}', which "
                                                   "'trainer.data.features.include' names",
                                                   files_.train.name, printable(name)))
            .with_hint(suggestion_hint(name, names, "columns"));
    std::vector<std::string> rest;
    for (const auto& name : names)
      if (name != data_.target && std::find(include.begin(), include.end(), name) == include.end())
        rest.push_back(name);
    return rest;
  }

  // Validation and test: the same columns, of the kinds found in training.
  void read_other(const DataFile& file) {
    if (!file.exists()) return;
    TableOptions options = base_options();
    options.only_declared = true;
    for (const Column& column : tables_[0].columns)
      options.kinds[column.name] = column.kind;
    tables_.push_back(read_table(opener(file), options));
    messages_.push_back(
        fmt::format("read '{}': {} rows", file.name, count_text(tables_.back().lines.size())));
  }

  std::string_view label_of(std::string_view text) const {
    const std::string& suffix = spec_.data.strip_label_suffix;
    if (!suffix.empty() && text.ends_with(suffix)) text.remove_suffix(suffix.size());
    return text;
  }

  [[noreturn]] void fail_at(const Table& table, std::size_t row, std::string_view what) const {
    throw Error(ErrorKind::config, fmt::format("{}:{}: column '{}': {}", table.source,
                                               table.lines[row], printable(data_.target), what));
  }

  void read_targets() {
    if (spec_.kind == TrainerKind::regressor) {
      for (const Table& table : tables_) {
        const auto& numbers = table.find(data_.target)->numbers;
        for (std::size_t row = 0; row < numbers.size(); ++row)
          if (std::isnan(numbers[row])) fail_at(table, row, "the target is blank");
        data_.targets.insert(data_.targets.end(), numbers.begin(), numbers.end());
      }
      return;
    }
    data_.classes = spec_.data.classes;
    if (data_.classes.empty()) {
      for (const std::string& value : tables_[0].find(data_.target)->values)
        data_.classes.emplace_back(label_of(value));
      sort_classes(data_.classes);
      check_class_count(data_.classes, fmt::format("column '{}' of '{}'", printable(data_.target),
                                                   files_.train.name));
    }
    std::unordered_map<std::string_view, std::int32_t> index;
    for (const std::string& name : data_.classes)
      index.emplace(name, static_cast<std::int32_t>(index.size()));
    for (const Table& table : tables_)
      read_labels(table, index);
  }

  void read_labels(const Table& table,
                   const std::unordered_map<std::string_view, std::int32_t>& index) {
    const Column& column = *table.find(data_.target);
    std::vector<std::int32_t> of_code;
    for (const std::string& value : column.values) {
      const auto found = index.find(label_of(value));
      of_code.push_back(found == index.end() ? -1 : found->second);
    }
    for (std::size_t row = 0; row < column.codes.size(); ++row) {
      if (column.codes[row] < 0) fail_at(table, row, "the label is blank");
      const auto code = static_cast<std::size_t>(column.codes[row]);
      if (of_code[code] < 0)
        fail_at(table, row,
                fmt::format("'{}' is not one of the classes {}",
                            printable(label_of(column.values[code])), classes_text()));
      data_.labels.push_back(of_code[code]);
    }
  }

  std::string classes_text() const {
    std::string text;
    constexpr std::size_t kMost = 10;
    for (std::size_t i = 0; i < std::min(data_.classes.size(), kMost); ++i)
      text += (i > 0 ? ", '" : "'") + printable(data_.classes[i]) + "'";
    return data_.classes.size() > kMost ? text + ", ..." : text;
  }

  void standardise_targets() {
    double sum = 0.0, squares = 0.0;
    for (const std::int32_t row : data_.train)
      sum += double{data_.targets[static_cast<std::size_t>(row)]};
    const double mean = sum / static_cast<double>(data_.train.size());
    for (const std::int32_t row : data_.train) {
      const double d = double{data_.targets[static_cast<std::size_t>(row)]} - mean;
      squares += d * d;
    }
    const double deviation = std::sqrt(squares / static_cast<double>(data_.train.size()));
    if (!(deviation > 0.0))
      throw Error(ErrorKind::config,
                  fmt::format("column '{}' of '{}' has the same value in every row",
                              printable(data_.target), files_.train.name));
    data_.target_mean = static_cast<float>(mean);
    data_.target_scale = static_cast<float>(deviation);
    for (float& target : data_.targets)
      target = (target - data_.target_mean) / data_.target_scale;
  }

  void fit_and_encode(std::size_t rows) {
    FeatureOptions options;
    options.log = spec_.data.features.log;
    options.categorical = spec_.data.features.categorical;
    options.blanks = spec_.data.blanks;
    data_.features = fit_features(tables_[0], data_.train, data_.target, options, messages_);
    const auto width = static_cast<std::size_t>(data_.features.width());
    const std::uint64_t bytes = std::uint64_t{rows} * width * sizeof(float);
    if (bytes > physical_memory() / 4 * 3)
      throw Error(ErrorKind::failed,
                  fmt::format("the data set needs {} of memory as {} rows of {} inputs, and this "
                              "machine has {}",
                              format_bytes(bytes), count_text(rows), count_text(width),
                              format_bytes(physical_memory())))
          .with_hint("leave columns out with 'trainer.data.features.exclude'");
    data_.inputs.resize(rows * width);
    std::size_t first = 0;
    for (Table& table : tables_) {
      const std::size_t count = table.lines.size() * width;
      encode(data_.features, table, std::span(data_.inputs).subspan(first, count));
      first += count;
      table = Table{}; // no longer needed
    }
  }

  const config::TrainerSpec& spec_;
  const DataFiles& files_;
  std::vector<std::string>& messages_;
  std::vector<Table> tables_; // train, then those of validation and test that exist
  TrainingData data_;
};

} // namespace

TrainingData load_csv_data(const config::TrainerSpec& spec, const DataFiles& files,
                           std::vector<std::string>& messages) {
  return CsvLoader(spec, files, messages).load();
}

} // namespace mlp::train
