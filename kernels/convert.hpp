// What becomes of a number of one element type as another, as ONNX's Cast defines it and C++ does
// not: a real goes towards zero into an integer, what does not fit becomes the nearest end, and NaN
// 0; an integer goes modulo 2^bits. For host and device code alike.
#pragma once

#include "kernels/device.hpp"

#include <limits>
#include <type_traits>

#if defined(__CUDACC__)
#define MLP_CONVERT __host__ __device__ __forceinline__
#else
#define MLP_CONVERT inline
#endif

namespace mlp::kernels {

struct Boolean {
  std::uint8_t byte;
};

template <class To, class From>
MLP_CONVERT To convert_element(From value) {
  if constexpr (std::is_same_v<From, Boolean>) {
    return static_cast<To>(value.byte != 0 ? 1 : 0);
  } else if constexpr (std::is_same_v<To, Boolean>) {
    return Boolean{static_cast<std::uint8_t>(value != From{} ? 1 : 0)};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // The ends as reals; the upper one may round up to 2^bits, which does not fit.
    constexpr To low = std::numeric_limits<To>::min();
    constexpr To high = std::numeric_limits<To>::max();
    if (!(value > static_cast<From>(low))) return value != value ? To{0} : low;
    return value >= static_cast<From>(high) ? high : static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

template <class T>
struct Element {
  using type = T;
};

// body(Element<T>()) for the type of an expression's operand; nothing for one that it cannot have.
template <class Body>
inline void with_element(DType type, const Body& body) {
  switch (type) {
  case DType::f32:
    return body(Element<float>());
  case DType::u8:
    return body(Element<std::uint8_t>());
  case DType::i32:
    return body(Element<std::int32_t>());
  case DType::i64:
    return body(Element<std::int64_t>());
  case DType::boolean:
    return body(Element<Boolean>());
  case DType::bf16:
    return;
  }
}

} // namespace mlp::kernels
