// kernels_check [cpu|cuda]: runs every check on every device that is here, or on those of a kind;
// exit code 1 if one fails, 77 if there is no device of the kind.
#include "kernels/check/check.hpp"

#include <cmath>
#include <cstdio>
#include <limits>

namespace mlp::kernels::check {

void Report::failed(const std::string& what) {
  ++failures_;
  std::fprintf(stderr, "FAILED on %s: %s\n", device_.c_str(), what.c_str());
}

void Report::expect(const std::string& what, bool good) {
  ++count_;
  if (!good) failed(what);
}

void Report::close(const std::string& what, std::span<const float> got,
                   std::span<const double> want, double relative, double absolute) {
  ++count_;
  if (got.size() != want.size()) return failed(what + ": sizes differ");
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto value = static_cast<double>(got[i]);
    if (value == want[i] || (std::isnan(want[i]) && std::isnan(value))) continue;
    if (std::fabs(value - want[i]) <= absolute + relative * std::fabs(want[i])) continue;
    return failed(what + ": element " + std::to_string(i) + " is " + std::to_string(value) +
                  ", the reference " + std::to_string(want[i]));
  }
}

void Report::equal(const std::string& what, std::span<const float> a, std::span<const float> b) {
  ++count_;
  if (a.size() != b.size()) return failed(what + ": sizes differ");
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(a[i] == b[i])) return failed(what + ": element " + std::to_string(i) + " differs");
}

Floats Draw::floats(std::int64_t count, float low, float high) {
  Floats out(static_cast<std::size_t>(count));
  for (float& value : out)
    value = low + (high - low) * random_.uniform();
  return out;
}

std::vector<std::int32_t> Draw::integers(std::int64_t count, std::uint32_t bound) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(count));
  for (std::int32_t& value : out)
    value = static_cast<std::int32_t>(random_.below(bound));
  return out;
}

OnDevice<float> poisoned(Device& device, std::int64_t count) {
  return {device, Floats(static_cast<std::size_t>(count), std::numeric_limits<float>::quiet_NaN())};
}

namespace {

// Known answers of the authors' distribution of Philox (Random123, kat_vectors).
void check_random_words(Report& report) {
  report.expect("philox of zeros", philox({0, 0, 0, 0}, 0) ==
                                       PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  report.expect("philox of ones",
                philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffffffffffff) ==
                    PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  report.expect("philox of pi",
                philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822) ==
                    PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

} // namespace

void check_random(Report& report) {
  check_random_words(report);
  PhiloxSequence random(1, 2);
  int counts[7] = {};
  for (int i = 0; i < 70000; ++i)
    ++counts[random.below(7)];
  for (const int count : counts)
    report.expect("below() is uniform", count > 9500 && count < 10500);
}

namespace {

int run(const char* name, Device& device, Device& second) {
  Report report(name);
  check_random(report);
  check_matmul(device, report);
  check_conv(device, report);
  check_conv_training(device, report);
  check_pool(device, report);
  check_pool_training(device, report);
  check_activation(device, report);
  check_elementwise(device, report);
  check_typed(device, report);
  check_layout(device, report);
  check_one_hot(device, report);
  check_reduce(device, report);
  check_epilogue(device, report);
  check_batch_norm(device, report);
  check_loss(device, report);
  check_optimizer(device, report);
  check_gather(device, report);
  check_streams(device, report);
  check_repeatable(device, second, report);
  std::printf("%s: %d checks, %d failed\n", name, report.count(), report.failures());
  return report.failures();
}

int run_lower(int gpu, Precision precision, const char* words) {
  const auto device = make_cuda_device(gpu, {.precision = precision});
  Report report(std::string(device->name()) + " in " + words);
  check_precision(*device, report, precision);
  std::printf("%s in %s: %d checks, %d failed\n", device->name(), words, report.count(),
              report.failures());
  return report.failures();
}

} // namespace

} // namespace mlp::kernels::check

int main(int argc, char** argv) try {
  using namespace mlp::kernels;
  const std::string kind = argc > 1 ? argv[1] : "";
  if (argc > 2 || (!kind.empty() && kind != "cpu" && kind != "cuda")) {
    std::fprintf(stderr, "usage: kernels_check [cpu|cuda]\n");
    return 2;
  }
  int failures = 0;
  if (kind != "cuda")
    for (const int threads : {1, 2, 5}) {
      const auto device = make_cpu_device(threads);
      const auto second = make_cpu_device(threads);
      const std::string name = "cpu with " + std::to_string(threads) + " threads";
      failures += check::run(name.c_str(), *device, *second);
    }
  if (kind != "cpu") {
    const CudaStatus status = cuda_status();
    for (int i = 0; i < status.devices; ++i) {
      const auto device = make_cuda_device(i);
      const auto second = make_cuda_device(i);
      failures += check::run(device->name(), *device, *second);
      failures += check::run_lower(i, Precision::tf32, "tf32");
      failures += check::run_lower(i, Precision::bf16, "bf16");
    }
    if (status.devices == 0) {
      std::printf("no CUDA device: %s\n", status.reason.c_str());
      if (kind == "cuda") return 77;
    }
  }
  return failures == 0 ? 0 : 1;
} catch (const mlp::kernels::Error& error) {
  std::fprintf(stderr, "kernels_check: %s\n%s%s\n", error.what(),
               error.hint().empty() ? "" : "hint: ", error.hint().c_str());
  return 1;
}
