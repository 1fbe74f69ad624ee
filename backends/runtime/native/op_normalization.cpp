// BatchNormalization (with its training form), LayerNormalization, InstanceNormalization.
#include "backends/runtime/native/device_copy.hpp"
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "backends/runtime/native/strided.hpp"
#include "core/base/error.hpp"
#include "kernels/device.hpp"

#include <fmt/format.h>

#include <cmath>

namespace mlp::native {

namespace {

struct Planes { // x[outer, channels, inner]
  std::int64_t outer, channels, inner;
};

Planes planes_of(const Value& in) {
  if (in.dims.empty()) throw Error(ErrorKind::failed, "takes no scalar");
  const std::int64_t channels = in.dims.size() > 1 ? in.dims[1] : 1;
  return {in.dims[0], channels, in.dims.size() > 2 ? in.dims.product(2, in.dims.size()) : 1};
}

void expect_channels(const Value& value, Type type, std::int64_t channels, const char* what) {
  if (value.type != type || value.count != channels)
    throw Error(ErrorKind::failed,
                fmt::format("{} is {} {} for {} channels of {}", what, type_name(value.type),
                            to_string(value.dims), channels, type_name(type)));
}

// y = (x - mean) / sqrt(var + epsilon) * scale + bias, a channel at a time.
template <class T>
void normalize(const Value& in, const Planes& p, float epsilon, const T* scale, const T* bias,
               const T* mean, const T* var, Value& out) {
  for (std::int64_t row = 0; row < p.outer * p.channels; ++row) {
    const std::int64_t c = row % p.channels;
    const T factor = scale[c] / std::sqrt(var[c] + static_cast<T>(epsilon));
    const T shift = bias[c] - mean[c] * factor;
    const T* x = in.data<T>() + row * p.inner;
    T* y = out.data<T>() + row * p.inner;
    for (std::int64_t i = 0; i < p.inner; ++i)
      y[i] = x[i] * factor + shift;
  }
}

template <class T>
void measure(const Value& in, const Planes& p, T* mean, T* var) {
  const auto count = static_cast<double>(p.outer * p.inner);
  for (std::int64_t c = 0; c < p.channels; ++c) {
    double sum = 0.0;
    double squares = 0.0;
    for (int pass = 0; pass < 2; ++pass)
      for (std::int64_t n = 0; n < p.outer; ++n) {
        const T* x = in.data<T>() + (n * p.channels + c) * p.inner;
        for (std::int64_t i = 0; i < p.inner; ++i) {
          const auto value = static_cast<double>(x[i]);
          if (pass == 0)
            sum += value;
          else
            squares += (value - sum / count) * (value - sum / count);
        }
      }
    mean[c] = static_cast<T>(sum / count);
    var[c] = static_cast<T>(squares / count);
  }
}

template <class T>
void train_batch_norm(Call& call, const Planes& p, float epsilon, float momentum) {
  const Value& in = call.in(0);
  Value mean = call.memory().allocate(in.type, Dims{p.channels});
  Value var = call.memory().allocate(in.type, Dims{p.channels});
  measure(in, p, mean.data<T>(), var.data<T>());
  normalize<T>(in, p, epsilon, call.in(1).data<T>(), call.in(2).data<T>(), mean.data<T>(),
               var.data<T>(), call.out(0, in.type, in.dims));
  const Value* batch[] = {&mean, &var};
  for (std::size_t k = 0; k < 2; ++k) {
    if (!call.wants(1 + k)) continue;
    Value& running = call.out(1 + k, in.type, Dims{p.channels});
    const auto keep = static_cast<T>(momentum);
    for (std::int64_t c = 0; c < p.channels; ++c)
      running.data<T>()[c] =
          call.in(3 + k).data<T>()[c] * keep + batch[k]->data<T>()[c] * (T{1} - keep);
  }
}

Kernel make_batch_norm(const NodeSpec& spec) {
  spec.expect_inputs(5, 5);
  const float epsilon = spec.real("epsilon", 1e-5F);
  const float momentum = spec.real("momentum", 0.9F);
  const bool training = spec.opset() >= 14 && spec.flag("training_mode", false);
  if (spec.opset() < 9 && !spec.flag("spatial", true))
    throw Error(ErrorKind::config, "attribute 'spatial' = 0 is not supported");
  kernels::Device* device = &spec.device();
  return [=](Call& call) {
    const Value& in = call.in(0);
    const Planes p = planes_of(in);
    static constexpr const char* kNames[] = {"scale", "bias", "mean", "variance"};
    for (std::size_t i = 0; i < 4; ++i)
      expect_channels(call.in(i + 1), in.type, p.channels, kNames[i]);
    if (training)
      return visit_float(in.type, [&](auto tag) {
        train_batch_norm<typename decltype(tag)::type>(call, p, epsilon, momentum);
      });
    Value& out = call.out(0, in.type, in.dims);
    if (in.count == 0) return;
    if (in.type == Type::f32)
      return device->batch_norm_inference(call.stream(), p.outer, p.channels, p.inner, epsilon,
                                          in.data<float>(), call.in(1).data<float>(),
                                          call.in(2).data<float>(), call.in(3).data<float>(),
                                          call.in(4).data<float>(), out.data<float>());
    visit_float(in.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      normalize<T>(in, p, epsilon, call.in(1).data<T>(), call.in(2).data<T>(), call.in(3).data<T>(),
                   call.in(4).data<T>(), out);
    });
  };
}

// Rows of `n` elements: mean and 1 / standard deviation, in double.
template <class T>
std::pair<double, double> moments(const T* x, std::int64_t n, float epsilon) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < n; ++i)
    sum += static_cast<double>(x[i]);
  const double mean = sum / static_cast<double>(n);
  double squares = 0.0;
  for (std::int64_t i = 0; i < n; ++i)
    squares += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
  return {mean, 1.0 / std::sqrt(squares / static_cast<double>(n) + static_cast<double>(epsilon))};
}

