// TensorProto to Value. Which field holds which type: onnx.proto, comments of TensorProto.
#include "backends/runtime/native/tensor_proto.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include "onnx.pb.h"
#include <fmt/format.h>

#include <cstring>
#include <limits>

namespace mlp::native {

namespace {

[[noreturn]] void refuse(std::string_view what, std::string_view why) {
  throw Error(ErrorKind::config, fmt::format("{}: {}", what, why));
}

// Types of less than 8 bits: packed from the lowest bits of each byte on.
void unpack(std::string_view raw, Value& value) {
  const unsigned bits = packed_bits(value.type);
  const unsigned per_byte = 8 / bits;
  const unsigned mask = (1U << bits) - 1;
  const bool is_signed = value.type == Type::i4 || value.type == Type::i2;
  auto* out = value.data<std::uint8_t>();
  for (std::int64_t i = 0; i < value.count; ++i) {
    const auto n = static_cast<std::size_t>(i);
    const auto byte = static_cast<unsigned char>(raw[n / per_byte]);
    unsigned field = (byte >> (bits * (n % per_byte))) & mask;
    if (is_signed && (field >> (bits - 1)) != 0) field |= ~mask;
    out[i] = static_cast<std::uint8_t>(field);
  }
}

void read_raw(const std::string& raw, Value& value, std::string_view what) {
  const std::uint64_t bits = static_cast<std::uint64_t>(value.count) * packed_bits(value.type);
  if (raw.size() != (bits + 7) / 8)
    refuse(what, fmt::format("has {} bytes of data where shape {} of {} takes {}", raw.size(),
                             to_string(value.dims), type_name(value.type), (bits + 7) / 8));
  if (packed_bits(value.type) < 8)
    unpack(raw, value);
  else
    std::memcpy(value.address, raw.data(), raw.size());
  if (value.type == Type::boolean)
    for (std::int64_t i = 0; i < value.count; ++i)
      value.data<std::uint8_t>()[i] = value.data<std::uint8_t>()[i] != 0 ? 1 : 0;
}

template <class T, class Field>
void read_field(const Field& field, Value& value, std::string_view what) {
  if (field.size() != value.count)
    refuse(what, fmt::format("has {} elements of data where shape {} takes {}", field.size(),
                             to_string(value.dims), value.count));
  T* out = value.data<T>();
  for (int i = 0; i < field.size(); ++i)
    out[i] = static_cast<T>(field[i]);
}

void read_packed_ints(const onnx::TensorProto& proto, Value& value, std::string_view what) {
  const unsigned per_byte = 8 / packed_bits(value.type);
  const std::int64_t bytes = (value.count + per_byte - 1) / per_byte;
  if (proto.int32_data_size() != bytes)
    refuse(what, fmt::format("has {} bytes of data where shape {} takes {}",
                             proto.int32_data_size(), to_string(value.dims), bytes));
  std::string raw;
  for (const std::int32_t byte : proto.int32_data())
    raw += static_cast<char>(byte);
  unpack(raw, value);
}

void read_typed(const onnx::TensorProto& proto, Value& value, std::string_view what) {
  const auto& ints = proto.int32_data();
  switch (value.type) {
  case Type::f32:
    return read_field<float>(proto.float_data(), value, what);
  case Type::f64:
    return read_field<double>(proto.double_data(), value, what);
  case Type::i64:
    return read_field<std::int64_t>(proto.int64_data(), value, what);
  case Type::u64:
    return read_field<std::uint64_t>(proto.uint64_data(), value, what);
  case Type::u32:
    return read_field<std::uint32_t>(proto.uint64_data(), value, what);
  case Type::i32:
    return read_field<std::int32_t>(ints, value, what);
  case Type::i16:
    return read_field<std::int16_t>(ints, value, what);
  case Type::i8:
    return read_field<std::int8_t>(ints, value, what);
  case Type::u16:
  case Type::f16:
  case Type::bf16:
    return read_field<std::uint16_t>(ints, value, what);
  case Type::boolean:
    return read_field<bool>(ints, value, what);
  case Type::u4:
  case Type::i4:
  case Type::f4e2m1:
  case Type::u2:
  case Type::i2:
    return read_packed_ints(proto, value, what);
  case Type::string:
    return read_field<std::string>(proto.string_data(), value, what);
  default:
    return read_field<std::uint8_t>(ints, value, what); // u8 and the floats of 8 bits
  }
}

// Refuses before anything is allocated: dims may promise more than the file holds.
void check_size(const onnx::TensorProto& proto, Type type, std::string_view what) {
  const std::span<const std::int64_t> dims(proto.dims().data(),
                                           static_cast<std::size_t>(proto.dims_size()));
  const auto count = model::element_count(dims);
  if (!count || *count > std::numeric_limits<std::int64_t>::max() / 64)
    refuse(what, fmt::format("{} is not a shape", model::shape_text(dims)));
  if (proto.has_raw_data() || packed_bits(type) < 8) {
    const std::uint64_t stored =
        type == Type::string ? static_cast<std::uint64_t>(proto.string_data_size())
        : proto.has_raw_data()
            ? proto.raw_data().size() * 8 / packed_bits(type)
            : static_cast<std::uint64_t>(proto.int32_data_size()) * 8 / packed_bits(type);
    if (static_cast<std::uint64_t>(*count) > stored)
      refuse(what, fmt::format("holds fewer elements than its shape {}", model::shape_text(dims)));
    return;
  }
  const std::int64_t stored = std::int64_t{proto.float_data_size()} + proto.int32_data_size() +
                              proto.int64_data_size() + proto.double_data_size() +
                              proto.uint64_data_size();
  if (*count > stored)
    refuse(what, fmt::format("holds fewer elements than its shape {}", model::shape_text(dims)));
}

} // namespace

Value read_tensor(const onnx::TensorProto& proto, Memory& memory, std::string_view what) {
  const auto type = type_from_onnx(proto.data_type());
  if (!type)
    refuse(what, fmt::format("has element type {}, which is not known", proto.data_type()));
  if (proto.data_location() == onnx::TensorProto::EXTERNAL || proto.external_data_size() > 0)
    throw Error(ErrorKind::config, fmt::format("{}: its data is kept in another file", what))
        .with_hint("save the model as one file, with the data inside");
  if (proto.has_segment()) refuse(what, "is a segment of a tensor, which is not supported");
  check_size(proto, *type, what);
  if (static_cast<std::size_t>(proto.dims_size()) > kMaxRank)
    refuse(what, fmt::format("has {} dimensions, more than {}", proto.dims_size(), kMaxRank));
  Value value = memory.allocate(
      *type, Dims(std::span<const std::int64_t>(proto.dims().data(),
                                                static_cast<std::size_t>(proto.dims_size()))));
  if (proto.has_raw_data() && *type != Type::string)
    read_raw(proto.raw_data(), value, what);
  else
    read_typed(proto, value, what);
  return value;
}

Value read_tensor(std::string_view bytes, Memory& memory, std::string_view what) {
  onnx::TensorProto proto;
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
      !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    refuse(what, "not a tensor");
  return read_tensor(proto, memory, what);
}

} // namespace mlp::native
