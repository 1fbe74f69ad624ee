// The NVIDIA driver's own library, libnvidia-ml.so.1, opened when first asked: what GPUs are there,
// and how they are. A machine without one is a status, not an error.
#pragma once

#include "core/gpu/gpu.hpp"

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace mlp::gpu {

// An XID (a driver's error report) that came while we were watching.
struct XidEvent {
  std::string bus_id; // empty: not told
  int xid = 0;
};

// What is worth watching while a GPU works: a few quick queries. Absent as in Gpu.
struct LoadSample {
  std::optional<unsigned> pcie_generation, pcie_width, temperature, sm_clock;
  std::optional<double> power;
  std::optional<std::uint64_t> throttle;
};

// How busy a GPU is: a few quick queries. Absent as in Gpu.
struct UseSample {
  std::string uuid;                                       // empty: not told
  std::optional<unsigned> utilization;                    // percent
  std::optional<std::uint64_t> memory_used, memory_total; // bytes
  std::optional<double> power, power_limit;               // watts
};

// Opens the library and initialises it. Construction never throws; ok() says whether the rest is of
// use. All methods may be called from several threads at once, as NVML allows it. They block for
// what the driver takes: milliseconds as a rule, a second for a GPU whose driver is not loaded
// persistently.
class Nvml {
 public:
  Nvml();
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  [[nodiscard]] bool ok() const noexcept;

  // Everything, for all GPUs of the machine, whatever CUDA_VISIBLE_DEVICES says. Never throws for
  // what the driver refuses. XIDs come from `kernel_log`, see xid.hpp.
  [[nodiscard]] Inventory read(bool processes,
                               const std::filesystem::path& kernel_log = "/dev/kmsg") const;

  // nullopt: no such GPU, or it is lost.
  [[nodiscard]] std::optional<LoadSample> sample(unsigned index) const;

  // Of every GPU, by index. One that is lost tells nothing of itself.
  [[nodiscard]] std::vector<UseSample> use() const;

  // XIDs of the GPUs from the first call on; later calls return what came since. Waits up to
  // `patience` for the first. Empty also where the driver does not report them to us.
  [[nodiscard]] std::vector<XidEvent> new_xids(std::chrono::milliseconds patience);

 private:
  struct Api;
  std::unique_ptr<Api> api_;
};

} // namespace mlp::gpu
