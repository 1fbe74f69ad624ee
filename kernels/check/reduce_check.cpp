// Reductions over an axis and layer normalisation, against float64.
#include "kernels/check/check.hpp"

#include <cmath>
#include <limits>

namespace mlp::kernels::check {

namespace {

constexpr Reduce kKinds[] = {
    Reduce::sum,          Reduce::mean,       Reduce::product, Reduce::largest, Reduce::smallest,
    Reduce::absolute_sum, Reduce::square_sum, Reduce::norm,    Reduce::log_sum,
};

double start(Reduce kind) {
  if (kind == Reduce::product) return 1.0;
  if (kind == Reduce::largest) return -std::numeric_limits<double>::infinity();
  if (kind == Reduce::smallest) return std::numeric_limits<double>::infinity();
  return 0.0;
}
double fold(Reduce kind, double s, double x) {
  switch (kind) {
  case Reduce::product:
    return s * x;
  case Reduce::largest:
    return std::isnan(s) || std::isnan(x) ? std::nan("") : std::max(s, x);
  case Reduce::smallest:
    return std::isnan(s) || std::isnan(x) ? std::nan("") : std::min(s, x);
  case Reduce::absolute_sum:
    return s + std::fabs(x);
  case Reduce::square_sum:
  case Reduce::norm:
    return s + x * x;
  default:
    return s + x;
  }
}
double finish(const ReduceSpec& spec, double s) {
  if (spec.kind == Reduce::mean) return s / static_cast<double>(spec.count);
  if (spec.kind == Reduce::norm) return std::sqrt(s);
  return spec.kind == Reduce::log_sum ? std::log(s) : s;
}

void reduce(Device& device, Report& report, const ReduceSpec& s, bool with_nan, bool shifted) {
  Draw draw(static_cast<std::uint64_t>(s.count * 31 + s.inner));
  Floats x = draw.floats(s.outer * s.count * s.inner, 0.7F, 1.3F);
  if (s.kind != Reduce::log_sum && s.kind != Reduce::product)
    for (std::size_t i = 0; i < x.size(); i += 2)
      x[i] = -x[i];
  if (with_nan) x[x.size() / 2] = std::numeric_limits<float>::quiet_NaN();
  Doubles want;
  for (std::int64_t o = 0; o < s.outer; ++o)
    for (std::int64_t i = 0; i < s.inner; ++i) {
      double state = start(s.kind);
      for (std::int64_t k = 0; k < s.count; ++k)
        state =
            fold(s.kind, state,
                 static_cast<double>(x[static_cast<std::size_t>((o * s.count + k) * s.inner + i)]));
      want.push_back(finish(s, state));
    }
  const std::int64_t shift = shifted ? 1 : 0;
  x.insert(x.begin(), static_cast<std::size_t>(shift), 1e30F);
  const OnDevice dx(device, x);
  const auto y = poisoned(device, s.outer * s.inner);
  device.reduce({}, s, dx.get() + shift, y.get());
  device.synchronize({});
  const Floats got = y.read();
  report.close("reduction " + std::to_string(static_cast<int>(s.kind)) + " of " +
                   std::to_string(s.outer) + " x " + std::to_string(s.count) + " x " +
                   std::to_string(s.inner),
               got, want, 1e-6, 1e-6);
  if (with_nan) return;
  device.reduce({}, s, dx.get() + shift, y.get());
  device.synchronize({});
  if (s.count > 0 || s.kind != Reduce::mean)
    report.equal("the same reduction a second time", y.read(), got);
}

void reductions(Device& device, Report& report) {
  const ReduceSpec shapes[] = {
      {.outer = 1, .count = 1, .inner = 1},      {.outer = 5, .count = 7, .inner = 1},
      {.outer = 77, .count = 64, .inner = 1},    {.outer = 3, .count = 1024, .inner = 1},
      {.outer = 2, .count = 5003, .inner = 1},   {.outer = 1, .count = 70'000, .inner = 1},
      {.outer = 4, .count = 9, .inner = 5},      {.outer = 2, .count = 300, .inner = 40},
      {.outer = 1, .count = 20'000, .inner = 3}, {.outer = 6, .count = 1, .inner = 33},
      {.outer = 301, .count = 2, .inner = 1},    {.outer = 129, .count = 4, .inner = 1},
      {.outer = 67, .count = 8, .inner = 1},     {.outer = 33, .count = 13, .inner = 1},
      {.outer = 19, .count = 32, .inner = 1},    {.outer = 9, .count = 33, .inner = 1},
  };
  for (const Reduce kind : kKinds)
    for (ReduceSpec s : shapes) {
      if (kind == Reduce::product && s.count > 1000) continue;
      s.kind = kind;
      reduce(device, report, s, false, false);
      reduce(device, report, s, false, true);
      reduce(device, report, s, true, false);
    }
  for (const Reduce kind : kKinds)
    for (const std::int64_t inner : {1, 3}) {
      const ReduceSpec s{.kind = kind, .outer = 4, .count = 0, .inner = inner};
      reduce(device, report, s, false, false);
    }
  device.reduce({}, {.outer = 0, .count = 3}, nullptr, nullptr); // nothing to do
  report.refuses("a reduction of a negative size", ErrorKind::invalid,
                 [&] { device.reduce({}, {.count = -1}, nullptr, nullptr); });
  report.refuses("a reduction of no kind", ErrorKind::invalid,
                 [&] { device.reduce({}, {.kind = static_cast<Reduce>(99)}, nullptr, nullptr); });
}

void layer_norm(Device& device, Report& report, std::int64_t rows, std::int64_t cols, bool gamma,
                bool beta, float center, bool in_place, std::int64_t shift) {
  Draw draw(static_cast<std::uint64_t>(rows * cols));
  const Floats x = draw.floats(rows * cols + shift, center - 1.0F, center + 2.0F);
  const Floats scale = draw.floats(cols), bias = draw.floats(cols);
  Doubles want;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* row = x.data() + shift + r * cols;
    double mean = 0.0, squares = 0.0;
    for (std::int64_t c = 0; c < cols; ++c)
      mean += static_cast<double>(row[c]) / static_cast<double>(cols);
    for (std::int64_t c = 0; c < cols; ++c)
      squares += (static_cast<double>(row[c]) - mean) * (static_cast<double>(row[c]) - mean);
    const double deviation =
        std::sqrt(squares / static_cast<double>(cols) + static_cast<double>(1e-5F));
    for (std::int64_t c = 0; c < cols; ++c) {
      const auto k = static_cast<std::size_t>(c);
      want.push_back((static_cast<double>(row[c]) - mean) / deviation *
                         (gamma ? static_cast<double>(scale[k]) : 1.0) +
                     (beta ? static_cast<double>(bias[k]) : 0.0));
    }
  }
  const OnDevice dx(device, x), d_scale(device, scale), d_bias(device, bias);
  const auto y = poisoned(device, rows * cols + shift);
  float* to = (in_place ? dx.get() : y.get()) + shift;
  device.layer_norm({}, rows, cols, 1e-5F, dx.get() + shift, gamma ? d_scale.get() : nullptr,
                    beta ? d_bias.get() : nullptr, to);
  device.synchronize({});
  const Floats all = (in_place ? dx : y).read();
  const double tolerance = 4e-6 * (1.0 + static_cast<double>(std::fabs(center)));
  report.close("layer normalisation of " + std::to_string(cols) + " columns",
               std::span(all).subspan(static_cast<std::size_t>(shift)), want, 2e-5, tolerance);
}

} // namespace

void check_reduce(Device& device, Report& report) {
  reductions(device, report);
  for (const std::int64_t cols : {1, 3, 32, 100, 127, 200, 384, 768, 1000, 1024, 1030, 1537, 4096})
    for (const std::int64_t rows : {1, 19}) {
      layer_norm(device, report, rows, cols, true, true, 0.0F, false, 0);
      layer_norm(device, report, rows, cols, true, false, 10.0F, true, 0);
      layer_norm(device, report, rows, cols, false, true, 0.0F, false, 1);
    }
  layer_norm(device, report, 4, 64, false, false, 1000.0F, false, 0);
  device.layer_norm({}, 0, 8, 1e-5F, nullptr, nullptr, nullptr, nullptr); // nothing to do
  report.refuses("a layer normalisation of a negative size", ErrorKind::invalid,
                 [&] { device.layer_norm({}, 2, -1, 1e-5F, nullptr, nullptr, nullptr, nullptr); });
}

} // namespace mlp::kernels::check
