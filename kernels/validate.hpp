// What every device refuses before it does anything: sizes and settings that break device.hpp's
// contract. Each check throws ErrorKind::invalid or unsupported.
#pragma once

#include "kernels/device.hpp"

#include <algorithm>
#include <initializer_list>
#include <limits>

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

// What is trained is float32, and its end is a layer of its own.
inline void check_training(const ConvSpec& s) {
  check(s);
  if (s.dtype != DType::f32 || s.bias || s.activation != Activation::none)
    invalid("a convolution that is trained has float32 operands, and no bias or activation");
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

inline std::int64_t elements_of(const char* what, int rank, const std::int64_t* shape) {
  std::int64_t size = 1;
  for (int axis = 0; axis < rank; ++axis)
    size = elements(what, {size, shape[axis]});
  return size;
}

inline bool takes_integers(ElementOp op) {
  switch (op) {
  case ElementOp::load:
  case ElementOp::store:
  case ElementOp::add:
  case ElementOp::subtract:
  case ElementOp::multiply:
  case ElementOp::minimum:
  case ElementOp::maximum:
  case ElementOp::less:
  case ElementOp::less_equal:
  case ElementOp::greater:
  case ElementOp::greater_equal:
  case ElementOp::equal:
  case ElementOp::select:
  case ElementOp::negate:
  case ElementOp::absolute:
  case ElementOp::sign:
    return true;
  default:
    return false;
  }
}

inline void check_types(const ElementwiseSpec& s) {
  const auto known = [](DType type) { return type != DType::bf16 && size_of(type) != 0; };
  bool good = known(s.result);
  for (int k = 0; k < s.inputs; ++k)
    good = good && known(s.type[k]) && !(s.integers && s.type[k] == DType::f32);
  if (!good)
    throw Error(ErrorKind::unsupported, "an expression has an operand of a type that it cannot");
  for (int i = 0; i < s.count && s.integers; ++i)
    if (!takes_integers(s.step[i].op))
      throw Error(ErrorKind::unsupported, "an expression of integers has a step for reals");
}

inline std::int64_t input_elements(const PoolSpec& s) {
  std::int64_t in = elements("a pooling's input", {s.batch, s.channels});
  for (int i = 0; i < s.window.rank; ++i)
    in = elements("a pooling's input", {in, s.in[i]});
  return in;
}

// The elements of the output. What is trained is counted in 32 bits within an image.
inline std::int64_t check_training(const PoolSpec& s, const std::int32_t* index) {
  const std::int64_t out = check(s);
  if (s.kind == Pool::max && index == nullptr && out != 0)
    invalid("a max pooling that is trained needs an index");
  constexpr std::int64_t kMost = std::int64_t{1} << 30;
  std::int64_t in_image = s.channels;
  std::int64_t out_image = s.channels;
  bool fits = s.batch <= kMost;
  for (int i = 0; i < s.window.rank; ++i) {
    const Window& w = s.window;
    in_image = elements("a pooling's input", {in_image, s.in[i]});
    out_image = elements("a pooling's output", {out_image, s.out[i]});
    // Each of these is at most 2^40 before it is multiplied by at most 2^30: no overflow as
    // float64.
    const auto product = [](std::int64_t a, std::int64_t b) {
      return static_cast<double>(a) * static_cast<double>(b);
    };
    fits = fits && product(w.dilation[i], w.kernel[i]) + product(s.out[i] + 1, w.stride[i]) +
                           static_cast<double>(s.in[i] + w.pad_begin[i] + w.pad_end[i]) <=
                       static_cast<double>(kMost);
  }
  if (!fits || in_image > kMost || out_image > kMost)
    throw Error(ErrorKind::unsupported, "a pooling of such a size is not trained");
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
  check_types(s);
  return elements_of("an expression", s.rank, s.shape);
}

// The elements that are copied.
inline std::int64_t check(const CopySpec& s) {
  if (s.rank < 0 || s.rank > kMaxAxes) invalid("a copy has too many axes");
  if (s.element != 1 && s.element != 2 && s.element != 4 && s.element != 8)
    invalid("a copy has elements of " + std::to_string(s.element) + " bytes");
  return elements_of("a copy", s.rank, s.shape);
}

// The bytes of the result.
inline std::int64_t check(const TakeSpec& s) {
  if (s.index != DType::i32 && s.index != DType::i64)
    throw Error(ErrorKind::unsupported,
                std::string("indices of type ") + name_of(s.index) + " are not taken");
  elements("what is taken from", {s.outer, s.size, s.inner});
  return elements("what is taken", {s.outer, s.count, s.inner});
}

// The elements of the result.
inline std::int64_t check(const OneHotSpec& s) {
  if (s.index != DType::i32 && s.index != DType::i64)
    throw Error(ErrorKind::unsupported,
                std::string("a one-hot of indices of type ") + name_of(s.index) + " is not done");
  if (s.element != 1 && s.element != 2 && s.element != 4 && s.element != 8)
    invalid("a one-hot has elements of " + std::to_string(s.element) + " bytes");
  elements("a one-hot's indices", {s.outer, s.inner});
  return elements("a one-hot", {s.outer, s.depth, s.inner});
}

// The elements of the result.
inline std::int64_t check(const ReduceSpec& s) {
  if (s.kind > Reduce::log_sum) invalid("an unknown reduction");
  elements("a reduction", {s.outer, s.count, s.inner});
  return elements("a reduction", {s.outer, s.inner});
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
