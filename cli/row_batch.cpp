// One value at a time, appended to its tensor in the tensor's type.
#include "cli/row_batch.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/model/half.hpp"
#include "core/train/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace mlp {

namespace {

using model::DataType;

constexpr std::size_t batch_bytes = 4u << 20;
constexpr std::size_t batch_rows = 1024;

bool is_float(DataType type) {
  return type == DataType::float16 || type == DataType::bfloat16 || type == DataType::float32 ||
         type == DataType::float64;
}

// The same markers as the trainer's default.
bool is_blank(std::string_view text) {
  static const std::vector<std::string> blanks = train::TableOptions().blanks;
  return std::find(blanks.begin(), blanks.end(), text) != blanks.end();
}

template <class T>
void append(model::Tensor& tensor, T value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  tensor.data.insert(tensor.data.end(), bytes, bytes + sizeof value);
}

// False if the type cannot hold it.
bool append_double(model::Tensor& tensor, double value) {
  const auto narrow = static_cast<float>(value);
  switch (tensor.type) {
  case DataType::float64:
    append(tensor, value);
    return true;
  case DataType::float32:
    append(tensor, narrow);
    break;
  case DataType::float16:
    append(tensor, model::half_from_float(narrow));
    break;
  case DataType::bfloat16:
    append(tensor, model::bfloat16_from_float(narrow));
    break;
  default:
    return false;
  }
  return std::isinf(narrow) == std::isinf(value);
}

template <class T>
bool append_if_fits(model::Tensor& tensor, std::int64_t value) {
  if (!std::in_range<T>(value)) return false;
  append(tensor, static_cast<T>(value));
  return true;
}

bool append_integer(model::Tensor& tensor, std::int64_t value) {
  switch (tensor.type) {
  case DataType::boolean:
    if (value != 0 && value != 1) return false;
    append(tensor, value == 1);
    return true;
  case DataType::uint8:
    return append_if_fits<std::uint8_t>(tensor, value);
  case DataType::uint16:
    return append_if_fits<std::uint16_t>(tensor, value);
  case DataType::uint32:
    return append_if_fits<std::uint32_t>(tensor, value);
  case DataType::uint64:
    return append_if_fits<std::uint64_t>(tensor, value);
  case DataType::int8:
    return append_if_fits<std::int8_t>(tensor, value);
  case DataType::int16:
    return append_if_fits<std::int16_t>(tensor, value);
  case DataType::int32:
    return append_if_fits<std::int32_t>(tensor, value);
  case DataType::int64:
    append(tensor, value);
    return true;
  default:
    return false;
  }
}

template <class T>
std::optional<T> parse(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool append_text(model::Tensor& tensor, std::string_view text) {
  if (tensor.type == DataType::string) {
    tensor.strings.emplace_back(text);
    return true;
  }
  if (is_float(tensor.type)) {
    if (is_blank(text)) return append_double(tensor, std::numeric_limits<double>::quiet_NaN());
    const auto value = parse<double>(text);
    return value && append_double(tensor, *value);
  }
  if (tensor.type == DataType::boolean && (text == "true" || text == "false"))
    return append_integer(tensor, text == "true" ? 1 : 0);
  if (const auto value = parse<std::int64_t>(text)) return append_integer(tensor, *value);
  if (const auto value = parse<std::uint64_t>(text); value && tensor.type == DataType::uint64) {
    append(tensor, *value);
    return true;
  }
  return false;
}

bool append_json(model::Tensor& tensor, const Json& value) {
  if (tensor.type == DataType::string) {
    if (value.is_null()) {
      tensor.strings.emplace_back(); // a blank
      return true;
    }
    // A category that is written as a number keeps its digits.
    tensor.strings.push_back(value.is_string() ? value.get<std::string>() : dump_json(value));
    return true;
  }
  if (is_float(tensor.type)) {
    if (value.is_null()) return append_double(tensor, std::numeric_limits<double>::quiet_NaN());
    if (value.is_number()) return append_double(tensor, value.get<double>());
    return value.is_string() && append_text(tensor, value.get<std::string>());
  }
  if (value.is_boolean()) return append_integer(tensor, value.get<bool>() ? 1 : 0);
  if (value.is_number_unsigned() && tensor.type == DataType::uint64) {
    append(tensor, value.get<std::uint64_t>());
    return true;
  }
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())
    return false;
  return value.is_number_integer() && append_integer(tensor, value.get<std::int64_t>());
}

std::size_t append_nested(model::Tensor& tensor, const Json& value) {
  if (value.is_array()) {
    std::size_t count = 0;
    for (const Json& element : value)
      count += append_nested(tensor, element);
    return count;
  }
  if (!append_json(tensor, value))
    throw Error(ErrorKind::config,
                fmt::format("{} is no {}", printable(dump_json(value).substr(0, 60)),
                            model::data_type_name(tensor.type)));
  return 1;
}

std::string_view kind_word(DataType type) {
  return type == DataType::boolean ? "true or false"
         : is_float(type)          ? "a number"
                                   : "a whole number";
}

} // namespace

