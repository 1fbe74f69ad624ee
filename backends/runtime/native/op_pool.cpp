// MaxPool, AveragePool and their global forms. float goes to the device; other types, and MaxPool
// with the places of its maxima, are computed here.
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/window.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace mlp::native {

namespace {

constexpr std::size_t kAxes = kernels::kMaxSpatial;

// A window's cells on one axis at one position: begin, begin + step, ... below end.
struct Span {
  std::int64_t begin, end, step, padded; // padded: cells counted with the pads
};

Span span_of(const PlacedWindow& p, std::size_t axis, std::int64_t at) {
  const kernels::Window& w = p.window;
  const std::int64_t step = w.dilation[axis];
  std::int64_t begin = at * w.stride[axis] - w.pad_begin[axis];
  const std::int64_t reach = begin + step * w.kernel[axis];
  const std::int64_t limit = std::min(reach, p.in[axis] + w.pad_end[axis]);
  const std::int64_t padded = limit > begin ? (limit - begin + step - 1) / step : 0;
  if (begin < 0) begin += (-begin + step - 1) / step * step;
  return {begin, std::min(reach, p.in[axis]), step, padded};
}

// body(z, y, x) for the three axes of each output cell of one plane.
template <class Body>
void for_each_window(const PlacedWindow& p, Body&& body) {
  for (std::int64_t i = 0; i < p.out[0]; ++i)
    for (std::int64_t j = 0; j < p.out[1]; ++j)
      for (std::int64_t k = 0; k < p.out[2]; ++k)
        body(span_of(p, 0, i), span_of(p, 1, j), span_of(p, 2, k));
}

// Axes are filled up with ones at the end: [w] is [w, 1, 1].
template <class T>
void max_plane(const PlacedWindow& p, const T* x, T* y, std::int64_t* places, std::int64_t base,
               bool column_major) {
  std::int64_t at = 0;
  for_each_window(p, [&](const Span& a, const Span& b, const Span& c) {
    T best = std::numeric_limits<T>::lowest();
    std::int64_t place = -1;
    for (std::int64_t i = a.begin; i < a.end; i += a.step)
      for (std::int64_t j = b.begin; j < b.end; j += b.step)
        for (std::int64_t k = c.begin; k < c.end; k += c.step) {
          const T value = x[(i * p.in[1] + j) * p.in[2] + k];
          if (place >= 0 && !(value > best)) continue;
          best = value;
          place = column_major ? i + p.in[0] * (j + p.in[1] * k) : (i * p.in[1] + j) * p.in[2] + k;
        }
    y[at] = best;
    if (places != nullptr) places[at] = place < 0 ? -1 : base + place;
    ++at;
  });
}

template <class T>
void average_plane(const PlacedWindow& p, const T* x, T* y, bool with_padding) {
  std::int64_t at = 0;
  for_each_window(p, [&](const Span& a, const Span& b, const Span& c) {
    double sum = 0.0;
    std::int64_t count = 0;
    for (std::int64_t i = a.begin; i < a.end; i += a.step)
      for (std::int64_t j = b.begin; j < b.end; j += b.step)
        for (std::int64_t k = c.begin; k < c.end; k += c.step, ++count)
          sum += static_cast<double>(x[(i * p.in[1] + j) * p.in[2] + k]);
    if (with_padding) count = a.padded * b.padded * c.padded;
    y[at++] = count == 0 ? T{0} : static_cast<T>(sum / static_cast<double>(count));
  });
}

struct PoolPlan {
  PlacedWindow placed;
  Dims out;
  std::int64_t planes = 0, plane_in = 0, plane_out = 0;
};

PoolPlan plan_pool(const Value& in, const WindowAttributes& window) {
  if (in.dims.size() < 3)
    throw Error(ErrorKind::failed, fmt::format("takes no tensor of shape {}", to_string(in.dims)));
  PoolPlan plan;
  const auto spatial = in.dims.span().subspan(2);
  plan.placed = place_window(window, spatial, {});
  plan.out = Dims{in.dims[0], in.dims[1]};
  for (std::size_t i = 0; i < spatial.size(); ++i)
    plan.out.push_back(plan.placed.out[i]);
  plan.planes = in.dims[0] * in.dims[1];
  plan.plane_in = in.dims.product(2, in.dims.size());
  plan.plane_out = plan.out.product(2, plan.out.size());
  return plan;
}

void pool_on_device(kernels::Device& device, kernels::Stream stream, kernels::Pool kind,
                    const PoolPlan& plan, const Value& in, Value& out) {
  kernels::PoolSpec spec;
  spec.kind = kind;
  spec.batch = 1;
  spec.channels = plan.planes;
  std::copy_n(plan.placed.in, kAxes, spec.in);
  std::copy_n(plan.placed.out, kAxes, spec.out);
  spec.window = plan.placed.window;
  device.pool(stream, spec, in.data<float>(), out.data<float>());
}

template <class F>
void visit_pool_type(Type type, F&& f) {
  switch (type) {
  case Type::f32:
    return f(Tag<float>{});
  case Type::f64:
    return f(Tag<double>{});
  case Type::i8:
    return f(Tag<std::int8_t>{});
  case Type::u8:
    return f(Tag<std::uint8_t>{});
  default:
    refuse_type(type);
  }
}

Kernel make_max_pool(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  WindowAttributes window = read_window(spec);
  window.ceil = spec.flag("ceil_mode", false);
  const bool column_major = spec.flag("storage_order", false);
  if (window.kernel.empty()) throw Error(ErrorKind::config, "attribute 'kernel_shape' is missing");
  kernels::Device* device = &spec.device();
  return [=](Call& call) {
    const Value& in = call.in(0);
    const PoolPlan plan = plan_pool(in, window);
    Value& out = call.out(0, in.type, plan.out);
    if (!call.wants(1) && in.type == Type::f32) {
      if (out.count > 0) pool_on_device(*device, call.stream(), kernels::Pool::max, plan, in, out);
      return;
    }
    std::int64_t* places =
        call.wants(1) ? call.out(1, Type::i64, plan.out).data<std::int64_t>() : nullptr;
    if (out.count == 0) return;
    visit_pool_type(in.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (std::int64_t n = 0; n < plan.planes; ++n)
        max_plane(plan.placed, in.data<T>() + n * plan.plane_in, out.data<T>() + n * plan.plane_out,
                  places != nullptr ? places + n * plan.plane_out : nullptr, n * plan.plane_in,
                  column_major);
    });
  };
}

void average(kernels::Device& device, kernels::Stream stream, const PoolPlan& plan,
             bool with_padding, const Value& in, Value& out) {
  if (out.count == 0) return;
  if (in.type == Type::f32)
    return pool_on_device(
        device, stream, with_padding ? kernels::Pool::average_with_padding : kernels::Pool::average,
        plan, in, out);
  visit_float(in.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (std::int64_t n = 0; n < plan.planes; ++n)
      average_plane(plan.placed, in.data<T>() + n * plan.plane_in,
                    out.data<T>() + n * plan.plane_out, with_padding);
  });
}

