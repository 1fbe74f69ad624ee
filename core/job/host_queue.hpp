// Who may use this machine's CPUs, memory and GPUs: one queue for all users and all projects, first
// come, first served. What a job holds is its own until its holder, a process, ends.
//
//   <folder>/lock                                     held for moments
//   <folder>/<order>-c<CPUs/1000>-m<MiB>-g<GPUs>.w    a job that waits, with a line of JSON
//   <folder>/<order>-c<CPUs/1000>-m<MiB>-g<GPUs>.r    one that runs
//
// The file of a job is locked by its holder: one that is not belongs to a process that died, and
// does not count. A waiting job watches only the one before it, so a thousand of them cost nothing.
// Jobs that ask for nothing do not come here. The queue knows what jobs asked for, not what they
// use: see Supervisor for what is enforced.
#pragma once

#include "core/base/fs.hpp"
#include "core/config/project_file.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlp::job {

struct HostGpu {
  std::string id;    // "GPU-5c3f...", as CUDA_VISIBLE_DEVICES takes it
  std::string model; // "NVIDIA H200"
};

struct HostCapacity {
  std::int64_t millicpus = 0;
  std::uint64_t memory_mib = 0;
  std::vector<HostGpu> gpus;
};

// The folder in which the driver lists its GPUs: no library is needed to know them.
inline constexpr const char* gpu_driver_folder = "/proc/driver/nvidia/gpus";
// All GPUs of the machine, as the driver numbers them.
[[nodiscard]] std::vector<HostGpu> host_gpus(const fs::path& driver = gpu_driver_folder);

// What this process may use: its CPUs, the machine's memory, and the GPUs that CUDA_VISIBLE_DEVICES
// leaves.
[[nodiscard]] HostCapacity host_capacity(const fs::path& driver = gpu_driver_folder);

struct Demand {
  std::int64_t millicpus = 0;
  std::uint64_t memory_mib = 0;
  std::int64_t gpus = 0;
  std::string gpu_model; // part of the model's name; empty: any
  [[nodiscard]] bool empty() const noexcept {
    return millicpus == 0 && memory_mib == 0 && gpus == 0;
  }
};
// `nodes` of them, all on this machine.
[[nodiscard]] Demand demand_of(const config::Resources& resources, std::int64_t nodes);
// "2 CPUs, 1 GPU"
[[nodiscard]] std::string demand_text(const Demand& demand);
// Throws Error(config) that says what is too much, if the machine can never give it.
void check_demand(const Demand& demand, const HostCapacity& capacity);

// $MLP_HOST_QUEUE, else a folder that all users of the machine share.
[[nodiscard]] fs::path host_queue_folder();

// A job as others see it.
struct QueueEntry {
  std::string run, project, user;
  bool running = false;
  Demand demand;
  std::vector<std::string> gpus; // that it holds
};
// In order; those that run first. A folder that does not exist has none. Throws Error.
[[nodiscard]] std::vector<QueueEntry> read_host_queue(const fs::path& folder);

// A place in the queue, given up when destroyed. One thread.
class QueuePlace {
 public:
  // Takes the last place. Creates the folder. Throws Error.
  QueuePlace(fs::path folder, HostCapacity capacity, Demand demand, const std::string& run,
             const std::string& project);
  ~QueuePlace();
  QueuePlace(QueuePlace&&) = delete;

  // True once the job may run, and then for good. Quick; throws Error.
  bool try_start();
  // Readable when it is worth trying again; that may be missed, so try every second too.
  [[nodiscard]] int descriptor() const noexcept { return events_.fd(); }
  // Why it waits, after try_start() returned false.
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }
  // The GPUs that it holds.
  [[nodiscard]] const std::vector<std::string>& gpus() const noexcept { return gpus_; }

 private:
  [[nodiscard]] std::string name(bool running) const;
  void write();
  void watch(const fs::path& path, std::uint32_t events);

  fs::path folder_;
  HostCapacity capacity_;
  Demand demand_;
  std::string run_, project_;
  std::uint64_t order_ = 0;
  bool running_ = false;
  std::string reason_;
  std::vector<std::string> gpus_;
  File ticket_;
  File events_;
  int watched_ = -1;
};

} // namespace mlp::job
