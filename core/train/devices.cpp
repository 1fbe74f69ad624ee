// One rank a device.
#include "core/train/devices.hpp"

#include "core/base/error.hpp"
#include "core/base/process.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace mlp::train {

namespace {

using Choice = config::TrainerDevices::Choice;

std::size_t ranks_wanted(const config::TrainerDevices& devices) {
  if (devices.choice == Choice::count) return static_cast<std::size_t>(devices.count);
  return devices.choice == Choice::list ? devices.ids.size() : 1;
}

std::string gpus_there(int count, const std::string& visible) {
  std::string text = count == 1 ? "1 GPU is visible" : fmt::format("{} GPUs are visible", count);
  if (!visible.empty()) text += fmt::format(" (CUDA_VISIBLE_DEVICES={})", visible);
  return text;
}

// Why a GPU cannot train; empty: it can.
std::string gpu_problem(int gpu) {
  try {
    const auto device = kernels::make_cuda_device(gpu);
    static_cast<void>(device->plan(kernels::MatmulSpec{.m = 8, .n = 8, .k = 8}));
  } catch (const kernels::Error& error) {
    return error.what();
  }
  return {};
}

} // namespace

DevicePlan plan_devices(const config::TrainerDevices& devices, const kernels::CudaStatus& status,
                        const std::string& visible) {
  DevicePlan plan;
  if (status.devices <= 0) {
    plan.gpus.assign(std::max<std::size_t>(ranks_wanted(devices), 1), -1);
    plan.message = fmt::format(
        "{} on the CPU: {}",
        plan.gpus.size() == 1 ? "trains" : fmt::format("{} ranks train", plan.gpus.size()),
        status.reason.empty() ? "no GPU is visible" : status.reason);
    return plan;
  }
  switch (devices.choice) {
  case Choice::first:
    plan.gpus = {0};
    break;
  case Choice::all:
  case Choice::count:
    if (devices.choice == Choice::count && devices.count > status.devices)
      throw Error(ErrorKind::config,
                  fmt::format("'trainer.devices' asks for {} GPUs, {}", devices.count,
                              gpus_there(status.devices, visible)));
    plan.gpus.resize(devices.choice == Choice::all ? static_cast<std::size_t>(status.devices)
                                                   : static_cast<std::size_t>(devices.count));
    std::iota(plan.gpus.begin(), plan.gpus.end(), 0);
    break;
  case Choice::list:
    for (const std::int64_t id : devices.ids) {
      if (id >= status.devices)
        throw Error(ErrorKind::config, fmt::format("'trainer.devices' names GPU {}, {}", id,
                                                   gpus_there(status.devices, visible)))
            .with_hint("GPUs are counted from 0");
      plan.gpus.push_back(static_cast<int>(id));
    }
    break;
  }
  plan.message = fmt::format("trains on GPU {}", fmt::join(plan.gpus, ", "));
  return plan;
}

DevicePlan choose_devices(const config::TrainerDevices& devices) {
  kernels::CudaStatus status = kernels::cuda_status();
  if (status.devices > 0 && devices.choice == Choice::first)
    if (std::string problem = gpu_problem(0); !problem.empty())
      status = {.devices = 0, .reason = std::move(problem)};
  return plan_devices(devices, status, get_env("CUDA_VISIBLE_DEVICES").value_or(""));
}

int threads_of_rank(std::int64_t threads, std::size_t ranks) {
  if (ranks <= 1) return static_cast<int>(threads);
  const std::int64_t all = threads > 0 ? threads : kernels::make_cpu_device(0)->threads();
  return static_cast<int>(std::max<std::int64_t>(1, all / static_cast<std::int64_t>(ranks)));
}

} // namespace mlp::train
