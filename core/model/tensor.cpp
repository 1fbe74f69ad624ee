// One table of data types; everything else reads it.
#include "core/model/tensor.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

#include <iterator>
#include <limits>

namespace mlp::model {

namespace {

struct Row {
  DataType type;
  std::string_view name;
  std::size_t size;
};

constexpr Row rows[] = {
    {DataType::boolean, "BOOL", 1},  {DataType::uint8, "UINT8", 1},
    {DataType::uint16, "UINT16", 2}, {DataType::uint32, "UINT32", 4},
    {DataType::uint64, "UINT64", 8}, {DataType::int8, "INT8", 1},
    {DataType::int16, "INT16", 2},   {DataType::int32, "INT32", 4},
    {DataType::int64, "INT64", 8},   {DataType::float16, "FP16", 2},
    {DataType::bfloat16, "BF16", 2}, {DataType::float32, "FP32", 4},
    {DataType::float64, "FP64", 8},  {DataType::string, "BYTES", 0},
};
static_assert(std::size(rows) == static_cast<std::size_t>(DataType::string) + 1);

const Row& row(DataType type) noexcept {
  return rows[static_cast<std::size_t>(type)];
}

} // namespace

std::string_view data_type_name(DataType type) noexcept {
  return row(type).name;
}
std::size_t data_type_size(DataType type) noexcept {
  return row(type).size;
}

std::optional<DataType> parse_data_type(std::string_view name) noexcept {
  for (const Row& r : rows)
    if (r.name == name) return r.type;
  return std::nullopt;
}

std::optional<std::int64_t> element_count(std::span<const std::int64_t> shape) noexcept {
  std::int64_t count = 1;
  bool empty = false;
  for (const std::int64_t d : shape) {
    if (d < 0) return std::nullopt;
    if (d == 0) {
      empty = true;
      continue;
    }
    if (count > std::numeric_limits<std::int64_t>::max() / d) return std::nullopt;
    count *= d;
  }
  return empty ? 0 : count;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t d : shape) {
    if (text.size() > 1) text += ", ";
    text += d < 0 ? "?" : std::to_string(d);
  }
  return text + "]";
}

Tensor Tensor::make(DataType type, Shape shape) {
  const auto count = element_count(shape);
  if (!count)
    throw Error(ErrorKind::failed, fmt::format("not a tensor's shape: {}", shape_text(shape)));
  Tensor tensor;
  tensor.type = type;
  if (type == DataType::string)
    tensor.strings.resize(static_cast<std::size_t>(*count));
  else
    tensor.data.resize(static_cast<std::size_t>(*count) * data_type_size(type));
  tensor.shape = std::move(shape);
  return tensor;
}

std::int64_t Tensor::size() const noexcept {
  return element_count(shape).value_or(0);
}

} // namespace mlp::model