Kernel make_average_pool(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  WindowAttributes window = read_window(spec);
  window.ceil = spec.flag("ceil_mode", false);
  const bool with_padding = spec.flag("count_include_pad", false);
  if (window.kernel.empty()) throw Error(ErrorKind::config, "attribute 'kernel_shape' is missing");
  kernels::Device* device = &spec.device();
  return [=](Call& call) {
    const Value& in = call.in(0);
    const PoolPlan plan = plan_pool(in, window);
    average(*device, call.stream(), plan, with_padding, in, call.out(0, in.type, plan.out));
  };
}

// [n, c, ...] to [n, c, 1, ...], over any number of axes.
template <bool Max>
Kernel make_global_pool(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  kernels::Device* device = &spec.device();
  return [device](Call& call) {
    const Value& in = call.in(0);
    if (in.dims.size() < 3 || in.count == 0)
      throw Error(ErrorKind::failed,
                  fmt::format("takes no tensor of shape {}", to_string(in.dims)));
    Dims dims = in.dims;
    for (std::size_t i = 2; i < dims.size(); ++i)
      dims[i] = 1;
    const std::int64_t plane = in.dims.product(2, in.dims.size());
    Value& out = call.out(0, in.type, dims);
    if (call.on_accelerator()) {
      const auto kind = Max ? kernels::Reduce::largest : kernels::Reduce::mean;
      return device->reduce(call.stream(), {.kind = kind, .outer = out.count, .count = plane},
                            in.data<float>(), out.data<float>());
    }
    visit_float(in.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (std::int64_t n = 0; n < out.count; ++n) {
        const T* x = in.data<T>() + n * plane;
        if (Max) {
          out.data<T>()[n] = *std::max_element(x, x + plane);
          continue;
        }
        double sum = 0.0;
        for (std::int64_t i = 0; i < plane; ++i)
          sum += static_cast<double>(x[i]);
        out.data<T>()[n] = static_cast<T>(sum / static_cast<double>(plane));
      }
    });
  };
}

constexpr int kNewest = Operator::kNewest;
constexpr Operator table[] = {
    {"", "MaxPool", 1, kNewest, make_max_pool, Half::via_float, Place::device},
    {"", "AveragePool", 7, kNewest, make_average_pool, Half::via_float, Place::device},
    {"", "GlobalAveragePool", 1, kNewest, make_global_pool<false>, Half::via_float, Place::device},
    {"", "GlobalMaxPool", 1, kNewest, make_global_pool<true>, Half::via_float, Place::device},
};

} // namespace

std::span<const Operator> pool_operators() {
  return table;
}

} // namespace mlp::native
