// Pooling against a plain walk over all cells, pads included; and ONNX's output sizes.
#include "kernels/check/check.hpp"

#include <cmath>
#include <limits>

namespace mlp::kernels::check {

namespace {

// Two axes are enough for a reference: the first of three and the only one of one are alike.
Doubles reference(const PoolSpec& s, const Floats& x) {
  const Window& w = s.window;
  Doubles y;
  for (std::int64_t plane = 0; plane < s.batch * s.channels; ++plane)
    for (std::int64_t i = 0; i < s.out[0]; ++i)
      for (std::int64_t j = 0; j < s.out[1]; ++j) {
        double best = static_cast<double>(std::numeric_limits<float>::lowest());
        double sum = 0.0;
        int inside = 0;
        int padded = 0;
        for (std::int64_t a = 0; a < w.kernel[0]; ++a)
          for (std::int64_t b = 0; b < w.kernel[1]; ++b) {
            const std::int64_t p = i * w.stride[0] - w.pad_begin[0] + a * w.dilation[0];
            const std::int64_t q = j * w.stride[1] - w.pad_begin[1] + b * w.dilation[1];
            if (p < s.in[0] + w.pad_end[0] && q < s.in[1] + w.pad_end[1]) ++padded;
            if (p < 0 || q < 0 || p >= s.in[0] || q >= s.in[1]) continue;
            const auto value = static_cast<double>(
                x[static_cast<std::size_t>((plane * s.in[0] + p) * s.in[1] + q)]);
            best = std::isnan(value) ? value : (value > best ? value : best);
            sum += value;
            ++inside;
          }
        const int count = s.kind == Pool::average ? inside : padded;
        y.push_back(s.kind == Pool::max ? best : (count == 0 ? 0.0 : sum / count));
      }
  return y;
}

void run(Device& device, Report& report, PoolSpec s, bool ceil, const char* what) {
  Draw draw(11);
  for (int axis = 0; axis < s.window.rank; ++axis)
    s.out[axis] = output_size(s.window, axis, s.in[axis], ceil);
  Floats x = draw.floats(s.batch * s.channels * s.in[0] * s.in[1]);
  const OnDevice dx(device, x);
  for (const Pool kind : {Pool::max, Pool::average, Pool::average_with_padding}) {
    s.kind = kind;
    const auto y = poisoned(device, s.batch * s.channels * s.out[0] * s.out[1]);
    device.pool({}, s, dx.get(), y.get());
    device.synchronize({});
    report.close(std::string("pool ") + what, y.read(), reference(s, x));
  }
}

} // namespace

void check_pool(Device& device, Report& report) {
  run(device, report,
      {.batch = 3,
       .channels = 5,
       .in = {28, 28},
       .window = {.rank = 2, .kernel = {2, 2}, .stride = {2, 2}}},
      false, "2x2");
  run(device, report,
      {.batch = 2,
       .channels = 7,
       .in = {13, 17},
       .window = {.rank = 2,
                  .kernel = {3, 4},
                  .stride = {2, 3},
                  .dilation = {2, 1},
                  .pad_begin = {2, 0},
                  .pad_end = {1, 2}}},
      false, "strides, dilation, uneven pads");
  run(device, report,
      {.batch = 1,
       .channels = 1,
       .in = {4, 4},
       .window = {.rank = 2, .kernel = {3, 3}, .stride = {2, 2}}},
      true, "ceil");
  run(device, report,
      {.batch = 1,
       .channels = 2,
       .in = {10, 10},
       .window =
           {.rank = 2, .kernel = {7, 7}, .stride = {4, 4}, .pad_begin = {3, 3}, .pad_end = {3, 3}}},
      true, "ceil and pads");

  // A NaN in a window is its maximum.
  const OnDevice x(device, Floats{1.0F, __builtin_nanf(""), 2.0F, 3.0F});
  const auto y = poisoned(device, 2);
  device.pool({}, {.in = {4}, .out = {2}, .window = {.rank = 1, .kernel = {2}, .stride = {2}}},
              x.get(), y.get());
  device.synchronize({});
  report.expect("a max over NaN", std::isnan(y.read()[0]) && y.read()[1] == 3.0F);

  // Three axes: an average over everything.
  const OnDevice cube(device, Floats(24, 2.0F));
  const auto mean = poisoned(device, 1);
  device.pool({},
              {.kind = Pool::average,
               .in = {2, 3, 4},
               .out = {1, 1, 1},
               .window = {.rank = 3, .kernel = {2, 3, 4}}},
              cube.get(), mean.get());
  device.synchronize({});
  report.close("pool over three axes", mean.read(), Doubles{2.0});

  const Window w{.rank = 1, .kernel = {3}, .stride = {2}, .pad_end = {1}};
  report.expect("output size, rounded down", output_size(w, 0, 6) == 3);
  report.expect("output size that does not fit", output_size(w, 0, 1) <= 0);
  const Window half{.rank = 1, .kernel = {2}, .stride = {3}, .pad_end = {1}};
  report.expect("a window that would start in the end pad is dropped",
                output_size(half, 0, 3, true) == 1 && output_size(half, 0, 5, true) == 2);
}

} // namespace mlp::kernels::check