template <class T>
void layer_norm(Call& call, std::size_t axis, float epsilon) {
  const Value& in = call.in(0);
  Dims row_dims;
  Dims stat_dims = in.dims;
  for (std::size_t i = axis; i < in.dims.size(); ++i) {
    row_dims.push_back(in.dims[i]);
    stat_dims[i] = 1;
  }
  const Value scale = broadcast_to(call.in(1), row_dims, call.memory());
  const Value bias = call.has(2) ? broadcast_to(call.in(2), row_dims, call.memory()) : Value{};
  if (scale.type != in.type || (call.has(2) && bias.type != in.type))
    throw Error(ErrorKind::failed, "scale and bias are not of the input's type");
  Value& out = call.out(0, in.type, in.dims);
  Value mean = call.memory().allocate(in.type, stat_dims);
  Value deviation = call.memory().allocate(in.type, stat_dims);
  for (std::int64_t row = 0; row < mean.count && in.count > 0; ++row) {
    const T* x = in.data<T>() + row * scale.count;
    T* y = out.data<T>() + row * scale.count;
    const auto [center, inverse] = moments(x, scale.count, epsilon);
    mean.data<T>()[row] = static_cast<T>(center);
    deviation.data<T>()[row] = static_cast<T>(inverse);
    for (std::int64_t i = 0; i < scale.count; ++i)
      y[i] = (x[i] - static_cast<T>(center)) * static_cast<T>(inverse) * scale.data<T>()[i] +
             (call.has(2) ? bias.data<T>()[i] : T{0});
  }
  if (call.wants(1)) call.set(1, mean);
  if (call.wants(2)) call.set(2, deviation);
}

// Scale or bias of a row's shape; an input that has it already is taken as it is.
Value of_row(kernels::Device& device, Call& call, std::size_t i, const Dims& row_dims) {
  const Value& in = call.in(i);
  if (in.type != Type::f32)
    throw Error(ErrorKind::failed, "scale and bias are not of the input's type");
  if (in.dims == row_dims) return in;
  if (!call.on_accelerator()) return broadcast_to(in, row_dims, call.memory());
  Value full = call.memory().allocate(in.type, row_dims);
  expand_on_device(device, call.stream(), in, full);
  return full;
}

// Input 0 times input 1, plus input 2 if there is one.
void scale_and_shift(kernels::ElementwiseSpec& spec) {
  using kernels::ElementOp;
  for (const ElementOp op : {ElementOp::load, ElementOp::multiply, ElementOp::add}) {
    if (spec.count == spec.inputs) return;
    const auto index = static_cast<std::uint8_t>(spec.count);
    spec.step[spec.count++] = {
        .op = op, .b = {.from = kernels::ElementOperand::From::input, .index = index}, .c = {}};
  }
}

// Rows of one element by a longer scale: parts that were fused broadcast where the operator may
// not. Scale and bias are rows of the same length.
void broadcast_layer_norm(kernels::Device& device, Call& call, float epsilon) {
  const Value& in = call.in(0);
  const Value& scale = call.in(1);
  Dims dims = in.dims;
  dims[dims.size() - 1] = scale.count;
  Value& out = call.out(0, in.type, dims);
  if (out.count == 0) return;
  Value normal = call.memory().allocate(in.type, in.dims);
  device.layer_norm(call.stream(), in.count, 1, epsilon, in.data<float>(), nullptr, nullptr,
                    normal.data<float>());
  kernels::ElementwiseSpec spec{
      .rank = 2, .shape = {in.count, scale.count}, .inputs = call.has(2) ? 3 : 2};
  kernels::dense_strides(spec.rank, spec.shape, spec.out);
  spec.input[0][0] = spec.input[1][1] = spec.input[2][1] = 1;
  scale_and_shift(spec);
  const void* inputs[] = {normal.address, scale.address,
                          call.has(2) ? call.in(2).address : nullptr};
  device.elementwise(call.stream(), spec, inputs, out.address);
}

