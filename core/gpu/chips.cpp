// The table of chips. Sources, by title: "NVIDIA A100 Tensor Core GPU" (data sheet), "NVIDIA H100
// Tensor Core GPU" (data sheet; architecture white paper), "NVIDIA H200 Tensor Core GPU", "NVIDIA
// L4 Tensor Core GPU", "NVIDIA L40S GPU", "NVIDIA A10 Tensor Core GPU", "NVIDIA A30 Tensor Core
// GPU", "NVIDIA V100 Tensor Core GPU", "NVIDIA T4" (data sheet; product brief PB-09256), "NVIDIA
// Ada GPU Architecture" and "NVIDIA Ampere GA102 GPU Architecture" (white papers), "NVIDIA HGX
// Platform" and "NVIDIA GB200 NVL72" (data sheets). Where a sheet gives a rate with sparsity, half
// of it.
#include "core/gpu/chips.hpp"

#include <algorithm>
#include <array>

namespace mlp::gpu {

namespace {

constexpr double giga = 1e9, tera = 1e12;

// In the order of all_chips(); find_chip() refers to them by name.
constexpr std::array chips = {
    Chip{"A100 40GB SXM", 1555 * giga, 312 * tera, 156 * tera, 19.5 * tera, 25 * giga, 12, 4},
    Chip{"A100 80GB SXM", 2039 * giga, 312 * tera, 156 * tera, 19.5 * tera, 25 * giga, 12, 4},
    Chip{"A100 40GB PCIe", 1555 * giga, 312 * tera, 156 * tera, 19.5 * tera, 25 * giga, 12, 4, 16,
         std::nullopt, true},
    Chip{"A100 80GB PCIe", 1935 * giga, 312 * tera, 156 * tera, 19.5 * tera, 25 * giga, 12, 4, 16,
         std::nullopt, true},
    Chip{"H100 SXM", 3350 * giga, 989.4 * tera, 494.7 * tera, 66.9 * tera, 25 * giga, 18, 5},
    Chip{"H100 PCIe", 2039 * giga, 756 * tera, 378 * tera, 51.2 * tera, 25 * giga, 12, 5, 16,
         std::nullopt, true},
    Chip{"H100 NVL", 3938 * giga, 835 * tera, 417.5 * tera, 60 * tera, 25 * giga, 12, 5, 16,
         std::nullopt, true},
    Chip{"H200 SXM", 4800 * giga, 989.4 * tera, 494.7 * tera, 66.9 * tera, 25 * giga, 18, 5},
    Chip{"H200 NVL", 4800 * giga, 835 * tera, 417.5 * tera, 60 * tera, 25 * giga, 18, 5, 16,
         std::nullopt, true},
    Chip{"L4", 300 * giga, 121 * tera, 60 * tera, 30.3 * tera, std::nullopt, 0, 4, 16, std::nullopt,
         true},
    Chip{"L40S", 864 * giga, 362 * tera, 183 * tera, 91.6 * tera, std::nullopt, 0, 4, 16,
         std::nullopt, true},
    Chip{"A10", 600 * giga, 125 * tera, 62.5 * tera, 31.2 * tera, std::nullopt, 0, 4, 16,
         std::nullopt, true},
    Chip{"A30", 933 * giga, 165 * tera, 82 * tera, 10.3 * tera, 25 * giga, 4, 4, 16, std::nullopt,
         true},
    Chip{"V100 SXM2", 900 * giga, std::nullopt, std::nullopt, 15.7 * tera, 25 * giga, 6, 3},
    Chip{"V100 PCIe", 900 * giga, std::nullopt, std::nullopt, 14 * tera, std::nullopt, 0, 3},
    Chip{"T4", 320 * giga, std::nullopt, std::nullopt, 8.1 * tera, std::nullopt, 0, 3, 16,
         std::nullopt, true},
    Chip{"RTX 4090", 1008 * giga, 165.2 * tera, 82.6 * tera, 82.6 * tera, std::nullopt, 0, 4},
    Chip{"RTX 3090", 936 * giga, 71 * tera, 35.6 * tera, 35.6 * tera, 14.0625 * giga, 4, 4},
    Chip{"B200", 8000 * giga, 2250 * tera, 1125 * tera, 75 * tera, 50 * giga, 18, 5},
    Chip{"GB200", 8000 * giga, 2500 * tera, 1250 * tera, 80 * tera, 50 * giga, 18, 5, 16,
         450 * giga},
};

// NVML's names, without the maker.
struct Name {
  std::string_view model;
  std::string_view chip;
};
constexpr Name names[] = {
    {"A100-SXM4-40GB", "A100 40GB SXM"},
    {"A100-SXM4-80GB", "A100 80GB SXM"},
    {"A100-SXM-80GB", "A100 80GB SXM"},

    {"A100-PCIE-40GB", "A100 40GB PCIe"},
    {"A100-PCIE-80GB", "A100 80GB PCIe"},
    {"A100 80GB PCIe", "A100 80GB PCIe"},
    {"H100 80GB HBM3", "H100 SXM"},
    {"H100 PCIe", "H100 PCIe"},
    {"H100 NVL", "H100 NVL"},
    {"H200", "H200 SXM"},
    {"H200 NVL", "H200 NVL"},
    {"L4", "L4"},
    {"L40S", "L40S"},
    {"A10", "A10"},
    {"A30", "A30"},
    {"V100-SXM2-16GB", "V100 SXM2"},
    {"V100-SXM2-32GB", "V100 SXM2"},
    {"V100-SXM3-32GB", "V100 SXM2"},
    {"V100-PCIE-16GB", "V100 PCIe"},
    {"V100-PCIE-32GB", "V100 PCIe"},
    {"T4", "T4"},
    {"GeForce RTX 4090", "RTX 4090"},
    {"GeForce RTX 3090", "RTX 3090"},
    {"B200", "B200"},
    {"GB200", "GB200"},
};

const Chip* by_name(std::string_view name) noexcept {
  const auto* found =
      std::find_if(chips.begin(), chips.end(), [&](const Chip& chip) { return chip.name == name; });
  return found == chips.end() ? nullptr : found;
}

} // namespace

std::span<const Chip> all_chips() noexcept {
  return chips;
}

const Chip* find_chip(std::string_view model, std::optional<std::uint64_t> memory) noexcept {
  for (const std::string_view maker : {"NVIDIA ", "Tesla "})
    if (model.starts_with(maker)) model.remove_prefix(maker.size());
  // The 96 GB and 64 GB boards sold as H100 have other memory: not the chip of the sheet.
  if (model == "H100 80GB HBM3" && memory && *memory > (90ULL << 30)) return nullptr;
  for (const Name& name : names)
    if (name.model == model) return by_name(name.chip);
  return nullptr;
}

double pcie_rate(unsigned generation, unsigned width) noexcept {
  constexpr double transfers[] = {0, 2.5e9, 5e9, 8e9, 16e9, 32e9, 64e9};
  if (generation == 0 || generation >= std::size(transfers)) return 0;
  const double code = generation <= 2 ? 0.8 : generation <= 5 ? 128.0 / 130.0 : 242.0 / 256.0;
  return transfers[generation] / 8 * code * width;
}

} // namespace mlp::gpu
