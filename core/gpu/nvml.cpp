// NVML by dlopen. A function that an old driver lacks is a null pointer, and what it would have
// told is absent.
#include "core/gpu/nvml.hpp"

#include "core/base/error.hpp"
#include "core/base/library.hpp"
#include "core/gpu/nvml_abi.hpp"
#include "core/gpu/xid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>

namespace mlp::gpu {

using namespace nvml;

namespace {

// Calls `function` if the driver has it; true if it succeeded.
template <class... Parameters, class... Arguments>
bool ask(Result (*function)(Parameters...), Arguments... arguments) {
  return function != nullptr && function(arguments...) == success;
}

template <class T>
std::optional<T> ask_one(Result (*function)(Device, T*), Device device) {
  T value{};
  if (!ask(function, device, &value)) return std::nullopt;
  return value;
}

std::optional<std::string> ask_text(Result (*function)(Device, char*, unsigned), Device device) {
  std::array<char, 128> text{};
  if (!ask(function, device, text.data(), unsigned(text.size()))) return std::nullopt;
  text.back() = '\0';
  return std::string(text.data());
}

// "00000000:3B:00.0" as NVML writes it, to "0000:3b:00.0" as the kernel and CUDA do.
std::string plain_bus_id(const PciInfo& info) {
  return fmt::format("{:04x}:{:02x}:{:02x}.0", info.domain, info.bus, info.device);
}

} // namespace

struct Nvml::Api {
  std::optional<Library> library;
  Driver state = Driver::absent;
  std::string reason, hint;
  bool initialised = false;
  mutable std::mutex events_mutex;
  EventSet events = nullptr;

  Result (*init)() = nullptr;
  Result (*shutdown)() = nullptr;
  const char* (*error_string)(Result) = nullptr;
  Result (*driver_version)(char*, unsigned) = nullptr;
  Result (*cuda_version)(int*) = nullptr;
  Result (*process_name)(unsigned, char*, unsigned) = nullptr;
  Result (*count)(unsigned*) = nullptr;
  Result (*handle)(unsigned, Device*) = nullptr;
  Result (*name)(Device, char*, unsigned) = nullptr;
  Result (*uuid)(Device, char*, unsigned) = nullptr;
  Result (*pci)(Device, PciInfo*) = nullptr;
  Result (*compute)(Device, int*, int*) = nullptr;
  Result (*memory)(Device, Memory*) = nullptr;
  Result (*memory_2)(Device, MemoryV2*) = nullptr;
  Result (*utilization)(Device, Utilization*) = nullptr;
  Result (*temperature)(Device, unsigned, unsigned*) = nullptr;
  Result (*power)(Device, unsigned*) = nullptr;
  Result (*power_limit)(Device, unsigned*) = nullptr;
  Result (*clock)(Device, unsigned, unsigned*) = nullptr;
  Result (*clock_max)(Device, unsigned, unsigned*) = nullptr;
  Result (*throttle)(Device, unsigned long long*) = nullptr;
  Result (*ecc_mode)(Device, int*, int*) = nullptr;
  Result (*ecc_errors)(Device, unsigned, unsigned, unsigned long long*) = nullptr;
  Result (*retirement)(Device, int*) = nullptr;
  Result (*remapped)(Device, unsigned*, unsigned*, unsigned*, unsigned*) = nullptr;
  Result (*pcie_generation)(Device, unsigned*) = nullptr;
  Result (*pcie_generation_max)(Device, unsigned*) = nullptr;
  Result (*pcie_width)(Device, unsigned*) = nullptr;
  Result (*pcie_width_max)(Device, unsigned*) = nullptr;
  Result (*nvlink)(Device, unsigned, int*) = nullptr;
  Result (*nvlink_remote)(Device, unsigned, PciInfo*) = nullptr;
  Result (*nvlink_remote_type)(Device, unsigned, unsigned*) = nullptr;
  Result (*mig)(Device, unsigned*, unsigned*) = nullptr;
  Result (*compute_processes)(Device, unsigned*, ProcessInfo*) = nullptr;
  Result (*graphics_processes)(Device, unsigned*, ProcessInfo*) = nullptr;
  Result (*event_set)(EventSet*) = nullptr;
  Result (*event_free)(EventSet) = nullptr;
  Result (*event_register)(Device, unsigned long long, EventSet) = nullptr;
  Result (*event_wait)(EventSet, EventData*, unsigned) = nullptr;