// Without the moments as outputs.
void layer_norm_of_floats(kernels::Device& device, Call& call, std::size_t axis, float epsilon) {
  const Value& in = call.in(0);
  Dims row_dims;
  for (std::size_t i = axis; i < in.dims.size(); ++i)
    row_dims.push_back(in.dims[i]);
  const Value scale = of_row(device, call, 1, row_dims);
  const Value bias = call.has(2) ? of_row(device, call, 2, row_dims) : Value{};
  if (call.reusable(0))
    call.set(0, in);
  else
    call.out(0, in.type, in.dims);
  if (in.count == 0) return;
  device.layer_norm(call.stream(), in.count / scale.count, scale.count, epsilon, in.data<float>(),
                    scale.data<float>(), call.has(2) ? bias.data<float>() : nullptr,
                    call.output(0).data<float>());
}

Kernel make_layer_norm(const NodeSpec& spec) {
  spec.expect_inputs(2, 3);
  const std::int64_t axis = spec.integer("axis", -1);
  const float epsilon = spec.real("epsilon", 1e-5F);
  spec.ignore("stash_type"); // float32 or less: the moments are taken in no less
  return [axis, epsilon, in_parts = spec.is_fused(), device = &spec.device()](Call& call) {
    const Value& in = call.in(0);
    const std::size_t at = resolve_axis(axis, in.dims.size());
    if (in_parts && in.dims[at] == 1 && call.in(1).count > 1)
      return broadcast_layer_norm(*device, call, epsilon);
    if (in.type == Type::f32 && !call.wants(1) && !call.wants(2))
      return layer_norm_of_floats(*device, call, at, epsilon);
    visit_float(in.type,
                [&](auto tag) { layer_norm<typename decltype(tag)::type>(call, at, epsilon); });
  };
}

// Every plane as a row; then a scale and a bias a channel.
void instance_norm_on_device(kernels::Device& device, Call& call, const Planes& p, float epsilon) {
  const Value& in = call.in(0);
  Value& out = call.out(0, in.type, in.dims);
  if (in.count == 0) return;
  device.layer_norm(call.stream(), p.outer * p.channels, p.inner, epsilon, in.data<float>(),
                    nullptr, nullptr, out.data<float>());
  kernels::ElementwiseSpec spec{.rank = 3, .shape = {p.outer, p.channels, p.inner}, .inputs = 3};
  kernels::dense_strides(spec.rank, spec.shape, spec.out);
  kernels::dense_strides(spec.rank, spec.shape, spec.input[0]);
  spec.input[1][1] = spec.input[2][1] = 1;
  scale_and_shift(spec);
  const void* inputs[] = {out.address, call.in(1).address, call.in(2).address};
  device.elementwise(call.stream(), spec, inputs, out.address);
}

Kernel make_instance_norm(const NodeSpec& spec) {
  spec.expect_inputs(3, 3);
  const float epsilon = spec.real("epsilon", 1e-5F);
  return [epsilon, device = &spec.device()](Call& call) {
    const Value& in = call.in(0);
    const Planes p = planes_of(in);
    expect_channels(call.in(1), in.type, p.channels, "scale");
    expect_channels(call.in(2), in.type, p.channels, "bias");
    if (call.on_accelerator()) return instance_norm_on_device(*device, call, p, epsilon);
    Value& out = call.out(0, in.type, in.dims);
    if (in.count == 0) return;
    visit_float(in.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (std::int64_t row = 0; row < p.outer * p.channels; ++row) {
        const T* x = in.data<T>() + row * p.inner;
        const auto [center, inverse] = moments(x, p.inner, epsilon);
        const auto factor =
            static_cast<T>(inverse * static_cast<double>(call.in(1).data<T>()[row % p.channels]));
        for (std::int64_t i = 0; i < p.inner; ++i)
          out.data<T>()[row * p.inner + i] =
              (x[i] - static_cast<T>(center)) * factor + call.in(2).data<T>()[row % p.channels];
      }
    });
  };
}

constexpr int kNewest = Operator::kNewest;
constexpr Operator table[] = {
    {"", "BatchNormalization", 7, kNewest, make_batch_norm, Half::via_float, Place::device},
    {"", "LayerNormalization", 17, kNewest, make_layer_norm, Half::via_float, Place::device},
    {"", "InstanceNormalization", 6, kNewest, make_instance_norm, Half::via_float, Place::device},
};

} // namespace

std::span<const Operator> normalization_operators() {
  return table;
}

} // namespace mlp::native
