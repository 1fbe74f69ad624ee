// Pad: constant, edge, reflect and wrap. Each axis gets a list that says where a position of the
// result comes from; negative pads crop.
#include "backends/runtime/native/device_copy.hpp"
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "backends/runtime/native/strided.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::native {

namespace {

enum class Mode { constant, edge, reflect, wrap };

Mode read_mode(const NodeSpec& spec) {
  const std::string name = spec.text("mode", "constant");
  if (name == "constant") return Mode::constant;
  if (name == "edge") return Mode::edge;
  if (name == "reflect") return Mode::reflect;
  if (name == "wrap" && spec.opset() >= 19) return Mode::wrap;
  throw Error(ErrorKind::config, fmt::format("attribute 'mode' is '{}'", name));
}

constexpr std::int64_t kFill = -1;

// Where position `at` (0: the first element of the input) comes from on an axis of `size` > 0.
std::int64_t source(std::int64_t at, std::int64_t size, Mode mode) {
  if (at >= 0 && at < size) return at;
  switch (mode) {
  case Mode::constant:
    return kFill;
  case Mode::edge:
    return at < 0 ? 0 : size - 1;
  case Mode::wrap:
    return (at % size + size) % size;
  case Mode::reflect:
    break;
  }
  if (size == 1) return 0;
  const std::int64_t period = 2 * (size - 1);
  const std::int64_t phase = (at % period + period) % period;
  return phase < size ? phase : period - phase;
}

struct Pads {
  std::array<std::int64_t, kMaxRank> begin{}, end{};
};

Pads read_pads(const std::vector<std::int64_t>& pads, const std::vector<std::int64_t>& axes,
               std::size_t rank) {
  if (pads.size() != 2 * axes.size())
    throw Error(ErrorKind::failed, fmt::format("{} pads for {} axes", pads.size(), axes.size()));
  Pads result;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t axis = resolve_axis(axes[i], rank);
    result.begin[axis] = pads[i];
    result.end[axis] = pads[i + axes.size()];
  }
  return result;
}

template <class T>
void fill(const Value& in, const Pads& pads, Mode mode, const T& value, Value& out) {
  const std::size_t rank = in.dims.size();
  if (rank == 0) {
    *out.data<T>() = *in.data<T>();
    return;
  }
  std::array<std::vector<std::int64_t>, kMaxRank> from;
  for (std::size_t axis = 0; axis < rank; ++axis)
    for (std::int64_t i = 0; i < out.dims[axis]; ++i)
      from[axis].push_back(in.dims[axis] == 0 ? kFill
                                              : source(i - pads.begin[axis], in.dims[axis], mode));
  const Strides strides = dense_strides(in.dims);
  const std::int64_t row = out.dims.back();
  T* target = out.data<T>();
  for (std::int64_t at = 0; at < out.count; at += row, target += row) {
    std::int64_t rest = at / row;
    std::int64_t offset = 0;
    bool outside = false;
    for (std::size_t axis = rank - 1; axis-- > 0; rest /= out.dims[axis]) {
      const std::int64_t place = from[axis][static_cast<std::size_t>(rest % out.dims[axis])];
      outside = outside || place == kFill;
      offset += place * strides[axis];
    }
    for (std::int64_t i = 0; i < row; ++i) {
      const std::int64_t place = from[rank - 1][static_cast<std::size_t>(i)];
      target[i] = outside || place == kFill ? value : in.data<T>()[offset + place];
    }
  }
}

Dims padded_dims(const Value& in, const Pads& pads, Mode mode) {
  constexpr std::int64_t kMost = std::int64_t{1} << 40; // more than memory holds; sums do not wrap
  const auto is_far = [](std::int64_t pad) { return pad < -kMost || pad > kMost; };
  Dims dims = in.dims;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    const bool is_out = is_far(pads.begin[axis]) || is_far(pads.end[axis]);
    if (!is_out) dims[axis] += pads.begin[axis] + pads.end[axis];
    if (is_out || dims[axis] < 0 ||
        (mode != Mode::constant && in.dims[axis] == 0 && dims[axis] > 0))
      throw Error(ErrorKind::failed,
                  fmt::format("pads {} and {} do not fit axis {} of shape {}", pads.begin[axis],
                              pads.end[axis], axis, to_string(in.dims)));
  }
  return dims;
}

