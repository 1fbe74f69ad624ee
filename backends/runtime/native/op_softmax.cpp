// Softmax, LogSoftmax, Hardmax. Before opset 13 they work on the input flattened to two dimensions
// at `axis`, since then along that axis alone.
#include "backends/runtime/native/device_copy.hpp"
#include "backends/runtime/native/elementwise.hpp"
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "kernels/device.hpp"

#include <algorithm>
#include <cmath>

namespace mlp::native {

namespace {

enum class Kind { softmax, log_softmax, hardmax };

// x and y: `n` elements `stride` apart.
template <class T>
void soften(const T* x, T* y, std::int64_t n, std::int64_t stride, bool log) {
  T largest = x[0];
  for (std::int64_t i = 1; i < n; ++i)
    largest = std::max(largest, x[i * stride]);
  if (!std::isfinite(largest)) largest = largest > T{0} ? largest : T{0};
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i) {
    const T e = std::exp(x[i * stride] - largest);
    sum += static_cast<double>(e);
    if (!log) y[i * stride] = e;
  }
  const auto scale = static_cast<T>(log ? std::log(sum) : 1.0 / sum);
  for (std::int64_t i = 0; i < n; ++i)
    y[i * stride] = log ? x[i * stride] - largest - scale : y[i * stride] * scale;
}

template <class T>
void harden(const T* x, T* y, std::int64_t n, std::int64_t stride) {
  std::int64_t best = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (x[i * stride] > x[best * stride]) best = i;
  }
  for (std::int64_t i = 0; i < n; ++i)
    y[i * stride] = i == best ? T{1} : T{0};
}

// y = op(x, r) over rows x n, where r has a number a row.
void with_row_number(kernels::Device& device, Call& call, std::int64_t rows, std::int64_t n,
                     std::initializer_list<kernels::ElementOp> ops, const Value& x, const Value& r,
                     const Value& y) {
  kernels::ElementwiseSpec spec{.rank = 2, .shape = {rows, n}, .out = {n, 1}, .inputs = 2};
  spec.input[0][0] = n;
  spec.input[0][1] = 1;
  spec.input[1][0] = 1;
  const auto input = [](std::uint8_t index) {
    return kernels::ElementOperand{.from = kernels::ElementOperand::From::input, .index = index};
  };
  spec.step[spec.count++].b = input(0);
  for (const kernels::ElementOp op : ops)
    spec.step[spec.count++] = {.op = op, .b = input(1), .c = {}};
  const void* inputs[] = {x.address, r.address};
  device.elementwise(call.stream(), spec, inputs, y.address);
}

// y = x - largest - log(sum of exp(x - largest)), over the last axis of rows x n; y may be x.
void log_softmax_on_device(kernels::Device& device, Call& call, std::int64_t rows, std::int64_t n,
                           const Value& x, const Value& y) {
  using enum kernels::ElementOp;
  Value number = call.memory().allocate(Type::f32, Dims{rows});
  const Value powers = call.memory().allocate(Type::f32, Dims{rows, n});
  device.reduce(call.stream(), {.kind = kernels::Reduce::largest, .outer = rows, .count = n},
                x.data<float>(), number.data<float>());
  with_row_number(device, call, rows, n, {subtract}, x, number, y);
  with_row_number(device, call, rows, n, {exponential}, y, number, powers);
  device.reduce(call.stream(), {.kind = kernels::Reduce::log_sum, .outer = rows, .count = n},
                powers.data<float>(), number.data<float>());
  with_row_number(device, call, rows, n, {subtract}, y, number, y);
}

template <Kind kind>
Kernel make_softmax(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  const bool flat = spec.opset() < 13;
  const std::int64_t axis_attribute = spec.integer("axis", flat ? 1 : -1);
  kernels::Device* device = &spec.device();
  return [flat, axis_attribute, device](Call& call) {
    const Value& in = call.in(0);
    const std::size_t rank = in.dims.size();
    const bool after_all = flat && axis_attribute == static_cast<std::int64_t>(rank);
    const std::size_t axis = after_all ? rank : resolve_axis(axis_attribute, rank);
    Value& out = kind == Kind::softmax ? out_in_place(call, in.type, in.dims)
                                       : call.out(0, in.type, in.dims);
    if (in.count == 0) return;
    const std::int64_t outer = in.dims.product(0, axis);
    const std::int64_t n = flat ? in.dims.product(axis, rank) : in.dims[axis];
    const std::int64_t inner = in.count / outer / n;
    const auto soften_rows = [&](std::int64_t rows, const Value& x, Value& y) {
      if (kind == Kind::softmax)
        device->softmax(call.stream(), rows, n, x.data<float>(), y.data<float>());
      else
        log_softmax_on_device(*device, call, rows, n, x, y);
    };
    if (inner == 1 && (call.on_accelerator() || (kind == Kind::softmax && in.type == Type::f32)))
      return soften_rows(outer, in, out);
    if (call.on_accelerator()) {
      // Along an axis that is not the last: moved there, and back.
      const Dims moved{outer, inner, n};
      Value rows = call.memory().allocate(in.type, moved);
      const Strides there{n * inner, 1, inner};
      const Strides back{n * inner, 1, n};
      copy_on_device(*device, call.stream(), moved, in, 0, there, rows);
      soften_rows(outer * inner, rows, rows);
      return copy_on_device(*device, call.stream(), Dims{outer, n, inner}, rows, 0, back, out);
    }
    visit_float(in.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (std::int64_t o = 0; o < outer; ++o)
        for (std::int64_t i = 0; i < inner; ++i) {
          const std::int64_t at = o * n * inner + i;
          if (kind == Kind::hardmax)
            harden(in.data<T>() + at, out.data<T>() + at, n, inner);
          else
            soften(in.data<T>() + at, out.data<T>() + at, n, inner, kind == Kind::log_softmax);
        }
    });
  };
}

constexpr int kNewest = Operator::kNewest;
constexpr Operator table[] = {
    {"", "Softmax", 1, kNewest, make_softmax<Kind::softmax>, Half::via_float, Place::device},
    {"", "LogSoftmax", 1, kNewest, make_softmax<Kind::log_softmax>, Half::via_float, Place::device},
    {"", "Hardmax", 1, kNewest, make_softmax<Kind::hardmax>, Half::via_float},
};

} // namespace

std::span<const Operator> softmax_operators() {
  return table;
}

} // namespace mlp::native
