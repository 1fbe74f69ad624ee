// The table of element types; everything else reads it.
#include "backends/runtime/native/types.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

namespace mlp::native {

namespace {

using model::DataType;

struct Row {
  Type type;
  std::string_view name;
  std::size_t size;
  unsigned bits;
  std::optional<DataType> boundary;
};

constexpr Row rows[] = {
    {Type::f32, "float", 4, 32, DataType::float32},
    {Type::u8, "uint8", 1, 8, DataType::uint8},
    {Type::i8, "int8", 1, 8, DataType::int8},
    {Type::u16, "uint16", 2, 16, DataType::uint16},
    {Type::i16, "int16", 2, 16, DataType::int16},
    {Type::i32, "int32", 4, 32, DataType::int32},
    {Type::i64, "int64", 8, 64, DataType::int64},
    {Type::string, "string", sizeof(std::string), 0, DataType::string},
    {Type::boolean, "bool", 1, 8, DataType::boolean},
    {Type::f16, "float16", 2, 16, DataType::float16},
    {Type::f64, "double", 8, 64, DataType::float64},
    {Type::u32, "uint32", 4, 32, DataType::uint32},
    {Type::u64, "uint64", 8, 64, DataType::uint64},
    {Type::bf16, "bfloat16", 2, 16, DataType::bfloat16},
    {Type::f8e4m3fn, "float8e4m3fn", 1, 8, std::nullopt},
    {Type::f8e4m3fnuz, "float8e4m3fnuz", 1, 8, std::nullopt},
    {Type::f8e5m2, "float8e5m2", 1, 8, std::nullopt},
    {Type::f8e5m2fnuz, "float8e5m2fnuz", 1, 8, std::nullopt},
    {Type::u4, "uint4", 1, 4, std::nullopt},
    {Type::i4, "int4", 1, 4, std::nullopt},
    {Type::f4e2m1, "float4e2m1", 1, 4, std::nullopt},
    {Type::f8e8m0, "float8e8m0", 1, 8, std::nullopt},
    {Type::u2, "uint2", 1, 2, std::nullopt},
    {Type::i2, "int2", 1, 2, std::nullopt},
};

const Row* find(Type type) noexcept {
  for (const Row& row : rows)
    if (row.type == type) return &row;
  return nullptr;
}

} // namespace

std::string_view type_name(Type type) noexcept {
  const Row* row = find(type);
  return row != nullptr ? row->name : "undefined";
}

std::size_t type_size(Type type) noexcept {
  const Row* row = find(type);
  return row != nullptr ? row->size : 0;
}

unsigned packed_bits(Type type) noexcept {
  const Row* row = find(type);
  return row != nullptr ? row->bits : 0;
}

std::optional<Type> type_from_onnx(int number) noexcept {
  for (const Row& row : rows)
    if (static_cast<int>(row.type) == number) return row.type;
  return std::nullopt;
}

std::optional<DataType> to_data_type(Type type) noexcept {
  const Row* row = find(type);
  return row != nullptr ? row->boundary : std::nullopt;
}

Type from_data_type(DataType type) noexcept {
  for (const Row& row : rows)
    if (row.boundary == type) return row.type;
  return Type::undefined;
}

void refuse_type(Type type) {
  throw Error(ErrorKind::failed, fmt::format("does not take tensors of {}", type_name(type)));
}

} // namespace mlp::native
