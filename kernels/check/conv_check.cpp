// Convolutions: 1 to 3 axes, strides, dilations, uneven pads, groups, depthwise, bias, activation.
#include "kernels/check/check.hpp"

namespace mlp::kernels::check {

namespace {

struct Shape {
  std::int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1};
  Window w;
};

// Fewer axes are three, the first of them with one cell.
Shape three_axes(const ConvSpec& s) {
  Shape shape;
  const int skip = 3 - s.window.rank;
  for (int axis = skip; axis < 3; ++axis) {
    const int from = axis - skip;
    shape.in[axis] = s.in[from];
    shape.out[axis] = output_size(s.window, from, s.in[from]);
    shape.w.kernel[axis] = s.window.kernel[from];
    shape.w.stride[axis] = s.window.stride[from];
    shape.w.dilation[axis] = s.window.dilation[from];
    shape.w.pad_begin[axis] = s.window.pad_begin[from];
  }
  return shape;
}

Doubles reference(const ConvSpec& s, const Floats& x, const Floats& w, const Floats& bias) {
  const Shape shape = three_axes(s);
  const auto& [in, out, win] = shape;
  const std::int64_t in_group = s.channels / s.groups;
  const std::int64_t out_group = s.out_channels / s.groups;
  const std::int64_t in_size = in[0] * in[1] * in[2];
  const std::int64_t k_size = win.kernel[0] * win.kernel[1] * win.kernel[2];
  Doubles y;
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t o = 0; o < s.out_channels; ++o)
      for (std::int64_t p = 0; p < out[0] * out[1] * out[2]; ++p) {
        const std::int64_t at[3] = {p / (out[1] * out[2]), p / out[2] % out[1], p % out[2]};
        double sum = s.bias ? static_cast<double>(bias[static_cast<std::size_t>(o)]) : 0.0;
        for (std::int64_t c = 0; c < in_group; ++c)
          for (std::int64_t k = 0; k < k_size; ++k) {
            const std::int64_t tap[3] = {k / (win.kernel[1] * win.kernel[2]),
                                         k / win.kernel[2] % win.kernel[1], k % win.kernel[2]};
            std::int64_t cell = 0;
            bool inside = true;
            for (int axis = 0; axis < 3; ++axis) {
              const std::int64_t i = at[axis] * win.stride[axis] - win.pad_begin[axis] +
                                     tap[axis] * win.dilation[axis];
              inside = inside && i >= 0 && i < in[axis];
              cell = cell * in[axis] + i;
            }
            if (!inside) continue;
            const std::int64_t channel = o / out_group * in_group + c;
            sum +=
                static_cast<double>(
                    x[static_cast<std::size_t>((n * s.channels + channel) * in_size + cell)]) *
                static_cast<double>(w[static_cast<std::size_t>((o * in_group + c) * k_size + k)]);
          }
        y.push_back(reference_activation(s.activation, sum));
      }
  return y;
}

void compare(Device& device, Report& report, const Tolerance& tolerance, const ConvSpec& s,
             const char* what) {
  Draw draw(static_cast<std::uint64_t>(s.channels * 31 + s.out_channels));
  std::int64_t in = s.batch * s.channels;
  std::int64_t out = s.batch * s.out_channels;
  std::int64_t weights = s.out_channels * (s.channels / s.groups);
  for (int i = 0; i < s.window.rank; ++i) {
    in *= s.in[i];
    out *= output_size(s.window, i, s.in[i]);
    weights *= s.window.kernel[i];
  }
  const Floats x = draw.floats(in);
  const Floats w = draw.floats(weights);
  const Floats bias = draw.floats(s.out_channels);
  const auto plan = device.plan(s);
  const Buffer workspace(device, plan->workspace_bytes());
  const Buffer prepared(device, plan->prepared_bytes());
  const OnDevice dx(device, x), dw(device, w), dbias(device, bias);
  const auto y = poisoned(device, out);
  plan->prepare_weights({}, dw.get(), prepared.data(), workspace.data());
  plan->run({}, dx.get(), prepared.data(), s.bias ? dbias.get() : nullptr, y.get(),
            workspace.data());
  device.synchronize({});
  report.close(std::string("conv ") + what, y.read(), reference(s, x, w, bias), tolerance.relative,
               tolerance.absolute);
}

} // namespace

void check_conv(Device& device, Report& report, const Tolerance& tolerance) {
  const auto run = [&](const ConvSpec& s, const char* what) {
    compare(device, report, tolerance, s, what);
  };
  run({.batch = 2,
       .channels = 3,
       .out_channels = 16,
       .in = {9, 11},
       .window = {.rank = 2, .kernel = {3, 3}, .pad_begin = {1, 1}, .pad_end = {1, 1}},
       .bias = true,
       .activation = Activation::relu},
      "3x3 with pads");
  run({.batch = 1,
       .channels = 4,
       .out_channels = 40,
       .in = {28, 28},
       .window = {.rank = 2,
                  .kernel = {5, 3},
                  .stride = {2, 3},
                  .dilation = {1, 2},
                  .pad_begin = {2, 0},
                  .pad_end = {1, 3}}},
      "one image, strides, dilation, uneven pads");
  run({.batch = 7,
       .channels = 8,
       .out_channels = 12,
       .groups = 4,
       .in = {16, 16},
       .window = {.rank = 2, .kernel = {3, 3}},
       .bias = true,
       .activation = Activation::gelu},
      "groups");
  run({.batch = 1,
       .channels = 24,
       .out_channels = 24,
       .groups = 24,
       .in = {33, 31},
       .window = {.rank = 2, .kernel = {3, 3}, .pad_begin = {1, 1}, .pad_end = {1, 1}},
       .bias = true},
      "depthwise, one image");
  run({.batch = 3,
       .channels = 5,
       .out_channels = 6,
       .in = {50},
       .window = {.rank = 1, .kernel = {4}, .stride = {2}, .pad_begin = {3}, .pad_end = {1}},
       .bias = true},
      "one axis");
  run({.batch = 2,
       .channels = 2,
       .out_channels = 5,
       .in = {6, 7, 8},
       .window = {.rank = 3,
                  .kernel = {2, 3, 3},
                  .stride = {1, 2, 1},
                  .pad_begin = {0, 1, 1},
                  .pad_end = {1, 1, 1}}},
      "three axes");
  run({.batch = 4,
       .channels = 64,
       .out_channels = 64,
       .in = {7, 7},
       .window = {.rank = 2, .kernel = {1, 1}},
       .bias = true},
      "1x1");
  const auto refuse = [&](const char* what, const ConvSpec& spec) {
    report.refuses(what, ErrorKind::invalid, [&] { (void)device.plan(spec); });
  };
  refuse("channels that groups do not divide", {.channels = 3, .out_channels = 4, .groups = 2});
  refuse("a window that does not fit", {.in = {2, 2}, .window = {.rank = 2, .kernel = {3, 3}}});
  refuse("a stride of 0", {.in = {4, 4}, .window = {.rank = 2, .stride = {0, 1}}});
  refuse("four axes", {.window = {.rank = 4}});
}

} // namespace mlp::kernels::check
