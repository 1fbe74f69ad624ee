// Pooling that is trained, channels last: forward, where the maxima were, and the gradient, against
// a walk over every cell of every window.
#include "kernels/check/check.hpp"

#include <cmath>
#include <limits>

namespace mlp::kernels::check {

namespace {

struct Expected {
  Doubles y, dx;
  std::vector<std::int32_t> index;
};

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

Expected reference(const PoolSpec& s, const Floats& x, const Floats& dy) {
  const Window& w = s.window;
  std::int64_t cells_in = 1;
  std::int64_t cells_out = 1;
  std::int64_t taps = 1;
  for (int axis = 0; axis < w.rank; ++axis) {
    cells_in *= s.in[axis];
    cells_out *= s.out[axis];
    taps *= w.kernel[axis];
  }
  Expected e;
  e.dx.resize(x.size());
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t o = 0; o < cells_out; ++o)
      for (std::int64_t c = 0; c < s.channels; ++c) {
        double best = static_cast<double>(std::numeric_limits<float>::lowest());
        double sum = 0.0;
        std::int64_t where = -1;
        std::int64_t padded = 0;
        std::vector<std::int64_t> inside;
        for (std::int64_t tap = 0; tap < taps; ++tap) {
          std::int64_t cell = 0;
          bool is_inside = true;
          bool is_padded = true;
          std::int64_t rest_o = cells_out;
          std::int64_t rest_t = taps;
          for (int axis = 0; axis < w.rank; ++axis) {
            rest_o /= s.out[axis];
            rest_t /= w.kernel[axis];
            const std::int64_t i = o / rest_o % s.out[axis] * w.stride[axis] - w.pad_begin[axis] +
                                   tap / rest_t % w.kernel[axis] * w.dilation[axis];
            is_inside = is_inside && i >= 0 && i < s.in[axis];
            is_padded = is_padded && i < s.in[axis] + w.pad_end[axis];
            cell = cell * s.in[axis] + i;
          }
          padded += is_padded ? 1 : 0;
          if (!is_inside) continue;
          const auto value = static_cast<double>(x[at((n * cells_in + cell) * s.channels + c)]);
          sum += value;
          if (where < 0 || value > best || (std::isnan(value) && !std::isnan(best))) {
            best = value;
            where = cell;
          }
          inside.push_back(cell);
        }
        const std::int64_t count =
            s.kind == Pool::average ? static_cast<std::int64_t>(inside.size()) : padded;
        const auto gradient = static_cast<double>(dy[e.y.size()]);
        const auto slope = [&](std::int64_t cell) -> double& {
          return e.dx[at((n * cells_in + cell) * s.channels + c)];
        };
        if (s.kind == Pool::max) {
          if (where >= 0) slope(where) += gradient;
        } else {
          for (const std::int64_t cell : inside)
            slope(cell) += gradient / static_cast<double>(count);
        }
        e.y.push_back(s.kind == Pool::max ? best
                      : inside.empty()    ? 0.0
                                          : sum / static_cast<double>(count));
        e.index.push_back(static_cast<std::int32_t>(where));
      }
  return e;
}

void run(Device& device, Report& report, PoolSpec s, bool ceil, const char* what) {
  std::int64_t in = s.batch * s.channels;
  std::int64_t out = s.batch * s.channels;
  for (int axis = 0; axis < s.window.rank; ++axis) {
    s.out[axis] = output_size(s.window, axis, s.in[axis], ceil);
    in *= s.in[axis];
    out *= s.out[axis];
  }
  Draw draw(17);
  Floats x = draw.floats(in);
  // Equal values, so that the first one has to win; and the extremes.
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = std::round(x[i] * 8.0F) / 8.0F;
  const Floats dy = draw.floats(out);
  for (const Pool kind : {Pool::max, Pool::average, Pool::average_with_padding}) {
    s.kind = kind;
    const Expected want = reference(s, x, dy);
    const OnDevice on_x(device, x), on_dy(device, dy);
    const auto y = poisoned(device, out);
    const auto dx = poisoned(device, in);
    const OnDevice index(device, std::vector<std::int32_t>(at(out), -7));
    std::int32_t* indices = kind == Pool::max ? index.get() : nullptr;
    device.pool_training({}, s, on_x.get(), y.get(), indices);
    device.pool_backward({}, s, on_dy.get(), indices, dx.get());
    device.synchronize({});
    report.close(std::string("trained pool ") + what, y.read(), want.y);
    report.close(std::string("trained pool backward ") + what, dx.read(), want.dx);
    if (kind == Pool::max)
      report.expect(std::string("where maxima were, ") + what, index.read() == want.index);
  }
}

} // namespace