// The constant everywhere, then what is left of the input over it.
void pad_on_device(kernels::Device& device, const Value& in, const Pads& pads, float value,
                   Call& call) {
  Value& out = call.out(0, Type::f32, padded_dims(in, pads, Mode::constant));
  kernels::ElementwiseSpec fill{.rank = 1, .shape = {out.count}, .out = {1}, .count = 1};
  fill.step[0].b.number = value;
  device.elementwise(call.stream(), fill, nullptr, out.address);
  const Strides in_strides = dense_strides(in.dims), out_strides = dense_strides(out.dims);
  Dims kept = in.dims;
  std::int64_t from = 0, to = 0;
  for (std::size_t axis = 0; axis < kept.size(); ++axis) {
    const std::int64_t cut = std::max<std::int64_t>(-pads.begin[axis], 0);
    const std::int64_t before = std::max<std::int64_t>(pads.begin[axis], 0);
    kept[axis] = std::min(in.dims[axis] - cut, out.dims[axis] - before);
    if (kept[axis] <= 0) return;
    from += cut * in_strides[axis];
    to += before * out_strides[axis];
  }
  copy_part_on_device(device, call.stream(), kept, in, from, out, to);
}

void expect_scalar(const Value& value, const Value& in) {
  if (value.type != in.type || value.count != 1)
    throw Error(ErrorKind::failed, "the constant value is not a scalar of the input's type");
}

void pad(const Value& in, const Pads& pads, Mode mode, const Value* value, Call& call) {
  const Dims dims = padded_dims(in, pads, mode);
  if (value != nullptr) expect_scalar(*value, in);
  Value& out = call.out(0, in.type, dims);
  if (out.count == 0) return;
  visit_width(in.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    fill<T>(in, pads, mode, value != nullptr ? *value->data<T>() : T{}, out);
  });
}

std::vector<std::int64_t> all_axes(std::size_t rank) {
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < rank; ++i)
    axes.push_back(static_cast<std::int64_t>(i));
  return axes;
}

// Pads and value are attributes before opset 11, then inputs; axes are an input since opset 18.
Kernel make_pad(const NodeSpec& spec) {
  const Mode mode = read_mode(spec);
  if (spec.opset() < 11) {
    spec.expect_inputs(1, 1);
    const auto fixed = spec.integers("pads").value_or(std::vector<std::int64_t>());
    return [mode, fixed, number = spec.real("value", 0.0F), device = &spec.device()](Call& call) {
      const Value& in = call.in(0);
      const Pads pads = read_pads(fixed, all_axes(in.dims.size()), in.dims.size());
      if (call.on_accelerator()) return pad_on_device(*device, in, pads, number, call);
      Value value = call.memory().allocate(Type::f32, Dims{});
      *value.data<float>() = number;
      value = cast_numbers(value, in.type, call.memory());
      pad(in, pads, mode, &value, call);
    };
  }
  spec.expect_inputs(2, spec.opset() < 18 ? 3 : 4);
  return [mode, device = &spec.device()](Call& call) {
    const Value& in = call.in(0);
    const auto axes = call.has(3) ? read_integers(call.in(3), "axes") : all_axes(in.dims.size());
    const Pads pads = read_pads(read_integers(call.in(1), "pads"), axes, in.dims.size());
    if (call.on_accelerator()) {
      if (call.has(2)) expect_scalar(call.in(2), in);
      const float value = call.has(2) ? *call.in(2).data<float>() : 0.0F;
      return pad_on_device(*device, in, pads, value, call);
    }
    pad(in, pads, mode, call.has(2) ? &call.in(2) : nullptr, call);
  };
}

constexpr Operator table[] = {
    {"", "Pad", 2, Operator::kNewest, make_pad, Half::as_is, Place::moves},
};

} // namespace

std::span<const Operator> pad_operators() {
  return table;
}

} // namespace mlp::native