  Api() { open(); }
  ~Api() {
    if (events != nullptr) ask(event_free, events);
    if (initialised) ask(shutdown);
  }
  Api(const Api&) = delete;

  // The first of `names` that the library has, or null.
  template <class Function>
  void load(Function*& function, std::initializer_list<const char*> names) {
    for (const char* symbol : names) {
      try {
        function = library->function<Function>(symbol);
        return;
      } catch (const Error&) {
        function = nullptr;
      }
    }
  }

  void open();
  void load_all();
  std::string error_text(Result result) const;
  void explain(Result result);
  Gpu describe(unsigned index, bool processes) const;
  void describe_memory(Device device, std::optional<std::uint64_t>& total,
                       std::optional<std::uint64_t>& used) const;
  void describe_health(Device device, Gpu& gpu) const;
  void describe_links(Device device, Gpu& gpu) const;
  std::string far_end(Device device, unsigned link) const;
  std::optional<std::vector<GpuProcess>> processes_of(Device device) const;
  void add_processes(Result (*list)(Device, unsigned*, ProcessInfo*), Device device,
                     std::optional<std::vector<GpuProcess>>& found) const;
};

void Nvml::Api::load_all() {
  load(init, {"nvmlInit_v2"});
  load(shutdown, {"nvmlShutdown"});
  load(error_string, {"nvmlErrorString"});
  load(driver_version, {"nvmlSystemGetDriverVersion"});
  load(cuda_version, {"nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion"});
  load(process_name, {"nvmlSystemGetProcessName"});
  load(count, {"nvmlDeviceGetCount_v2"});
  load(handle, {"nvmlDeviceGetHandleByIndex_v2"});
  load(name, {"nvmlDeviceGetName"});
  load(uuid, {"nvmlDeviceGetUUID"});
  load(pci, {"nvmlDeviceGetPciInfo_v3"});
  load(compute, {"nvmlDeviceGetCudaComputeCapability"});
  load(memory, {"nvmlDeviceGetMemoryInfo"});
  load(memory_2, {"nvmlDeviceGetMemoryInfo_v2"});
  load(utilization, {"nvmlDeviceGetUtilizationRates"});
  load(temperature, {"nvmlDeviceGetTemperature"});
  load(power, {"nvmlDeviceGetPowerUsage"});
  load(power_limit, {"nvmlDeviceGetEnforcedPowerLimit"});
  load(clock, {"nvmlDeviceGetClockInfo"});
  load(clock_max, {"nvmlDeviceGetMaxClockInfo"});
  load(throttle,
       {"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"});
  load(ecc_mode, {"nvmlDeviceGetEccMode"});
  load(ecc_errors, {"nvmlDeviceGetTotalEccErrors"});
  load(retirement, {"nvmlDeviceGetRetiredPagesPendingStatus"});
  load(remapped, {"nvmlDeviceGetRemappedRows"});
  load(pcie_generation, {"nvmlDeviceGetCurrPcieLinkGeneration"});
  load(pcie_generation_max, {"nvmlDeviceGetMaxPcieLinkGeneration"});
  load(pcie_width, {"nvmlDeviceGetCurrPcieLinkWidth"});
  load(pcie_width_max, {"nvmlDeviceGetMaxPcieLinkWidth"});
  load(nvlink, {"nvmlDeviceGetNvLinkState"});
  load(nvlink_remote, {"nvmlDeviceGetNvLinkRemotePciInfo_v2"});
  load(nvlink_remote_type, {"nvmlDeviceGetNvLinkRemoteDeviceType"});
  load(mig, {"nvmlDeviceGetMigMode"});
  load(compute_processes,
       {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"});
  load(graphics_processes,
       {"nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2"});
  load(event_set, {"nvmlEventSetCreate"});
  load(event_free, {"nvmlEventSetFree"});
  load(event_register, {"nvmlDeviceRegisterEvents"});
  load(event_wait, {"nvmlEventSetWait_v2", "nvmlEventSetWait"});
}

void Nvml::Api::open() {
  try {
    library.emplace(std::initializer_list<const char*>{"libnvidia-ml.so.1"}, "nvidia-driver");
  } catch (const Error& error) {
    reason = "no NVIDIA driver: libnvidia-ml.so.1 is not installed";
    // A library that is there but does not load has a reason of its own.
    if (error.message().find("No such file") == std::string::npos)
      reason = fmt::format("no NVIDIA driver: {}", error.message());
    hint = "install the driver's package, for example: apt install nvidia-driver";
    return;
  }
  load_all();
  if (init == nullptr || count == nullptr || handle == nullptr) {
    reason = "the NVIDIA driver's libnvidia-ml.so.1 is too old: it has no nvmlInit_v2";
    hint = "update the driver";
    state = Driver::broken;
    return;
  }
  const Result result = init();
  initialised = result == success;
  if (initialised)
    state = Driver::ready;
  else
    explain(result);
}

std::string Nvml::Api::error_text(Result result) const {
  const char* text = error_string == nullptr ? nullptr : error_string(result);
  return text == nullptr ? fmt::format("NVML error {}", result) : std::string(text);
}

void Nvml::Api::explain(Result result) {
  state = result == driver_not_loaded ? Driver::absent
          : result == no_permission   ? Driver::denied
                                      : Driver::broken;
  switch (result) {
  case version_mismatch:
    reason = "the NVIDIA driver in the kernel and its libraries are of different versions";
    hint = "load the new kernel module (reboot), or, in a container, start it anew";
    return;
  case driver_not_loaded:
    reason = "no NVIDIA driver: its library is installed, but its kernel module is not loaded";
    hint = "load it: modprobe nvidia; dmesg says why if that fails";
    return;
  case no_permission:
    reason = "no permission to ask the NVIDIA driver";
    hint = "look at the owner and mode of /dev/nvidiactl and /dev/nvidia0";
    return;
  default:
    reason = fmt::format("the NVIDIA driver does not answer: {}", error_text(result));
  }
}

void Nvml::Api::describe_memory(Device device, std::optional<std::uint64_t>& total,
                                std::optional<std::uint64_t>& used) const {
  MemoryV2 better{};
  better.version = memory_v2;
  if (ask(memory_2, device, &better)) {
    total = better.total;
    used = better.used;
  } else if (const auto plain = ask_one<Memory>(memory, device)) {
    total = plain->total;
    used = plain->used;
  }
}

void Nvml::Api::describe_health(Device device, Gpu& gpu) const {
  int now = 0, later = 0;
  if (ask(ecc_mode, device, &now, &later)) gpu.ecc = now != 0;
  const auto errors = [&](unsigned type, unsigned span) -> std::optional<std::uint64_t> {
    unsigned long long number = 0;
    if (!ask(ecc_errors, device, type, span, &number)) return std::nullopt;
    return number;
  };
  gpu.ecc_corrected = errors(ecc_corrected, ecc_volatile);
  gpu.ecc_uncorrected = errors(ecc_uncorrected, ecc_volatile);
  gpu.ecc_corrected_life = errors(ecc_corrected, ecc_aggregate);
  gpu.ecc_uncorrected_life = errors(ecc_uncorrected, ecc_aggregate);
  if (const auto pending = ask_one<int>(retirement, device)) gpu.retirement_pending = *pending != 0;
  unsigned corrected = 0, uncorrected = 0, pending = 0, failed = 0;
  if (ask(remapped, device, &corrected, &uncorrected, &pending, &failed)) {
    gpu.remapped_rows = corrected + uncorrected;
    gpu.remap_pending = pending != 0;
    gpu.remap_failed = failed != 0;
  }
  unsigned mode = 0, mode_later = 0;
  if (ask(mig, device, &mode, &mode_later)) gpu.mig = mode != 0;
}

std::string Nvml::Api::far_end(Device device, unsigned link) const {
  unsigned type = 0;
  if (!ask(nvlink_remote_type, device, link, &type)) return {};
  if (type == remote_switch) return "switch";
  PciInfo info{};
  return type == remote_gpu && ask(nvlink_remote, device, link, &info) ? plain_bus_id(info)
                                                                       : std::string();
}

void Nvml::Api::describe_links(Device device, Gpu& gpu) const {
  gpu.pcie_generation = ask_one<unsigned>(pcie_generation, device);
  gpu.pcie_generation_max = ask_one<unsigned>(pcie_generation_max, device);
  gpu.pcie_width = ask_one<unsigned>(pcie_width, device);
  gpu.pcie_width_max = ask_one<unsigned>(pcie_width_max, device);
  if (nvlink == nullptr) return;
  unsigned links = 0, active = 0;
  for (unsigned link = 0; link < most_nvlinks; ++link) {
    int up = 0;
    const Result result = nvlink(device, link, &up);
    if (result == gpu_is_lost || result == no_permission) return;
    if (result != success) continue;
    ++links;
    if (up == 0) continue;
    ++active;
    gpu.nvlink_ends.push_back(far_end(device, link));
  }
  gpu.nvlinks = links;
  gpu.nvlinks_active = active;
}

void Nvml::Api::add_processes(Result (*list)(Device, unsigned*, ProcessInfo*), Device device,
                              std::optional<std::vector<GpuProcess>>& found) const {
  if (list == nullptr) return;
  // Processes may come between the two calls: ask again with more room, a few times.
  std::vector<ProcessInfo> infos(64);
  for (int attempt = 0; attempt < 4; ++attempt) {
    unsigned number = static_cast<unsigned>(infos.size());
    const Result result = list(device, &number, infos.data());
    if (result == insufficient_size) {
      infos.resize(std::min<std::size_t>(std::size_t{number} + 64, 65536));
      continue;
    }
    if (result != success) return;
    if (!found) found.emplace();
    for (unsigned i = 0; i < std::min<std::size_t>(number, infos.size()); ++i) {
      const unsigned pid = infos[i].pid;
      const auto known = std::find_if(found->begin(), found->end(),
                                      [&](const GpuProcess& other) { return other.pid == pid; });
      if (known != found->end()) continue;
      GpuProcess process{.pid = pid};
      if (infos[i].memory != no_value) process.memory = infos[i].memory;
      std::array<char, 256> text{};
      if (ask(process_name, pid, text.data(), unsigned(text.size()))) {
        text.back() = '\0';
        process.name = text.data();
      }
      found->push_back(std::move(process));
    }
    return;
  }
}

std::optional<std::vector<GpuProcess>> Nvml::Api::processes_of(Device device) const {
  std::optional<std::vector<GpuProcess>> found;
  add_processes(compute_processes, device, found);
  add_processes(graphics_processes, device, found);
  return found;
}

Gpu Nvml::Api::describe(unsigned index, bool processes) const {
  Gpu gpu{.index = index};
  Device device = nullptr;
  const Result opened = handle(index, &device);
  if (opened != success) {
    gpu.lost = error_text(opened);
    return gpu;
  }
  gpu.model = ask_text(name, device);
  gpu.uuid = ask_text(uuid, device);
  if (const auto info = ask_one<PciInfo>(pci, device)) gpu.bus_id = plain_bus_id(*info);
  int major = 0, minor = 0;
  if (ask(compute, device, &major, &minor)) gpu.compute = fmt::format("{}.{}", major, minor);
  describe_memory(device, gpu.memory_total, gpu.memory_used);
  if (const auto rates = ask_one<Utilization>(utilization, device)) gpu.utilization = rates->gpu;
  unsigned value = 0;
  if (const Result result =
          temperature == nullptr ? not_supported : temperature(device, sensor_gpu, &value);
      result == success)
    gpu.temperature = value;
  else if (result == gpu_is_lost)
    gpu.lost = error_text(result);
  if (const auto milliwatts = ask_one<unsigned>(power, device)) gpu.power = *milliwatts / 1e3;
  if (const auto limit = ask_one<unsigned>(power_limit, device)) gpu.power_limit = *limit / 1e3;
  if (ask(clock, device, clock_sm, &value)) gpu.sm_clock = value;
  if (ask(clock_max, device, clock_sm, &value)) gpu.sm_clock_max = value;
  if (ask(clock, device, clock_memory, &value)) gpu.memory_clock = value;
  if (ask(clock_max, device, clock_memory, &value)) gpu.memory_clock_max = value;
  if (const auto bits = ask_one<unsigned long long>(throttle, device)) gpu.throttle = *bits;
  describe_health(device, gpu);
  describe_links(device, gpu);
  if (processes) gpu.processes = processes_of(device);
  return gpu;
}

Nvml::Nvml() : api_(std::make_unique<Api>()) {}
Nvml::~Nvml() = default;

bool Nvml::ok() const noexcept {
  return api_->initialised;
}

Inventory Nvml::read(bool processes, const std::filesystem::path& kernel_log) const {
  Inventory inventory{.state = api_->state, .reason = api_->reason, .hint = api_->hint};
  if (!api_->initialised) return inventory;
  std::array<char, 96> text{};
  if (ask(api_->driver_version, text.data(), unsigned(text.size()))) inventory.driver = text.data();
  int version = 0;
  if (ask(api_->cuda_version, &version))
    inventory.cuda = fmt::format("{}.{}", version / 1000, version % 1000 / 10);
  unsigned number = 0;
  if (const Result result = api_->count(&number); result != success) {
    api_->explain(result);
    inventory.state = api_->state;
    inventory.reason = api_->reason;
    inventory.hint = api_->hint;
    return inventory;
  }
  for (unsigned index = 0; index < number; ++index)
    inventory.gpus.push_back(api_->describe(index, processes));
  const std::optional<std::vector<XidLine>> xids = read_xids(kernel_log);
  inventory.xids_known = xids.has_value();
  if (xids) add_xids(*xids, inventory.gpus);
  return inventory;
}

std::optional<LoadSample> Nvml::sample(unsigned index) const {
  Device device = nullptr;
  if (!ok() || api_->handle(index, &device) != success) return std::nullopt;
  LoadSample sample;
  sample.pcie_generation = ask_one<unsigned>(api_->pcie_generation, device);
  sample.pcie_width = ask_one<unsigned>(api_->pcie_width, device);
  unsigned value = 0;
  if (ask(api_->temperature, device, sensor_gpu, &value)) sample.temperature = value;
  if (ask(api_->clock, device, clock_sm, &value)) sample.sm_clock = value;
  if (const auto milliwatts = ask_one<unsigned>(api_->power, device))
    sample.power = *milliwatts / 1e3;
  if (const auto bits = ask_one<unsigned long long>(api_->throttle, device))
    sample.throttle = *bits;
  return sample;
}

std::vector<UseSample> Nvml::use() const {
  std::vector<UseSample> out;
  unsigned number = 0;
  if (!ok() || api_->count(&number) != success) return out;
  out.resize(std::min(number, 1024U));
  for (unsigned index = 0; index < out.size(); ++index) {
    UseSample& sample = out[index];
    Device device = nullptr;
    if (api_->handle(index, &device) != success) continue;
    sample.uuid = ask_text(api_->uuid, device).value_or("");
    if (const auto rates = ask_one<Utilization>(api_->utilization, device))
      sample.utilization = rates->gpu;
    api_->describe_memory(device, sample.memory_total, sample.memory_used);
    if (const auto milliwatts = ask_one<unsigned>(api_->power, device))
      sample.power = *milliwatts / 1e3;
    if (const auto limit = ask_one<unsigned>(api_->power_limit, device))
      sample.power_limit = *limit / 1e3;
  }
  return out;
}

std::vector<XidEvent> Nvml::new_xids(std::chrono::milliseconds patience) {
  std::vector<XidEvent> found;
  const std::lock_guard lock(api_->events_mutex);
  if (!ok() || api_->event_wait == nullptr) return found;
  if (api_->events == nullptr) {
    unsigned number = 0;
    if (!ask(api_->event_set, &api_->events) || api_->count(&number) != success) return found;
    for (unsigned index = 0; index < number; ++index) {
      Device device = nullptr;
      if (api_->handle(index, &device) == success)
        ask(api_->event_register, device, event_xid, api_->events);
    }
  }
  constexpr std::size_t most = 256; // a broken GPU repeats itself
  EventData event{};
  auto wait = static_cast<unsigned>(std::max<std::int64_t>(0, patience.count()));
  while (found.size() < most && ask(api_->event_wait, api_->events, &event, wait)) {
    wait = 0;
    if ((event.type & event_xid) == 0) continue;
    XidEvent xid{.xid = static_cast<int>(event.data)};
    if (const auto info = ask_one<PciInfo>(api_->pci, event.device))
      xid.bus_id = plain_bus_id(*info);
    found.push_back(std::move(xid));
  }
  return found;
}

std::vector<std::string> throttle_names(std::uint64_t bits) {
  static constexpr std::array names = {
      "idle",          "applications_clocks", "power_cap",        "hardware",
      "sync_boost",    "thermal_software",    "thermal_hardware", "power_brake",
      "display_clocks"};
  std::vector<std::string> out;
  for (unsigned bit = 0; bit < 64; ++bit)
    if ((bits >> bit & 1U) != 0)
      out.push_back(bit < names.size() ? names[bit] : fmt::format("bit_{}", bit));
  return out;
}

} // namespace mlp::gpu
