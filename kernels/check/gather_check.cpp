// Batch assembly and sums over rows.
#include "kernels/check/check.hpp"

namespace mlp::kernels::check {

namespace {

constexpr std::int64_t kRows = 300;

void run(Device& device, Report& report, DType source, bool affine, bool per_column,
         std::int64_t cols) {
  Draw draw(static_cast<std::uint64_t>(cols));
  const Floats values = draw.floats(kRows * cols, 0.0F, 255.0F);
  const std::vector<std::uint8_t> pixels(values.begin(), values.end());
  const Floats mean = draw.floats(per_column ? cols : 1, 0.0F, 100.0F);
  const Floats scale = draw.floats(per_column ? cols : 1, 0.01F, 1.0F);
  const auto order = draw.integers(200, kRows);
  const StepState at{.first_row = 50};
  const std::int64_t rows = 130;
  Doubles want;
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t c = 0; c < cols; ++c) {
      const auto row = static_cast<std::int64_t>(order[static_cast<std::size_t>(50 + i)]);
      const auto cell = static_cast<std::size_t>(row * cols + c);
      const auto k = static_cast<std::size_t>(per_column ? c : 0);
      const double value = source == DType::u8 ? static_cast<double>(pixels[cell])
                                               : static_cast<double>(values[cell]);
      want.push_back(affine ? (value - static_cast<double>(mean[k])) * static_cast<double>(scale[k])
                            : value);
    }
  const OnDevice d_values(device, values), d_mean(device, mean), d_scale(device, scale);
  const OnDevice d_pixels(device, pixels);
  const OnDevice d_order(device, order);
  const OnDevice state(device, std::vector<StepState>{at});
  const void* from =
      source == DType::u8 ? static_cast<const void*>(d_pixels.get()) : d_values.get();
  const auto out = poisoned(device, rows * cols);
  device.gather(
      {},
      {.rows = rows, .cols = cols, .source = source, .affine = affine, .per_column = per_column},
      state.get(), from, d_order.get(), d_mean.get(), d_scale.get(), out.get());
  device.synchronize({});
  report.close("gather of " + std::to_string(cols) + " columns", out.read(), want, 1e-5, 1e-5);
}

} // namespace

void check_gather(Device& device, Report& report) {
  for (const DType source : {DType::u8, DType::f32})
    for (const std::int64_t cols : {1, 9, 784}) {
      run(device, report, source, false, true, cols);
      run(device, report, source, true, true, cols);
      run(device, report, source, true, false, cols);
    }
  const OnDevice labels(device, std::vector<std::int32_t>{7, 8, 9, 1'000'000'007});
  const OnDevice order(device, std::vector<std::int32_t>{3, 0});
  const OnDevice out(device, std::vector<std::int32_t>(2));
  device.gather({}, {.rows = 2, .cols = 1, .source = DType::i32}, nullptr, labels.get(),
                order.get(), nullptr, nullptr, out.get());
  device.synchronize({});
  report.expect("gather of labels", out.read() == std::vector<std::int32_t>{1'000'000'007, 7});
  report.refuses("gather of i64", ErrorKind::unsupported, [&] {
    device.gather({}, {.rows = 1, .cols = 1, .source = DType::i64}, nullptr, labels.get(), nullptr,
                  nullptr, nullptr, out.get());
  });

  Draw draw(9);
  const std::int64_t shapes[][2] = {{150, 1},    {150, 10}, {150, 700},
                                    {20'000, 8}, {5000, 3}, {0, 6}};
  for (const auto& [rows, cols] : shapes) {
    const Floats x = draw.floats(rows * cols);
    Doubles want(static_cast<std::size_t>(cols));
    for (std::size_t i = 0; i < x.size(); ++i)
      want[i % want.size()] += static_cast<double>(x[i]);
    const OnDevice dx(device, x);
    const auto sum = poisoned(device, cols);
    device.sum_rows({}, rows, cols, dx.get(), sum.get());
    device.synchronize({});
    const Floats got = sum.read();
    report.close("sum over rows", got, want, 2e-5, rows > 1000 ? 1e-3 : 1e-5);
    device.sum_rows({}, rows, cols, dx.get(), sum.get());
    device.synchronize({});
    report.equal("the same sum over rows a second time", sum.read(), got);
  }
}

} // namespace mlp::kernels::check
