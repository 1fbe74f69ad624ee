// An elementwise expression: a small program that a device runs once for every element of a shape,
// so that a chain of operations costs one launch and moves each operand once.
//
// The machine has one accumulator `a` and kTemporaries registers, all float32 or, for an expression
// of integers, all int64. A step does a = op(a, b) or a = op(a); only `store` leaves a as it is.
// The accumulator at the end of the last step is the result. Where one of two operands of minimum
// or maximum is NaN, the result is NaN; comparisons give 1 or 0.
//
// Inputs may be of other types (f32, boolean, u8, i32, i64) and become the machine's when they are
// read, integers rounded to the nearest float32; so does the result when it is written: float32
// towards zero and to the nearest end of an integer's range, NaN to 0; int64 modulo 2^bits; to
// boolean, whether it is not 0. Integers wrap around. An expression of integers reads no f32, and
// of the steps it has load to subtract, multiply, minimum, maximum, the comparisons, select,
// negate, absolute and sign.
#pragma once

#include <cstdint>

namespace mlp::kernels {

enum class DType : std::uint8_t;

enum class ElementOp : std::uint8_t {
  load,  // a = b
  store, // b, a register, = a
  // a = a op b
  add,
  subtract,
  multiply,
  divide,
  minimum,
  maximum,
  power,
  prelu, // a < 0 ? a * b : a
  elu,   // a < 0 ? b * (e^a - 1) : a
  less,
  less_equal,
  greater,
  greater_equal,
  equal,
  select, // a != 0 ? b : c
  // a = op(a)
  negate,
  absolute,
  sign,
  reciprocal,
  square_root,
  exponential,
  logarithm,
  error_function,
  floor,
  ceil,
  round, // ties to even
  relu,
  gelu, // exact, with erf
  tanh,
  sigmoid,
  softplus,
};

inline constexpr int kMaxAxes = 16;
inline constexpr int kMaxInputs = 8;
inline constexpr int kMaxSteps = 32;
inline constexpr int kTemporaries = 4;

struct ElementOperand {
  enum class From : std::uint8_t { number, input, temporary };
  From from = From::number;
  std::uint8_t index = 0; // of the input or the register
  float number = 0.0F;
};
struct ElementStep {
  ElementOp op = ElementOp::load;
  ElementOperand b, c;
};

// Strides are in elements, from one index of an axis to the next; 0 repeats the operand along the
// axis, and a negative one walks backwards from the address that is given. The result's must not
// overlap. Dense, row-major strides are the rule for the result: see dense_strides().
struct ElementwiseSpec {
  int rank = 0;
  std::int64_t shape[kMaxAxes] = {};
  std::int64_t out[kMaxAxes] = {};
  int inputs = 0;
  std::int64_t input[kMaxInputs][kMaxAxes] = {};
  int count = 0; // of steps
  ElementStep step[kMaxSteps] = {};
  DType type[kMaxInputs] = {}; // f32
  DType result = {};
  bool integers = false;
};

constexpr void dense_strides(int rank, const std::int64_t* shape, std::int64_t* strides) noexcept {
  std::int64_t stride = 1;
  for (int axis = rank - 1; axis >= 0; --axis) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
}

// The same walk over fewer axes: those of one index are dropped, and neighbours that every operand
// walks through as if they were one are merged. At least one axis is left.
constexpr ElementwiseSpec merge_axes(const ElementwiseSpec& spec) noexcept {
  ElementwiseSpec merged = spec;
  int last = -1; // the axis that was kept last
  for (int axis = 0; axis < spec.rank; ++axis) {
    if (spec.shape[axis] == 1) continue;
    bool continues = last >= 0 && merged.out[last] == spec.out[axis] * spec.shape[axis];
    for (int k = 0; k < spec.inputs && continues; ++k)
      continues = merged.input[k][last] == spec.input[k][axis] * spec.shape[axis];
    const std::int64_t outer = continues ? merged.shape[last] : 1;
    if (!continues) ++last;
    merged.shape[last] = outer * spec.shape[axis];
    merged.out[last] = spec.out[axis];
    for (int k = 0; k < spec.inputs; ++k)
      merged.input[k][last] = spec.input[k][axis];
  }
  if (last < 0) {
    merged.shape[last = 0] = 1;
    merged.out[0] = 1;
    for (int k = 0; k < spec.inputs; ++k)
      merged.input[k][0] = 0;
  }
  merged.rank = last + 1;
  return merged;
}

} // namespace mlp::kernels
