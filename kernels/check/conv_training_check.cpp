// Convolutions that are trained: forward and both gradients, channels last, against sums in float64
// over every pair of an input and an output cell that a weight joins.
#include "kernels/check/check.hpp"

#include <cmath>

namespace mlp::kernels::check {

namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

struct Sizes {
  explicit Sizes(const ConvSpec& s)
      : in_group(s.channels / s.groups), per(s.out_channels / s.groups) {
    for (int axis = 0; axis < s.window.rank; ++axis) {
      out[axis] = output_size(s.window, axis, s.in[axis]);
      cells_in *= s.in[axis];
      cells_out *= out[axis];
      taps *= s.window.kernel[axis];
    }
    x = s.batch * cells_in * s.channels;
    y = s.batch * cells_out * s.out_channels;
    w = s.out_channels * taps * in_group;
  }
  std::int64_t out[kMaxSpatial] = {1, 1, 1};
  std::int64_t in_group, per, cells_in = 1, cells_out = 1, taps = 1;
  std::int64_t x, y, w;
};

// body(input cell, output cell, tap) for all that meet.
template <class Body>
void for_each_meeting(const ConvSpec& s, const Sizes& sizes, const Body& body) {
  for (std::int64_t o = 0; o < sizes.cells_out; ++o)
    for (std::int64_t tap = 0; tap < sizes.taps; ++tap) {
      std::int64_t cell = 0;
      bool inside = true;
      std::int64_t rest_o = sizes.cells_out;
      std::int64_t rest_t = sizes.taps;
      for (int axis = 0; axis < s.window.rank; ++axis) {
        rest_o /= sizes.out[axis];
        rest_t /= s.window.kernel[axis];
        const std::int64_t i = o / rest_o % sizes.out[axis] * s.window.stride[axis] -
                               s.window.pad_begin[axis] +
                               tap / rest_t % s.window.kernel[axis] * s.window.dilation[axis];
        inside = inside && i >= 0 && i < s.in[axis];
        cell = cell * s.in[axis] + i;
      }
      if (inside) body(cell, o, tap);
    }
}

// Each product of x, w and y's places, once: add(place in x, in w, in y).
template <class Add>
void for_each_product(const ConvSpec& s, const Sizes& sizes, const Add& add) {
  for_each_meeting(s, sizes, [&](std::int64_t cell, std::int64_t o, std::int64_t tap) {
    for (std::int64_t n = 0; n < s.batch; ++n)
      for (std::int64_t out = 0; out < s.out_channels; ++out)
        for (std::int64_t c = 0; c < sizes.in_group; ++c)
          add(at((n * sizes.cells_in + cell) * s.channels + out / sizes.per * sizes.in_group + c),
              at((out * sizes.taps + tap) * sizes.in_group + c),
              at((n * sizes.cells_out + o) * s.out_channels + out));
  });
}

void run(Device& device, Report& report, const ConvSpec& s, const char* what, double tolerance) {
  const Sizes sizes(s);
  Draw draw(static_cast<std::uint64_t>(s.channels * 37 + s.out_channels));
  const Floats x = draw.floats(sizes.x);
  const Floats w = draw.floats(sizes.w);
  const Floats dy = draw.floats(sizes.y);
  Doubles y(at(sizes.y)), dx(at(sizes.x)), dw(at(sizes.w));
  for_each_product(s, sizes, [&](std::size_t i, std::size_t k, std::size_t o) {
    y[o] += static_cast<double>(x[i]) * static_cast<double>(w[k]);
    dx[i] += static_cast<double>(dy[o]) * static_cast<double>(w[k]);
    dw[k] += static_cast<double>(x[i]) * static_cast<double>(dy[o]);
  });

  const auto plan = device.plan_training(s);
  const Buffer workspace(device, plan->workspace_bytes());
  const OnDevice on_x(device, x), on_w(device, w), on_dy(device, dy);
  const auto forward = poisoned(device, sizes.y);
  const auto data = poisoned(device, sizes.x);
  const auto weights = poisoned(device, sizes.w);
  const auto queue = [&](Stream stream) {
    plan->forward(stream, on_x.get(), on_w.get(), forward.get(), workspace.data());
    plan->backward_data(stream, on_dy.get(), on_w.get(), data.get(), workspace.data());
    plan->backward_weights(stream, on_x.get(), on_dy.get(), weights.get(), workspace.data());
  };
  queue({});
  device.synchronize({});
  // The error grows with the root of what is added up.
  const auto close = [&](const char* name, const Floats& got, const Doubles& want, double terms) {
    report.close(std::string("trained conv ") + name + ", " + what, got, want, tolerance,
                 tolerance * std::sqrt(terms));
  };
  const Floats first[] = {forward.read(), data.read(), weights.read()};
  const auto taps = static_cast<double>(sizes.taps);
  close("forward", first[0], y, taps * static_cast<double>(sizes.in_group));
  close("backward data", first[1], dx, taps * static_cast<double>(sizes.per));
  close("backward weights", first[2], dw, static_cast<double>(s.batch * sizes.cells_out));

  // Once more, as a training does it: recorded, and over what the last step has left.
  const Stream stream = device.make_stream();
  const auto graph = device.capture(stream, [&] { queue(stream); });
  for (const auto* out : {&forward, &data, &weights})
    device.zero(stream, out->get(), out->bytes());
  if (graph != nullptr)
    graph->launch(stream);
  else
    queue(stream);
  device.synchronize(stream);
  const std::string again = std::string("trained conv, recorded, ") + what;
  report.equal(again, forward.read(), first[0]);
  report.equal(again, data.read(), first[1]);
  report.equal(again, weights.read(), first[2]);
  device.release(stream);
}

} // namespace

