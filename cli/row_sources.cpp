// CSV columns go to inputs by name, or in order where the file has no header; a model with one
// input of several values takes a row as its values. JSON is cut into records one at a time.
#include "cli/row_sources.hpp"

#include "cli/json_records.hpp"
#include "cli/row_batch.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/serve/v2.hpp"
#include "core/train/csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace mlp {

namespace {

using train::ByteSource;

Error bad(std::string message) {
  return {ErrorKind::config, std::move(message)};
}

std::vector<std::string> input_names(const RowBatch& batch) {
  std::vector<std::string> names;
  for (const RowInput& input : batch.inputs())
    names.push_back(input.spec.name);
  return names;
}

std::string count_text(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

class CsvRows : public RowSource {
 public:
  CsvRows(std::unique_ptr<ByteSource> source, const model::Signature& signature,
          RowSourceOptions options)
      : options_(std::move(options)), batch_(signature), reader_(std::move(source), dialect()) {
    if (!reader_.next(fields_)) return; // no rows
    const auto& inputs = batch_.inputs();
    const bool wide = inputs.size() == 1 && inputs.front().size > 1;
    if (!wide && std::any_of(inputs.begin(), inputs.end(), [](auto& i) { return i.size != 1; }))
      throw bad(
          "this model takes more than one value in an input, which a CSV row has no place for")
          .with_hint("send JSON records, or a request of the Open Inference Protocol");
    if (wide)
      plan_wide(inputs.front());
    else
      plan_columns();
  }

  std::vector<model::NamedTensor> next() override {
    while (batch_.rows() < batch_.max_rows() && (pending_ || reader_.next(fields_))) {
      pending_ = false;
      add_row();
    }
    return batch_.rows() > 0 ? batch_.take() : std::vector<model::NamedTensor>();
  }

 private:
  struct Slot {
    std::size_t column, input;
  };

  train::CsvDialect dialect() const {
    train::CsvDialect dialect;
    dialect.delimiter = options_.delimiter;
    dialect.max_line_bytes = std::size_t{16} << 20;
    return dialect;
  }

  // One input of several values: the row is its values, a header has no say in it.
  void plan_wide(const RowInput& input) {
    columns_ = input.size;
    for (std::size_t i = 0; i < columns_; ++i)
      slots_.push_back({i, 0});
    pending_ = !options_.header || input.spec.type == model::DataType::string ||
               std::any_of(fields_.begin(), fields_.end(), RowBatch::is_number);
    check_count();
  }

  void plan_columns() {
    const auto names = input_names(batch_);
    const bool named = std::any_of(fields_.begin(), fields_.end(), [&](std::string_view field) {
      return std::find(names.begin(), names.end(), field) != names.end();
    });
    if (options_.header && named) return plan_header(names);
    columns_ = names.size();
    for (std::size_t i = 0; i < columns_; ++i)
      slots_.push_back({i, i});
    pending_ = true;
    if (fields_.size() == columns_) return;
    throw bad(fmt::format("'{}' line {}: {}, but the model takes {}: {}", reader_.name(),
                          reader_.line(), count_text(fields_.size(), "field"),
                          count_text(columns_, "column"), join(names, ", ")))
        .with_hint("a first line that names the columns may have them in any order, among others");
  }

  void plan_header(const std::vector<std::string>& names) {
    columns_ = fields_.size();
    for (const std::string_view field : fields_)
      header_.emplace_back(field);
    std::vector<std::string> unused;
    for (const std::string& column : header_)
      if (std::find(names.begin(), names.end(), column) == names.end()) unused.push_back(column);
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto found = std::find(header_.begin(), header_.end(), names[i]);
      if (found == header_.end()) {
        Error error = bad(fmt::format("'{}' has no column '{}'", reader_.name(), names[i]));
        if (const auto nearest = nearest_name(names[i], unused))
          error.add_hint(fmt::format("is it '{}'?", printable(*nearest)));
        throw error;
      }
      if (std::find(found + 1, header_.end(), names[i]) != header_.end())
        throw bad(fmt::format("'{}' has two columns '{}'", reader_.name(), names[i]));
      slots_.push_back({static_cast<std::size_t>(found - header_.begin()), i});
    }
    if (!unused.empty() && options_.on_unused) options_.on_unused(unused);
  }

  void check_count() const {
    if (fields_.size() != columns_)
      throw bad(fmt::format("'{}' line {}: {}, not {}", reader_.name(), reader_.line(),
                            count_text(fields_.size(), "field"), columns_));
  }

  void add_row() {
    check_count();
    for (const Slot slot : slots_) {
      try {
        batch_.add_text(slot.input, fields_[slot.column]);
      } catch (Error& error) {
        const std::string column =
            header_.empty() ? batch_.inputs()[slot.input].spec.name : header_[slot.column];
        throw bad(fmt::format("'{}' line {}, column {} ('{}'): {}", reader_.name(), reader_.line(),
                              slot.column + 1, printable(column), error.message()));
      }
    }
    batch_.end_row();
  }

  RowSourceOptions options_;
  RowBatch batch_;
  train::CsvReader reader_;
  std::vector<std::string_view> fields_;
  bool pending_ = false; // fields_ is a row that is not in the batch yet
  std::size_t columns_ = 0;
  std::vector<std::string> header_;
  std::vector<Slot> slots_;
};

class JsonRows : public RowSource {
 public:
  JsonRows(std::unique_ptr<ByteSource> source, const model::Signature& signature)
      : signature_(signature), records_(std::move(source)) {}

