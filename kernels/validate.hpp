// What every device refuses before it does anything: sizes and settings that break device.hpp's
// contract. Each check throws ErrorKind::invalid or unsupported.
#pragma once

#include "kernels/device.hpp"

#include <algorithm>
#include <initializer_list>

namespace mlp::kernels::validate {

inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

[[noreturn]] inline void invalid(const std::string& what) {
  throw Error(ErrorKind::invalid, what);
}

// All sizes >= 0 and their product in range; returns it.
inline std::int64_t elements(const char* what, std::initializer_list<std::int64_t> sizes) {
  std::int64_t product = 1;
  bool empty = false;
  for (const std::int64_t size : sizes) {
    if (size < 0) invalid(std::string(what) + " has a negative size");
    if (size == 0) {
      empty = true;
    } else if (product > kMaxElements / size) {
      invalid(std::string(what) + " is too large");
    } else {
      product *= size;
    }
  }
  return empty ? 0 : product;
}

inline void require_f32(const char* what, DType dtype, const char* where) {
  if (dtype != DType::f32)
    throw Error(ErrorKind::unsupported,
                std::string(what) + " of type " + name_of(dtype) + " is not done on " + where);
}

inline void check_window(const char* what, const Window& w) {
  if (w.rank < 1 || w.rank > kMaxSpatial)
    invalid(std::string(what) + " has " + std::to_string(w.rank) +
            " spatial axes, 1 to 3 are possible");
  constexpr std::int64_t kLargest = std::int64_t{1} << 30;
  const auto in_range = [](std::int64_t value, std::int64_t least) {
    return value >= least && value <= kLargest;
  };
  for (int i = 0; i < w.rank; ++i) {
    if (!in_range(w.kernel[i], 1) || !in_range(w.stride[i], 1) || !in_range(w.dilation[i], 1))
      invalid(std::string(what) + " has a kernel, stride or dilation less than 1 or too large");
    if (!in_range(w.pad_begin[i], 0) || !in_range(w.pad_end[i], 0))
      invalid(std::string(what) + " has a negative or too large pad");
  }
}

inline void check(const EpilogueSpec& spec, const StepState* state) {
  if (!(spec.dropout >= 0.0F && spec.dropout < 1.0F)) invalid("dropout is not in [0, 1)");
  if (spec.dropout > 0.0F && state == nullptr) invalid("dropout needs a step state");
}

inline void check(const MatmulSpec& s) {
  elements("a matrix product", {s.batch, s.m, s.n, std::max<std::int64_t>(s.k, 1)});
  elements("a matrix product", {s.k});
  const auto fits = [](std::int64_t ld, std::int64_t dense) { return ld == 0 || ld >= dense; };
  if (!fits(s.lda, s.transpose_a ? s.m : s.k) || !fits(s.ldb, s.transpose_b ? s.k : s.n) ||
      !fits(s.ldc, s.n))
    invalid("a matrix product's leading dimension is less than a row");
}

inline void check(const ConvSpec& s) {
  check_window("a convolution", s.window);
  if (s.groups < 1 || s.channels < 1 || s.out_channels < 1 || s.channels % s.groups != 0 ||
      s.out_channels % s.groups != 0)
    invalid("a convolution's channels (" + std::to_string(s.channels) + " in, " +
            std::to_string(s.out_channels) + " out) are not multiples of its groups (" +
            std::to_string(s.groups) + ")");
  std::int64_t in = elements("a convolution's input", {s.batch, s.channels});
  std::int64_t out = elements("a convolution's output", {s.batch, s.out_channels});
  std::int64_t w = elements("a convolution's weights", {s.out_channels, s.channels / s.groups});
  for (int i = 0; i < s.window.rank; ++i) {
    const std::int64_t size = output_size(s.window, i, s.in[i]);
    if (s.in[i] < 1 || size < 1) invalid("a convolution's window does not fit its input");
    in = elements("a convolution's input", {in, s.in[i]});
    out = elements("a convolution's output", {out, size});
    w = elements("a convolution's weights", {w, s.window.kernel[i]});
  }
}

// The elements of the output.
inline std::int64_t check(const PoolSpec& s) {
  check_window("a pooling", s.window);
  std::int64_t in = elements("a pooling's input", {s.batch, s.channels});
  std::int64_t out = elements("a pooling's output", {s.batch, s.channels});
  for (int i = 0; i < s.window.rank; ++i) {
    in = elements("a pooling's input", {in, s.in[i]});
    out = elements("a pooling's output", {out, s.out[i]});
  }
  return out;
}

// The elements of the result.
inline std::int64_t check(const ElementwiseSpec& s) {
  if (s.rank < 0 || s.rank > kMaxAxes || s.inputs < 0 || s.inputs > kMaxInputs || s.count < 1 ||
      s.count > kMaxSteps)
    invalid("an expression has too many axes, inputs or steps");
  bool stored[kTemporaries] = {};
  const auto readable = [&](const ElementOperand& operand) {
    switch (operand.from) {
    case ElementOperand::From::number:
      return true;
    case ElementOperand::From::input:
      return operand.index < s.inputs;
    case ElementOperand::From::temporary:
      return operand.index < kTemporaries && stored[operand.index];
    }
    return false;
  };
  for (int i = 0; i < s.count; ++i) {
    const ElementStep& step = s.step[i];
    if (step.op > ElementOp::softplus) invalid("an expression has an unknown step");
    if (i == 0 && step.op != ElementOp::load) invalid("an expression does not begin with a load");
    if (step.op == ElementOp::store) {
      if (step.b.from != ElementOperand::From::temporary || step.b.index >= kTemporaries)
        invalid("an expression stores into what is no register");
      stored[step.b.index] = true;
    } else if (!readable(step.b) || (step.op == ElementOp::select && !readable(step.c))) {
      invalid("an expression reads an input or a register that it does not have");
    }
  }
  std::int64_t size = 1;
  for (int axis = 0; axis < s.rank; ++axis)
    size = elements("an expression", {size, s.shape[axis]});
  return size;
}

// The elements of the batch.
inline std::int64_t check(const GatherSpec& s, const float* mean, const float* scale) {
  const bool to_float = s.source == DType::u8 || s.source == DType::f32;
  if (!to_float && (s.source != DType::i32 || s.affine))
    throw Error(ErrorKind::unsupported,
                std::string("rows of type ") + name_of(s.source) + " cannot be gathered so");
  if (s.affine && (mean == nullptr || scale == nullptr))
    invalid("standardising needs a mean and a scale");
  return elements("a batch", {s.rows, s.cols});
}

} // namespace mlp::kernels::validate
