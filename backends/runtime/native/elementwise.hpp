// Loops of two operands, of which at least one moves unless n is 1. Each has three forms, so that
// the compiler makes vector code of it.
#pragma once

#include "backends/runtime/native/broadcast.hpp"
#include "backends/runtime/native/operators.hpp"

#include <type_traits>

// The result may lie in the memory of an operand, element on element: no reason not to vectorise.
#if defined(__clang__)
#define MLP_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define MLP_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace mlp::native {

template <class T, class R, class Op>
void binary_row(const T* a, bool a_moves, const T* b, bool b_moves, R* out, std::int64_t n, Op op) {
  if (a_moves && b_moves) {
    MLP_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i)
      out[i] = op(a[i], b[i]);
  } else if (a_moves) {
    const T scalar = *b;
    MLP_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i)
      out[i] = op(a[i], scalar);
  } else {
    const T scalar = *a;
    MLP_INDEPENDENT
    for (std::int64_t i = 0; i < n; ++i)
      out[i] = op(scalar, b[i]);
  }
}

// out = op(a, b) for operands of C++ type T and a result of type R.
template <class T, class R, class Op>
void binary_broadcast(const Value& a, const Value& b, Value& out, Op op) {
  const Broadcast<2> plan(out.dims, {&a.dims, &b.dims});
  const T* pa = a.data<T>();
  const T* pb = b.data<T>();
  R* pr = out.data<R>();
  plan.for_each_row([&](std::int64_t at, const auto& offsets, std::int64_t n, const auto& steps) {
    binary_row<T, R>(pa + offsets[0], steps[0] != 0, pb + offsets[1], steps[1] != 0, pr + at, n,
                     op);
  });
}

// Throws Error(failed) unless both have the same type.
void expect_same_type(const Value& a, const Value& b);

// Output 0 of `dims` and `type`, in the memory of an input that is no longer needed if one fits.
Value& out_in_place(Call& call, Type type, const Dims& dims);

// Arithmetic that wraps: signed overflow is not defined in C++.
template <class T>
using Wrapping =
    std::conditional_t<(sizeof(T) < sizeof(unsigned)), unsigned,
                       std::make_unsigned_t<std::conditional_t<std::is_integral_v<T>, T, long>>>;

} // namespace mlp::native
