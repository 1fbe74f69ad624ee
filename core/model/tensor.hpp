// A tensor as it crosses our boundaries: a request, a model's signature, a runtime's answer.
// Data type names are those of the Open Inference Protocol (KServe V2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::model {

enum class DataType {
  boolean,
  uint8,
  uint16,
  uint32,
  uint64,
  int8,
  int16,
  int32,
  int64,
  float16,
  bfloat16,
  float32,
  float64,
  string,
};

// "BOOL", "UINT8", ..., "FP32", "BYTES".
[[nodiscard]] std::string_view data_type_name(DataType type) noexcept;
[[nodiscard]] std::optional<DataType> parse_data_type(std::string_view name) noexcept;
// Bytes of one element; 0 for string.
[[nodiscard]] std::size_t data_type_size(DataType type) noexcept;

using Shape = std::vector<std::int64_t>;

// The product of the dimensions (1 for a scalar); nullopt if a dimension is negative or the product
// does not fit in 63 bits.
[[nodiscard]] std::optional<std::int64_t>
element_count(std::span<const std::int64_t> shape) noexcept;
// "[1, 28, 28]", a dimension of -1 as "?".
[[nodiscard]] std::string shape_text(std::span<const std::int64_t> shape);

// Row-major and dense. Numbers lie in `data` in the machine's (little-endian) order, aligned as the
// allocator aligns; strings lie in `strings` (UTF-8 or any bytes), and `data` is empty.
struct Tensor {
  DataType type = DataType::float32;
  Shape shape;
  std::vector<std::byte> data;
  std::vector<std::string> strings;

  // Zeroed. Throws Error(failed) if the shape is not one (see element_count).
  [[nodiscard]] static Tensor make(DataType type, Shape shape);
  [[nodiscard]] std::int64_t size() const noexcept; // elements

  // The elements as T, which must be the type's C++ type (bool for boolean, std::uint16_t for the
  // 16-bit floats); the caller has checked `type`.
  template <class T>
  [[nodiscard]] std::span<T> as() noexcept {
    return {reinterpret_cast<T*>(data.data()), data.size() / sizeof(T)};
  }
  template <class T>
  [[nodiscard]] std::span<const T> as() const noexcept {
    return {reinterpret_cast<const T*>(data.data()), data.size() / sizeof(T)};
  }
};

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

// A dimension of -1 takes any size.
struct TensorSpec {
  std::string name;
  DataType type = DataType::float32;
  Shape shape;
};

struct Signature {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
};

} // namespace mlp::model
