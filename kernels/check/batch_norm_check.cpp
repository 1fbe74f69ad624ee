// Batch normalisation: training with its running statistics, gradients, inference.
#include "kernels/check/check.hpp"

#include <cmath>

namespace mlp::kernels::check {

namespace {

void run(Device& device, Report& report, std::int64_t rows, std::int64_t cols) {
  Draw draw(static_cast<std::uint64_t>(rows * 3 + cols));
  const BatchNormSpec s{.rows = rows, .cols = cols, .momentum = 0.25F};
  const Floats x = draw.floats(rows * cols, 4.0F, 6.0F); // a mean that is large for its spread
  const Floats dy = draw.floats(rows * cols);
  const Floats gamma = draw.floats(cols, 0.5F, 2.0F);
  const Floats beta = draw.floats(cols);
  const Floats mean0 = draw.floats(cols);
  const Floats var0 = draw.floats(cols, 0.5F, 1.0F);

  const auto n = static_cast<std::size_t>(rows * cols);
  const auto m = static_cast<std::size_t>(cols);
  const auto count = static_cast<double>(rows);
  Doubles y(n), dx(n), dgamma(m), dbeta(m), running_mean(m), running_var(m), inference(n);
  for (std::size_t c = 0; c < m; ++c) {
    const auto column = [&](const Floats& v, std::int64_t r) {
      return static_cast<double>(v[static_cast<std::size_t>(r) * m + c]);
    };
    double mean = 0.0;
    double square = 0.0;
    for (std::int64_t r = 0; r < rows; ++r)
      mean += column(x, r) / count;
    for (std::int64_t r = 0; r < rows; ++r)
      square += (column(x, r) - mean) * (column(x, r) - mean);
    const double inverse = 1.0 / std::sqrt(square / count + static_cast<double>(s.epsilon));
    const auto old_mean = static_cast<double>(mean0[c]);
    const auto old_var = static_cast<double>(var0[c]);
    running_mean[c] = 0.75 * old_mean + 0.25 * mean;
    running_var[c] = rows > 1 ? 0.75 * old_var + 0.25 * square / (count - 1.0) : old_var;
    const auto g = static_cast<double>(gamma[c]);
    for (std::int64_t r = 0; r < rows; ++r) {
      dbeta[c] += column(dy, r);
      dgamma[c] += column(dy, r) * (column(x, r) - mean) * inverse;
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::size_t i = static_cast<std::size_t>(r) * m + c;
      const double normal = (column(x, r) - mean) * inverse;
      y[i] = normal * g + static_cast<double>(beta[c]);
      dx[i] = g * inverse * (column(dy, r) - dbeta[c] / count - normal * dgamma[c] / count);
      inference[i] =
          (column(x, r) - old_mean) / std::sqrt(old_var + static_cast<double>(s.epsilon)) * g +
          static_cast<double>(beta[c]);
    }
  }

  const OnDevice d_x(device, x), d_dy(device, dy), d_gamma(device, gamma), d_beta(device, beta);
  const OnDevice d_mean0(device, mean0), d_var0(device, var0);
  const auto d_mean = poisoned(device, cols);
  const auto d_inv = poisoned(device, cols);
  const auto d_y = poisoned(device, rows * cols);
  const auto d_inference = poisoned(device, rows * cols);
  const auto d_dgamma = poisoned(device, cols);
  const auto d_dbeta = poisoned(device, cols);
  device.batch_norm_inference({}, rows, cols, 1, s.epsilon, d_x.get(), d_gamma.get(), d_beta.get(),
                              d_mean0.get(), d_var0.get(), d_inference.get());
  device.batch_norm({}, s, d_x.get(), d_gamma.get(), d_beta.get(), d_mean0.get(), d_var0.get(),
                    d_mean.get(), d_inv.get(), d_y.get());
  device.batch_norm_backward({}, s, d_x.get(), d_gamma.get(), d_mean.get(), d_inv.get(), d_dy.get(),
                             d_dy.get(), d_dgamma.get(), d_dbeta.get());
  device.synchronize({});
  const std::string name = "batch norm " + std::to_string(rows) + "x" + std::to_string(cols);
  report.close(name, d_y.read(), y, 1e-4, 2e-5);
  report.close(name + " running mean", d_mean0.read(), running_mean);
  report.close(name + " running variance", d_var0.read(), running_var, 1e-4);
  report.close(name + " gradient", d_dy.read(), dx, 1e-3, 5e-4);
  report.close(name + " gamma", d_dgamma.read(), dgamma, 1e-4, 2e-3);
  report.close(name + " beta", d_dbeta.read(), dbeta, 1e-5, 1e-5);
  report.close(name + " inference", d_inference.read(), inference, 1e-5, 1e-5);
}

} // namespace

void check_batch_norm(Device& device, Report& report) {
  const std::int64_t shapes[][2] = {{2, 1}, {128, 256}, {33, 70}, {500, 3}};
  for (const auto& [rows, cols] : shapes)
    run(device, report, rows, cols);

  // One row has no variance: the output is beta, the running variance stays.
  const OnDevice x(device, Floats{5.0F}), gamma(device, Floats{2.0F}), beta(device, Floats{0.5F});
  const OnDevice mean(device, Floats{0.0F}), var(device, Floats{1.0F});
  const auto saved = poisoned(device, 1);
  const auto inverse = poisoned(device, 1);
  const auto y = poisoned(device, 1);
  device.batch_norm({}, {.rows = 1, .cols = 1}, x.get(), gamma.get(), beta.get(), mean.get(),
                    var.get(), saved.get(), inverse.get(), y.get());
  device.synchronize({});
  report.close("batch norm of one row", y.read(), Doubles{0.5});
  report.close("batch norm of one row, variance", var.read(), Doubles{1.0});

  // Channels that are not the last axis.
  const OnDevice image(device, Floats{1, 2, 3, 4, 5, 6, 7, 8});
  const OnDevice g(device, Floats{1.0F, 2.0F}), b(device, Floats{0.0F, 1.0F});
  const OnDevice m(device, Floats{0.0F, 1.0F}), v(device, Floats{1.0F, 4.0F});
  const auto out = poisoned(device, 8);
  device.batch_norm_inference({}, 2, 2, 2, 0.0F, image.get(), g.get(), b.get(), m.get(), v.get(),
                              out.get());
  device.synchronize({});
  report.close("batch norm of planes", out.read(), Doubles{1, 2, 3, 4, 5, 6, 7, 8});
}

} // namespace mlp::kernels::check
