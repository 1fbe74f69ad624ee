// The part of NVML's binary interface that we call, declared here because the toolkit's header is
// not everywhere. Names and values: "NVML API Reference Guide", NVIDIA. NVML never changes a
// function once published: a new layout comes as a new function (_v2, _v3).
#pragma once

#include <cstdint>

namespace mlp::gpu::nvml {

using Device = void*;
using EventSet = void*;
using Result = int;

inline constexpr Result success = 0;
inline constexpr Result not_supported = 3;
inline constexpr Result no_permission = 4;
inline constexpr Result insufficient_size = 7;
inline constexpr Result driver_not_loaded = 9;
inline constexpr Result timeout = 10;
inline constexpr Result gpu_is_lost = 15;
inline constexpr Result version_mismatch = 18;

inline constexpr unsigned clock_sm = 1, clock_memory = 2;
inline constexpr unsigned sensor_gpu = 0;
inline constexpr unsigned ecc_corrected = 0, ecc_uncorrected = 1;
inline constexpr unsigned ecc_volatile = 0, ecc_aggregate = 1;
inline constexpr unsigned most_nvlinks = 18;
inline constexpr unsigned remote_gpu = 0, remote_switch = 2;
inline constexpr unsigned long long event_xid = 8;
inline constexpr unsigned long long no_value = ~0ULL;

struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, device_id, subsystem_id;
  char bus_id[32];
};
struct Memory { // nvmlMemory_t: `used` counts what the driver reserves
  unsigned long long total, free, used;
};
struct MemoryV2 { // nvmlMemory_v2_t: `used` does not
  unsigned version;
  unsigned long long total, reserved, free, used;
};
inline constexpr unsigned memory_v2 = sizeof(MemoryV2) | (2U << 24);
struct Utilization {
  unsigned gpu, memory;
};
struct ProcessInfo { // of nvmlDeviceGetComputeRunningProcesses_v3
  unsigned pid;
  unsigned long long memory;
  unsigned gpu_instance, compute_instance;
};
struct EventData {
  Device device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};

static_assert(sizeof(PciInfo) == 68 && sizeof(Memory) == 24 && sizeof(MemoryV2) == 40 &&
              sizeof(ProcessInfo) == 24 && sizeof(EventData) == 32);

} // namespace mlp::gpu::nvml