void check_pool_training(Device& device, Report& report) {
  const auto check = [&](const char* what, const PoolSpec& s, bool ceil = false) {
    run(device, report, s, ceil, what);
  };
  const Window halves{.rank = 2, .kernel = {2, 2}, .stride = {2, 2}};
  check("2x2", {.batch = 5, .channels = 32, .in = {14, 14}, .window = halves});
  check("2x2, one channel", {.batch = 3, .channels = 1, .in = {9, 12}, .window = halves});
  check("2x2, odd channels", {.batch = 2, .channels = 6, .in = {7, 7}, .window = halves});
  check(
      "windows that overlap",
      {.batch = 2,
       .channels = 8,
       .in = {11, 10},
       .window = {
           .rank = 2, .kernel = {3, 3}, .stride = {2, 1}, .pad_begin = {1, 1}, .pad_end = {1, 1}}});
  check("strides, dilation, uneven pads", {.batch = 2,
                                           .channels = 7,
                                           .in = {13, 17},
                                           .window = {.rank = 2,
                                                      .kernel = {3, 4},
                                                      .stride = {2, 3},
                                                      .dilation = {2, 2},
                                                      .pad_begin = {2, 0},
                                                      .pad_end = {1, 2}}});
  check("a dilation and a stride with a common divisor",
        {.batch = 1,
         .channels = 4,
         .in = {23, 19},
         .window = {.rank = 2, .kernel = {3, 2}, .stride = {4, 3}, .dilation = {6, 4}}});
  check("a stride past the window", {.batch = 1,
                                     .channels = 4,
                                     .in = {12, 13},
                                     .window = {.rank = 2, .kernel = {2, 2}, .stride = {5, 4}}});
  check(
      "ceil and pads",
      {.batch = 1,
       .channels = 12,
       .in = {10, 10},
       .window =
           {.rank = 2, .kernel = {7, 7}, .stride = {4, 4}, .pad_begin = {3, 3}, .pad_end = {3, 3}}},
      true);
  check("one axis",
        {.batch = 4,
         .channels = 5,
         .in = {37},
         .window = {.rank = 1, .kernel = {4}, .stride = {3}, .pad_begin = {2}, .pad_end = {1}}});
  check("three axes",
        {.batch = 2,
         .channels = 4,
         .in = {5, 6, 7},
         .window = {.rank = 3, .kernel = {2, 3, 2}, .stride = {2, 1, 2}, .pad_begin = {0, 1, 0}}});

  // The lowest and not-a-number, the first of two.
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float low = -std::numeric_limits<float>::infinity();
  const OnDevice x(device, Floats{1.0F, nan, nan, 3.0F, low, low});
  const auto y = poisoned(device, 2);
  const OnDevice index(device, std::vector<std::int32_t>(2, -7));
  const PoolSpec s{.in = {6}, .out = {2}, .window = {.rank = 1, .kernel = {3}, .stride = {3}}};
  device.pool_training({}, s, x.get(), y.get(), index.get());
  device.synchronize({});
  report.expect("a trained max over NaN", std::isnan(y.read()[0]) && y.read()[1] == 3.0F);
  const OnDevice lowest(device, Floats(6, low));
  device.pool_training({}, s, lowest.get(), y.get(), index.get());
  device.synchronize({});
  report.expect("a trained max over the lowest",
                y.read()[0] == low && index.read() == std::vector<std::int32_t>{0, 3});
  report.refuses("a trained max pooling without an index", ErrorKind::invalid,
                 [&] { device.pool_training({}, s, x.get(), y.get(), nullptr); });
}

} // namespace mlp::kernels::check
