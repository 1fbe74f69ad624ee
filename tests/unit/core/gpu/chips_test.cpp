// The table of chips: names as the driver gives them, and only those.
#include "core/gpu/chips.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace mlp::gpu;

namespace {

std::string chip_of(std::string_view model, std::optional<std::uint64_t> gib = std::nullopt) {
  if (gib) *gib <<= 30;
  const Chip* chip = find_chip(model, gib);
  return chip == nullptr ? "" : std::string(chip->name);
}

} // namespace

TEST_CASE("a board is found by the driver's name of it") {
  CHECK(chip_of("NVIDIA A100-SXM4-40GB") == "A100 40GB SXM");
  CHECK(chip_of("NVIDIA A100-SXM4-80GB") == "A100 80GB SXM");
  CHECK(chip_of("NVIDIA A100 80GB PCIe") == "A100 80GB PCIe");
  CHECK(chip_of("NVIDIA H100 80GB HBM3") == "H100 SXM");
  CHECK(chip_of("NVIDIA H100 PCIe") == "H100 PCIe");
  CHECK(chip_of("NVIDIA H100 NVL") == "H100 NVL");
  CHECK(chip_of("NVIDIA H200") == "H200 SXM");
  CHECK(chip_of("NVIDIA L40S") == "L40S");
  CHECK(chip_of("NVIDIA L4") == "L4");
  CHECK(chip_of("Tesla V100-SXM2-32GB") == "V100 SXM2");
  CHECK(chip_of("Tesla T4") == "T4");
  CHECK(chip_of("NVIDIA GeForce RTX 4090") == "RTX 4090");
  CHECK(chip_of("NVIDIA GB200") == "GB200");
}

TEST_CASE("a board whose name only begins like another's is another chip") {
  CHECK(chip_of("NVIDIA A10G").empty());
  CHECK(chip_of("NVIDIA L40").empty());
  CHECK(chip_of("NVIDIA GeForce RTX 3090 Ti").empty());
  CHECK(chip_of("NVIDIA GeForce RTX 4090 D").empty());
  CHECK(chip_of("NVIDIA GeForce RTX 4090 Laptop GPU").empty());
  CHECK(chip_of("NVIDIA H100 80GB HBM3 MIG 1g.10gb").empty());
  CHECK(chip_of("").empty());
  CHECK(chip_of("NVIDIA H100 80GB HBM3", 79) == "H100 SXM");
  CHECK(chip_of("NVIDIA H100 80GB HBM3", 95).empty());
}

TEST_CASE("every chip of the table has limits that make sense") {
  for (const Chip& chip : all_chips()) {
    INFO(chip.name);
    CHECK(chip.memory > 2e11);
    CHECK(chip.memory < 1e13);
    CHECK(chip.f32 > 5e12);
    CHECK(chip.f32 < 1.2e14);
    if (chip.bf16) {
      CHECK(*chip.bf16 > chip.f32);
      CHECK(*chip.bf16 / *chip.tf32 == Approx(2).epsilon(0.05));
    }
    CHECK(chip.nvlink_link.has_value() == (chip.nvlinks > 0));
    CHECK(pcie_rate(chip.pcie_generation, chip.pcie_width) > 1e10);
  }
}

TEST_CASE("the rate of a PCIe link follows from its generation and lanes") {
  CHECK(pcie_rate(3, 16) == Approx(15.75e9).epsilon(0.001));
  CHECK(pcie_rate(4, 16) == Approx(31.5e9).epsilon(0.001));
  CHECK(pcie_rate(5, 8) == Approx(31.5e9).epsilon(0.001));
  CHECK(pcie_rate(1, 1) == Approx(0.25e9));
  CHECK(pcie_rate(0, 16) == 0);
  CHECK(pcie_rate(9, 16) == 0);
}