RowBatch::RowBatch(const model::Signature& signature) {
  std::size_t row_bytes = 1;
  bool single = false;
  for (const model::TensorSpec& spec : signature.inputs) {
    RowInput input{.spec = spec};
    const bool has_rows = !spec.shape.empty() && (spec.shape[0] == -1 || spec.shape[0] == 1);
    const auto size = has_rows ? model::element_count(std::span(spec.shape).subspan(1))
                               : std::optional<std::int64_t>();
    if (!size)
      throw Error(ErrorKind::config,
                  fmt::format("input '{}' of the model has shape {}, which does not take rows",
                              printable(spec.name), model::shape_text(spec.shape)))
          .with_hint("send a request of the Open Inference Protocol (--format v2)");
    single = single || spec.shape[0] == 1;
    input.size = static_cast<std::size_t>(*size);
    row_bytes += input.size * std::max<std::size_t>(model::data_type_size(spec.type), 40);
    inputs_.push_back(std::move(input));
    tensors_.emplace_back().type = spec.type;
  }
  max_rows_ = single ? 1 : std::clamp<std::size_t>(batch_bytes / row_bytes, 1, batch_rows);
}

void RowBatch::add_text(std::size_t input, std::string_view text) {
  if (!append_text(tensors_[input], text))
    throw Error(ErrorKind::config, fmt::format("'{}' is not {}", printable(text.substr(0, 60)),
                                               kind_word(inputs_[input].spec.type)));
}

bool RowBatch::is_number(std::string_view text) {
  return parse<double>(text).has_value();
}

void RowBatch::add_json(std::size_t input, const Json& value) {
  const std::size_t count = append_nested(tensors_[input], value);
  if (count != inputs_[input].size)
    throw Error(ErrorKind::config,
                fmt::format("{} values, where the model takes {}", count, inputs_[input].size));
}

void RowBatch::add_bytes(std::size_t input, std::string_view bytes) {
  model::Tensor& tensor = tensors_[input];
  for (const char c : bytes) {
    const auto value = static_cast<unsigned char>(c);
    if (is_float(tensor.type))
      append_double(tensor, value);
    else if (!append_integer(tensor, value))
      throw Error(ErrorKind::config,
                  fmt::format("a pixel of {} is no {}", value, model::data_type_name(tensor.type)));
  }
}

std::vector<model::NamedTensor> RowBatch::take() {
  std::vector<model::NamedTensor> out;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    model::Tensor tensor = std::move(tensors_[i]);
    tensor.shape = inputs_[i].spec.shape;
    tensor.shape[0] = static_cast<std::int64_t>(rows_);
    out.push_back({inputs_[i].spec.name, std::move(tensor)});
    tensors_[i] = {};
    tensors_[i].type = inputs_[i].spec.type;
  }
  rows_ = 0;
  return out;
}

} // namespace mlp
