// Checks of a device against references in float64: inputs are drawn at random, outputs are
// poisoned before the operation, results are compared within a tolerance. Every device runs the
// same checks; a new one is a line in main.cpp.
#pragma once

#include "kernels/device.hpp"
#include "kernels/philox.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mlp::kernels::check {

// What the checks of one device have found.
class Report {
 public:
  explicit Report(std::string device) : device_(std::move(device)) {}

  // Each of `got` within absolute + relative * |want| of `want`, with NaN only where it is wanted.
  void close(const std::string& what, std::span<const float> got, std::span<const double> want,
             double relative = 2e-5, double absolute = 2e-6);
  void equal(const std::string& what, std::span<const float> a, std::span<const float> b);
  void expect(const std::string& what, bool good);
  // body() has to throw a kernels::Error of this kind.
  template <class Body>
  void refuses(const std::string& what, ErrorKind kind, const Body& body) {
    try {
      body();
    } catch (const Error& error) {
      expect(what + ": the kind of error", error.kind() == kind);
      return;
    }
    expect(what + ": is refused", false);
  }

  int count() const noexcept { return count_; }
  int failures() const noexcept { return failures_; }

 private:
  void failed(const std::string& what);

  std::string device_;
  int count_ = 0, failures_ = 0;
};

// Host arrays, and their copies on the device.
using Floats = std::vector<float>;
using Doubles = std::vector<double>;

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed, 77) {}
  // Uniform in [low, high).
  Floats floats(std::int64_t count, float low = -1.0F, float high = 1.0F);
  std::vector<std::int32_t> integers(std::int64_t count, std::uint32_t bound);
  std::uint32_t below(std::uint32_t bound) { return random_.below(bound); }

 private:
  PhiloxSequence random_;
};

// A device's buffer, filled from the host or with NaN.
template <class T>
class OnDevice {
 public:
  OnDevice(Device& device, const std::vector<T>& values)
      : device_(device), buffer_(device, values.size() * sizeof(T)), size_(values.size()) {
    device.copy_in({}, buffer_.data(), values.data(), size_ * sizeof(T));
  }
  T* get() const noexcept { return buffer_.template as<T>(); }
  std::size_t bytes() const noexcept { return buffer_.bytes(); }
  std::vector<T> read() const {
    std::vector<T> out(size_);
    device_.copy_out({}, out.data(), buffer_.data(), size_ * sizeof(T));
    return out;
  }

 private:
  Device& device_;
  Buffer buffer_;
  std::size_t size_;
};
OnDevice<float> poisoned(Device& device, std::int64_t count);

void check_random(Report& report);
void check_matmul(Device& device, Report& report);
// Within absolute + relative * |want|.
struct Tolerance {
  double relative, absolute;
};
void check_conv(Device& device, Report& report, const Tolerance& tolerance = {5e-5, 1e-5});
// `tolerance`: of a number that is drawn from [-1, 1), as operands are rounded.
void check_conv_training(Device& device, Report& report, double tolerance = 2e-5);
// A device that multiplies f32 operands in a lower precision.
void check_precision(Device& device, Report& report, Precision precision);
void check_pool(Device& device, Report& report);
void check_pool_training(Device& device, Report& report);
void check_activation(Device& device, Report& report);
void check_elementwise(Device& device, Report& report);
void check_typed(Device& device, Report& report);
void check_layout(Device& device, Report& report);
void check_one_hot(Device& device, Report& report);
void check_reduce(Device& device, Report& report);
void check_epilogue(Device& device, Report& report);
void check_batch_norm(Device& device, Report& report);
void check_loss(Device& device, Report& report);
void check_optimizer(Device& device, Report& report);
void check_gather(Device& device, Report& report);
void check_streams(Device& device, Report& report);
// The same bits from a second device of the same kind and threads.
void check_repeatable(Device& first, Device& second, Report& report);

// References that more than one file needs.
double reference_activation(Activation kind, double x);
double reference_slope(Activation kind, double x);

} // namespace mlp::kernels::check