void check_conv_training(Device& device, Report& report, double tolerance) {
  const auto check = [&](const char* what, const ConvSpec& s) {
    run(device, report, s, what, tolerance);
  };
  check("3x3, one channel",
        {.batch = 5,
         .channels = 1,
         .out_channels = 32,
         .in = {14, 13},
         .window = {.rank = 2, .kernel = {3, 3}, .pad_begin = {1, 1}, .pad_end = {1, 1}}});
  check("3x3, 32 channels",
        {.batch = 7,
         .channels = 32,
         .out_channels = 64,
         .in = {7, 9},
         .window = {.rank = 2, .kernel = {3, 3}, .pad_begin = {1, 1}, .pad_end = {1, 1}}});
  check("strides, dilation, uneven pads, odd channels", {.batch = 3,
                                                         .channels = 5,
                                                         .out_channels = 7,
                                                         .in = {19, 16},
                                                         .window = {.rank = 2,
                                                                    .kernel = {5, 3},
                                                                    .stride = {2, 3},
                                                                    .dilation = {1, 2},
                                                                    .pad_begin = {2, 0},
                                                                    .pad_end = {1, 3}}});
  check("a stride that leaves input cells out",
        {.batch = 2,
         .channels = 4,
         .out_channels = 4,
         .in = {12, 12},
         .window = {.rank = 2, .kernel = {2, 2}, .stride = {5, 4}}});
  check("groups",
        {.batch = 4,
         .channels = 12,
         .out_channels = 8,
         .groups = 4,
         .in = {10, 8},
         .window = {.rank = 2, .kernel = {3, 3}, .pad_begin = {0, 1}, .pad_end = {1, 1}}});
  check("depthwise",
        {.batch = 2,
         .channels = 24,
         .out_channels = 24,
         .groups = 24,
         .in = {9, 11},
         .window = {.rank = 2, .kernel = {3, 3}, .pad_begin = {1, 1}, .pad_end = {1, 1}}});
  check("1x1", {.batch = 6,
                .channels = 40,
                .out_channels = 24,
                .in = {6, 5},
                .window = {.rank = 2, .kernel = {1, 1}}});
  check("one axis",
        {.batch = 3,
         .channels = 6,
         .out_channels = 10,
         .in = {50},
         .window = {.rank = 1, .kernel = {4}, .stride = {2}, .pad_begin = {3}, .pad_end = {1}}});
  check("one axis, groups",
        {.batch = 1,
         .channels = 6,
         .out_channels = 9,
         .groups = 3,
         .in = {31},
         .window = {.rank = 1, .kernel = {5}, .dilation = {2}, .pad_begin = {4}, .pad_end = {4}}});
  check("three axes", {.batch = 2,
                       .channels = 3,
                       .out_channels = 5,
                       .in = {6, 7, 5},
                       .window = {.rank = 3,
                                  .kernel = {2, 3, 3},
                                  .stride = {1, 2, 1},
                                  .pad_begin = {0, 1, 1},
                                  .pad_end = {1, 1, 1}}});
  check("three axes, groups",
        {.batch = 2,
         .channels = 8,
         .out_channels = 16,
         .groups = 2,
         .in = {5, 5, 5},
         .window = {.rank = 3, .kernel = {3, 3, 3}, .pad_begin = {1, 1, 1}, .pad_end = {1, 1, 1}}});

  // An empty batch has no gradient.
  const ConvSpec none{.batch = 0,
                      .channels = 3,
                      .out_channels = 4,
                      .in = {5, 5},
                      .window = {.rank = 2, .kernel = {3, 3}}};
  const auto plan = device.plan_training(none);
  const Buffer workspace(device, plan->workspace_bytes());
  const auto x = poisoned(device, 1);
  const auto dw = poisoned(device, Sizes(none).w);
  plan->forward({}, x.get(), dw.get(), x.get(), workspace.data());
  plan->backward_weights({}, x.get(), x.get(), dw.get(), workspace.data());
  device.synchronize({});
  report.equal("trained conv of no images", dw.read(), Floats(at(Sizes(none).w), 0.0F));

  const auto refuse = [&](const char* what, const ConvSpec& spec) {
    report.refuses(what, ErrorKind::invalid, [&] { (void)device.plan_training(spec); });
  };
  refuse("a bias in a trained convolution", {.bias = true});
  refuse("an activation in a trained convolution", {.activation = Activation::relu});
  refuse("a trained convolution of bf16", {.dtype = DType::bf16});
  refuse("a trained window that does not fit",
         {.in = {2, 2}, .window = {.rank = 2, .kernel = {3, 3}}});
}

} // namespace mlp::kernels::check
