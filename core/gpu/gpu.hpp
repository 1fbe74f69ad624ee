// One GPU as the driver describes it at one moment. What the driver refuses, or does not know, is
// absent: an absent counter is no zero.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlp::gpu {

struct GpuProcess {
  unsigned pid = 0;
  std::optional<std::string> name;     // absent: it is in another PID namespace, or not ours to see
  std::optional<std::uint64_t> memory; // bytes
};

struct Gpu {
  unsigned index = 0;                 // NVML's, in the order of PCI addresses; nvidia-smi's too
  std::optional<std::string> lost;    // why the driver could not open it; then little else is here
  std::optional<std::string> uuid;    // "GPU-5c3f…"
  std::optional<std::string> model;   // "NVIDIA H100 80GB HBM3"
  std::optional<std::string> bus_id;  // "0000:3b:00.0"
  std::optional<std::string> compute; // compute capability, "9.0"
  std::optional<std::uint64_t> memory_total; // bytes
  std::optional<std::uint64_t> memory_used;  // bytes; without what the driver keeps for itself
  std::optional<unsigned> utilization;       // percent of the last sample with a kernel running
  std::optional<unsigned> temperature;       // degrees Celsius
  std::optional<double> power;               // watts
  std::optional<double> power_limit;         // watts, as enforced now
  std::optional<unsigned> sm_clock, sm_clock_max;         // MHz
  std::optional<unsigned> memory_clock, memory_clock_max; // MHz
  std::optional<std::uint64_t> throttle;                  // NVML's bits; see throttle_names()
  std::optional<bool> ecc;                                // error correction is on
  // Since the driver was loaded, and over the life of the board.
  std::optional<std::uint64_t> ecc_corrected, ecc_uncorrected;
  std::optional<std::uint64_t> ecc_corrected_life, ecc_uncorrected_life;
  std::optional<bool> retirement_pending; // pages wait for a reset (up to Volta and Turing)
  std::optional<bool> remap_pending;      // rows wait for a reset (from Ampere on)
  std::optional<bool> remap_failed;       // no spare row was left
  std::optional<unsigned> remapped_rows;  // corrected and uncorrected together
  std::optional<unsigned> pcie_generation, pcie_generation_max; // max: of this board in this slot
  std::optional<unsigned> pcie_width, pcie_width_max;
  std::optional<unsigned> nvlinks;        // that the board reports on; 0: it has none
  std::optional<unsigned> nvlinks_active; // of those
  // The far end of each active link: a GPU's bus id, "switch", or "" where it is not told.
  std::vector<std::string> nvlink_ends;
  std::optional<bool> mig;                          // split into instances
  std::optional<int> last_xid;                      // newest XID in the kernel log since boot
  std::vector<int> xids;                            // all of them, oldest first, the newest 64
  std::optional<std::vector<GpuProcess>> processes; // absent: not asked for, or not told
};

// absent: no driver is installed or loaded here; denied: we may not ask it; broken: it is there and
// does not answer.
enum class Driver { ready, absent, denied, broken };

// What the driver's library says of the whole machine.
struct Inventory {
  Driver state = Driver::absent;
  std::string reason; // why there is no list: "no NVIDIA driver: …"; empty: `gpus` is the list
  std::string hint;   // what to do about it; may be empty
  std::optional<std::string> driver; // "580.65.06"
  std::optional<std::string> cuda;   // newest CUDA that the driver runs: "13.0"
  bool xids_known = false;           // the kernel log could be read
  std::vector<Gpu> gpus;
};

// Words for the bits of `throttle`: "power_cap", "thermal_hardware", …; unknown bits as "bit_10".
[[nodiscard]] std::vector<std::string> throttle_names(std::uint64_t bits);

// Bits that slow a GPU down for a cause outside the work itself: heat, or the board's power supply.
// The software's power cap is not among them: big matrix products reach it on healthy boards.
inline constexpr std::uint64_t throttle_gpu_idle = 0x1;
inline constexpr std::uint64_t throttle_power_cap = 0x4;
inline constexpr std::uint64_t throttle_hardware = 0x8;
inline constexpr std::uint64_t throttle_thermal_software = 0x20;
inline constexpr std::uint64_t throttle_thermal_hardware = 0x40;
inline constexpr std::uint64_t throttle_power_brake = 0x80;
inline constexpr std::uint64_t throttle_harmful = throttle_hardware | throttle_thermal_software |
                                                  throttle_thermal_hardware | throttle_power_brake;

} // namespace mlp::gpu
