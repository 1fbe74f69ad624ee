// Conv on the device. Weights that are constant are laid out for the device once a shape.
#include "backends/runtime/native/device_copy.hpp"
#include "backends/runtime/native/elementwise.hpp"
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/fused.hpp"
#include "backends/runtime/native/plan_cache.hpp"
#include "backends/runtime/native/window.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::native {

namespace {

struct Key {
  std::array<std::int64_t, 10> numbers{}; // everything that the shapes of input and weights give
  bool bias = false;
  bool operator==(const Key&) const = default;
};

// A device's plan and, if the weights are constant, the weights as it wants them.
struct Prepared {
  std::unique_ptr<kernels::ConvPlan> plan;
  kernels::Buffer weights;
};

class Conv {
 public:
  Conv(kernels::Device& device, const WindowAttributes& window, std::int64_t groups,
       FusedActivation activation, bool constant_weights)
      : device_(device), window_(window), groups_(groups), activation_(activation),
        constant_weights_(constant_weights) {}

  void run(Call& call) {
    const Value& x = call.in(0);
    const Value& w = call.in(1);
    const Value* bias = call.has(2) ? &call.in(2) : nullptr;
    check(x, w, bias);
    const std::span<const std::int64_t> in = x.dims.span().subspan(2);
    const PlacedWindow placed = place_window(window_, in, w.dims.span().subspan(2));
    if (!std::equal(in.begin(), in.end(), placed.in) ||
        !std::equal(w.dims.begin() + 2, w.dims.end(), placed.window.kernel))
      throw Error(
          ErrorKind::failed,
          fmt::format("attribute 'kernel_shape' is not that of weights {}", to_string(w.dims)));
    Dims dims{x.dims[0], w.dims[0]};
    for (std::size_t i = 0; i < in.size(); ++i)
      dims.push_back(placed.out[i]);
    Value& out = call.out(0, Type::f32, dims);
    if (out.count == 0) return;
    if (w.count == 0) return fill_empty(bias, call, out);

    const auto prepared = prepare(x, w, bias != nullptr, placed, call);
    call.keep(prepared);
    void* workspace = nullptr;
    StorageRef room, weights_room;
    if (prepared->plan->workspace_bytes() > 0)
      room = call.memory().scratch(prepared->plan->workspace_bytes(), workspace);
    void* weights = prepared->weights.data();
    if (weights == nullptr) {
      weights_room = call.memory().scratch(prepared->plan->prepared_bytes(), weights);
      prepared->plan->prepare_weights(call.stream(), w.data<float>(), weights, workspace);
    }
    prepared->plan->run(call.stream(), x.data<float>(), weights,
                        bias != nullptr ? bias->data<float>() : nullptr, out.data<float>(),
                        workspace);
  }

 private:
  void check(const Value& x, const Value& w, const Value* bias) const {
    if (x.type != Type::f32) refuse_type(x.type);
    expect_same_type(x, w);
    if (bias != nullptr) expect_same_type(x, *bias);
    if (x.dims.size() < 3 || w.dims.size() != x.dims.size() || groups_ < 1 ||
        w.dims[1] > x.dims[1] || w.dims[1] * groups_ != x.dims[1] || w.dims[0] % groups_ != 0)
      throw Error(ErrorKind::failed,
                  fmt::format("weights of shape {} in {} groups do not fit an input of shape {}",
                              to_string(w.dims), groups_, to_string(x.dims)));
    if (bias != nullptr && bias->count != w.dims[0])
      throw Error(ErrorKind::failed, fmt::format("a bias of shape {} for {} channels",
                                                 to_string(bias->dims), w.dims[0]));
  }

  void fill_empty(const Value* bias, Call& call, Value& out) {
    if (call.on_accelerator()) {
      if (bias == nullptr) return device_.zero(call.stream(), out.address, out.bytes());
      Dims channels{out.dims[1]};
      while (channels.size() + 1 < out.dims.size())
        channels.push_back(1);
      return expand_on_device(device_, call.stream(), bias->reshaped(channels), out);
    }
    const std::int64_t inner = out.dims.product(2, out.dims.size());
    for (std::int64_t i = 0; i < out.count; ++i)
      out.data<float>()[i] = bias != nullptr ? bias->data<float>()[i / inner % out.dims[1]] : 0.0F;
  }

  std::shared_ptr<const Prepared> prepare(const Value& x, const Value& w, bool bias,
                                          const PlacedWindow& placed, Call& call) {
    Key key;
    key.bias = bias;
    key.numbers = {x.dims[0], x.dims[1], w.dims[0]};
    for (std::size_t i = 0; i < kernels::kMaxSpatial; ++i) {
      key.numbers[3 + i] = placed.in[i];
      key.numbers[6 + i] = placed.window.kernel[i];
    }
    return plans_.get(key, [&] {
      kernels::ConvSpec spec;
      spec.batch = x.dims[0];
      spec.channels = x.dims[1];
      spec.out_channels = w.dims[0];
      spec.groups = groups_;
      std::copy(std::begin(placed.in), std::end(placed.in), std::begin(spec.in));
      spec.window = placed.window;
      spec.bias = bias;
      spec.activation = to_device(activation_);
      auto prepared = std::make_shared<Prepared>();
      prepared->plan = device_.plan(spec);
      if (!constant_weights_) return prepared;
      prepared->weights =
          kernels::Buffer(device_, std::max<std::size_t>(prepared->plan->prepared_bytes(), 1));
      void* workspace = nullptr;
      const StorageRef room = call.memory().scratch(prepared->plan->workspace_bytes(), workspace);
      prepared->plan->prepare_weights(call.stream(), w.data<float>(), prepared->weights.data(),
                                      workspace);
      device_.synchronize(call.stream()); // the next call may run on another stream
      return prepared;
    });
  }

  kernels::Device& device_;
  WindowAttributes window_;
  std::int64_t groups_;
  FusedActivation activation_;
  bool constant_weights_;
  PlanCache<Key, Prepared> plans_;
};

Kernel make_conv(const NodeSpec& spec) {
  spec.expect_inputs(2, 3);
  const WindowAttributes window = read_window(spec);
  const std::int64_t groups = spec.integer("group", 1);
  if (groups < 1 || groups > (1 << 30))
    throw Error(ErrorKind::config, fmt::format("attribute 'group' is {}", groups));
  const bool constant = spec.constant(1) != nullptr;
  return [op = std::make_shared<Conv>(spec.device(), window, groups, spec.activation(), constant)](
             Call& call) { op->run(call); };
}

constexpr Operator table[] = {
    {"", "Conv", 1, Operator::kNewest, make_conv, Half::via_float, Place::device}};

} // namespace

std::span<const Operator> conv_operators() {
  return table;
}

} // namespace mlp::native