  std::vector<model::NamedTensor> next() override {
    while (!batch_ || batch_->rows() < batch_->max_rows()) {
      if (!held_ && !read()) break;
      if (is_request(*held_)) {
        if (batch_ && batch_->rows() > 0) break; // the rows before it go first
        held_.reset();
        return parse_request();
      }
      if (!batch_) batch_.emplace(signature_);
      add_row(*held_);
      held_.reset();
    }
    return batch_ && batch_->rows() > 0 ? batch_->take() : std::vector<model::NamedTensor>();
  }

 private:
  bool read() {
    if (!records_.next(text_)) return false;
    held_ = parse_json(text_, where(), {.max_bytes = JsonRecords::max_record, .max_depth = 32});
    if (!held_->is_object() && !held_->is_array())
      throw bad(fmt::format("{}: not an object with the model's inputs", where()));
    return true;
  }

  [[nodiscard]] std::string where() const {
    return fmt::format("'{}' line {}", records_.name(), records_.line());
  }

  static bool is_request(const Json& record) {
    const auto inputs = record.is_object() ? record.find("inputs") : record.end();
    return record.is_object() && inputs != record.end() && inputs->is_array() && !inputs->empty() &&
           inputs->front().is_object() && inputs->front().contains("datatype");
  }

  std::vector<model::NamedTensor> parse_request() {
    return with_context(fmt::format("while reading {}", where()),
                        [&] { return parser_.parse(text_).inputs; });
  }

  void add_row(const Json& record) {
    const auto& inputs = batch_->inputs();
    if (record.is_array() && inputs.size() != 1 && record.size() != inputs.size())
      throw bad(fmt::format("{}: {}, but the model takes {}", where(),
                            count_text(record.size(), "value"), inputs.size()));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::string& name = inputs[i].spec.name;
      const Json* value = &record;
      if (record.is_array()) {
        if (inputs.size() != 1) value = &record[i];
      } else if (const auto member = record.find(name); member != record.end()) {
        value = &*member;
      } else {
        throw missing(record, name);
      }
      try {
        batch_->add_json(i, *value);
      } catch (Error& error) {
        throw bad(fmt::format("{}, '{}': {}", where(), printable(name), error.message()));
      }
    }
    batch_->end_row();
  }

  Error missing(const Json& record, const std::string& name) const {
    std::vector<std::string> unused;
    for (const auto& [key, value] : record.items())
      unused.push_back(key);
    Error error = bad(fmt::format("{} has no '{}'", where(), printable(name)));
    if (const auto nearest = nearest_name(name, unused))
      error.add_hint(fmt::format("is it '{}'?", printable(*nearest)));
    return error;
  }

