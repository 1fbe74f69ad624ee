// What the data sheets promise of each chip: the limits that `mlp gpu check` holds figures against.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace mlp::gpu {

// Rates are of the whole board at boost clock, dense (no sparsity), in one direction for links.
// A rate that the chip does not have is absent.
struct Chip {
  std::string_view name;             // "H100 SXM"
  double memory = 0;                 // bytes/s
  std::optional<double> bf16, tf32;  // flop/s of the tensor cores, sums in float32
  double f32 = 0;                    // flop/s without tensor cores
  std::optional<double> nvlink_link; // bytes/s of one link, one way
  unsigned nvlinks = 0;              // links of the chip as this board brings them out
  unsigned pcie_generation = 0, pcie_width = 16;
  std::optional<double> host_link; // bytes/s one way where the host is not on PCIe (NVLink-C2C)
  // The board's power does not carry its matrix rates: they are of the clock, not of sustained
  // work.
  bool power_limited = false;
};

// The chip of a board by NVML's name of it ("NVIDIA A100-SXM4-80GB") and its memory in bytes, or
// nullptr. Boards whose names only begin alike (A10G, RTX 3090 Ti, Laptop GPU) are other chips.
[[nodiscard]] const Chip* find_chip(std::string_view model,
                                    std::optional<std::uint64_t> memory) noexcept;

[[nodiscard]] std::span<const Chip> all_chips() noexcept;

// Bytes/s one way of a PCI Express link after its line code (PCI Express Base Specification 6.0:
// 8b/10b up to generation 2, 128b/130b up to 5, 1b/1b with flits from 6 on); 0 if unknown.
[[nodiscard]] double pcie_rate(unsigned generation, unsigned width) noexcept;

} // namespace mlp::gpu
