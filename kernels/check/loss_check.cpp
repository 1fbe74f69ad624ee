// Losses with gradients, class weights and what they add up; softmax.
#include "kernels/check/check.hpp"

#include <algorithm>
#include <cmath>

namespace mlp::kernels::check {

namespace {

Doubles softmax_of(const Floats& x, std::int64_t rows, std::int64_t cols) {
  Doubles out;
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* row = x.data() + r * cols;
    const auto top = static_cast<double>(*std::max_element(row, row + cols));
    double sum = 0.0;
    for (std::int64_t c = 0; c < cols; ++c)
      sum += std::exp(static_cast<double>(row[c]) - top);
    for (std::int64_t c = 0; c < cols; ++c)
      out.push_back(std::exp(static_cast<double>(row[c]) - top) / sum);
  }
  return out;
}

void check_stats(Report& report, const std::string& name, const LossStats& got,
                 const LossStats& want) {
  report.close(name + " stats",
               Floats{static_cast<float>(got.loss), static_cast<float>(got.weight),
                      static_cast<float>(got.correct), static_cast<float>(got.rows)},
               Doubles{want.loss, want.weight, want.correct, want.rows}, 1e-5, 1e-5);
}

void cross_entropy(Device& device, Report& report, std::int64_t rows, std::int64_t classes,
                   bool weighted, float reach) {
  Draw draw(static_cast<std::uint64_t>(rows + classes));
  const Floats logits = draw.floats(rows * classes, -reach, reach);
  const auto labels = draw.integers(rows, static_cast<std::uint32_t>(classes));
  const Floats weights = draw.floats(classes, 0.5F, 3.0F);
  const auto weight_of = [&](std::int64_t r) {
    const auto label = static_cast<std::size_t>(labels[static_cast<std::size_t>(r)]);
    return weighted ? static_cast<double>(weights[label]) : 1.0;
  };
  LossStats want{.loss = 1.0, .weight = 2.0, .correct = 3.0, .rows = 4.0}; // it is added to
  const LossStats before = want;
  double total = 0.0;
  for (std::int64_t r = 0; r < rows; ++r)
    total += weight_of(r);
  Doubles gradient = softmax_of(logits, rows, classes);
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* row = logits.data() + r * classes;
    double* g = gradient.data() + r * classes;
    const std::int32_t label = labels[static_cast<std::size_t>(r)];
    const auto top = static_cast<double>(*std::max_element(row, row + classes));
    double sum = 0.0;
    for (std::int64_t c = 0; c < classes; ++c)
      sum += std::exp(static_cast<double>(row[c]) - top);
    want.loss += weight_of(r) * (std::log(sum) + top - static_cast<double>(row[label]));
    want.weight += weight_of(r);
    want.correct += std::max_element(row, row + classes) - row == label ? 1.0 : 0.0;
    g[label] -= 1.0;
    for (std::int64_t c = 0; c < classes; ++c)
      g[c] *= weight_of(r) / total;
  }
  want.rows += static_cast<double>(rows);

  const OnDevice d_logits(device, logits), d_weights(device, weights);
  const OnDevice d_labels(device, labels);
  const OnDevice stats(device, std::vector<LossStats>{before});
  const OnDevice only(device, std::vector<LossStats>{before});
  const float* w = weighted ? d_weights.get() : nullptr;
  device.softmax_cross_entropy({}, rows, classes, d_logits.get(), d_labels.get(), w, nullptr,
                               only.get());
  device.softmax_cross_entropy({}, rows, classes, d_logits.get(), d_labels.get(), w, d_logits.get(),
                               stats.get());
  device.synchronize({});
  const std::string name = "cross-entropy " + std::to_string(rows) + "x" + std::to_string(classes);
  report.close(name, d_logits.read(), gradient, 1e-4, 1e-7);
  check_stats(report, name, stats.read()[0], want);
  check_stats(report, name + " without gradient", only.read()[0], want);
}

void regression(Device& device, Report& report, std::int64_t rows, std::int64_t cols) {
  Draw draw(static_cast<std::uint64_t>(rows + 5 * cols));
  const Floats p = draw.floats(rows * cols, -3.0F, 3.0F);
  const Floats t = draw.floats(rows * cols, -3.0F, 3.0F);
  constexpr float kDelta = 0.75F;
  const double count = static_cast<double>(rows * cols);
  Doubles squared;
  Doubles hubers;
  LossStats squared_want{.weight = count, .rows = static_cast<double>(rows)};
  LossStats huber_want = squared_want;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double d = static_cast<double>(p[i]) - static_cast<double>(t[i]);
    const double a = std::fabs(d);
    const auto delta = static_cast<double>(kDelta);
    squared_want.loss += d * d;
    squared.push_back(2.0 * d / count);
    huber_want.loss += a <= delta ? 0.5 * d * d : delta * (a - 0.5 * delta);
    hubers.push_back((a <= delta ? d : std::copysign(delta, d)) / count);
  }
  const OnDevice dp(device, p), dt(device, t);
  const OnDevice squared_stats(device, std::vector<LossStats>(1));
  const OnDevice huber_stats(device, std::vector<LossStats>(1));
  const auto g = poisoned(device, rows * cols);
  device.squared_error({}, rows, cols, dp.get(), dt.get(), g.get(), squared_stats.get());
  device.synchronize({});
  report.close("squared error", g.read(), squared);
  check_stats(report, "squared error", squared_stats.read()[0], squared_want);
  device.huber({}, rows, cols, kDelta, dp.get(), dt.get(), g.get(), huber_stats.get());
  device.synchronize({});
  report.close("huber", g.read(), hubers);
  check_stats(report, "huber", huber_stats.read()[0], huber_want);
}

} // namespace

void check_loss(Device& device, Report& report) {
  const std::int64_t shapes[][2] = {{1, 2}, {128, 10}, {37, 300}, {1000, 3}, {5, 1024}, {6, 2000}};
  for (const auto& [rows, classes] : shapes)
    for (const bool weighted : {false, true})
      for (const float reach : {2.0F, 80.0F}) // far beyond what exp() alone could take
        cross_entropy(device, report, rows, classes, weighted, reach);
  regression(device, report, 128, 1);
  regression(device, report, 77, 13);

  Draw draw(3);
  for (const std::int64_t cols : {4, 9, 130, 3000}) {
    const Floats x = draw.floats(45 * cols, -50.0F, 50.0F);
    const OnDevice dx(device, x);
    device.softmax({}, 45, cols, dx.get(), dx.get());
    device.synchronize({});
    report.close("softmax", dx.read(), softmax_of(x, 45, cols), 1e-5, 1e-7);
  }
  const OnDevice dx(device, Floats(1));
  report.refuses("huber with a delta of 0", ErrorKind::invalid,
                 [&] { device.huber({}, 1, 1, 0.0F, dx.get(), dx.get(), nullptr, nullptr); });
}

} // namespace mlp::kernels::check