  const model::Signature& signature_;
  JsonRecords records_;
  std::optional<RowBatch> batch_; // made on need: a V2 request needs no rows
  serve::InferRequestParser parser_;
  std::string text_;
  std::optional<Json> held_;
};

// The images of an IDX file, a batch at a time. Source of the format: see core/train/idx.hpp.
class IdxRows : public RowSource {
 public:
  IdxRows(std::unique_ptr<ByteSource> source, const model::Signature& signature)
      : batch_(signature), source_(std::move(source)) {
    const std::string magic = take(4);
    const auto dimensions = static_cast<unsigned char>(magic[3]);
    if (magic[0] != 0 || magic[1] != 0 || magic[2] != 8 || dimensions < 1 || dimensions > 8)
      throw bad(fmt::format("'{}' is not an IDX file of unsigned bytes", source_->name()));
    std::vector<std::int64_t> shape;
    for (int i = 0; i < dimensions; ++i) {
      const std::string size = take(4);
      std::int64_t value = 0;
      for (const char c : size)
        value = value * 256 + static_cast<unsigned char>(c);
      shape.push_back(value);
    }
    left_ = shape.front();
    const auto& inputs = batch_.inputs();
    const auto item = model::element_count(std::span(shape).subspan(1));
    if (inputs.size() != 1 || !item || static_cast<std::size_t>(*item) != inputs.front().size)
      throw bad(fmt::format("'{}' holds items of shape {}, which the model does not take",
                            source_->name(), model::shape_text(std::span(shape).subspan(1))))
          .with_hint(
              inputs.size() == 1
                  ? fmt::format("it takes {}",
                                model::shape_text(std::span(inputs.front().spec.shape).subspan(1)))
                  : "it takes several inputs");
  }

  std::vector<model::NamedTensor> next() override {
    while (left_ > 0 && batch_.rows() < batch_.max_rows()) {
      batch_.add_bytes(0, take(batch_.inputs().front().size));
      batch_.end_row();
      --left_;
    }
    return batch_.rows() > 0 ? batch_.take() : std::vector<model::NamedTensor>();
  }

 private:
  std::string take(std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t have = 0;
    while (have < size) {
      const std::size_t n = source_->read(std::span(bytes).subspan(have));
      if (n == 0)
        throw Error(ErrorKind::integrity,
                    fmt::format("'{}' ends early, after {} bytes", source_->name(), taken_ + have));
      have += n;
    }
    taken_ += size;
    return bytes;
  }

  RowBatch batch_;
  std::unique_ptr<ByteSource> source_;
  std::int64_t left_ = 0;
  std::uint64_t taken_ = 0;
};

std::string sniff(std::string_view head) {
  if (head.size() >= 4 && head[0] == 0 && head[1] == 0) return "idx";
  const std::string_view text = trim(head);
  return !text.empty() && (text.front() == '{' || text.front() == '[') ? "json" : "csv";
}

} // namespace

const std::vector<std::string>& row_formats() {
  static const std::vector<std::string> formats = {"csv", "json", "v2", "idx"};
  return formats;
}

std::unique_ptr<RowSource> open_rows(std::unique_ptr<ByteSource> source,
                                     const model::Signature& signature, RowSourceOptions options) {
  std::string format = options.format;
  if (format.empty()) {
    std::string head;
    source = train::peek_source(std::move(source), 256, head);
    format = sniff(head);
  }
  if (format == "csv")
    return std::make_unique<CsvRows>(std::move(source), signature, std::move(options));
  if (format == "json" || format == "v2")
    return std::make_unique<JsonRows>(std::move(source), signature);
  if (format == "idx") return std::make_unique<IdxRows>(std::move(source), signature);
  throw Error(ErrorKind::usage, fmt::format("unknown format '{}'", printable(format)))
      .with_hint(suggestion_hint(format, row_formats(), "formats"));
}

} // namespace mlp
