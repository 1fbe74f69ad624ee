// From measured figures to a verdict: pure rules. docs/gpu-check.md gives the thresholds for
// people; thresholds_of() is where they are.
#pragma once

#include "core/gpu/chips.hpp"
#include "core/gpu/gpu.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::gpu {

// In the order in which they are measured.
enum class Figure {
  copy,
  triad,
  bf16,
  tf32,
  f32,
  host_to_device,
  device_to_host,
  pattern,
  peer,
  all_reduce
};
[[nodiscard]] std::string_view figure_name(Figure figure) noexcept; // "host_to_device"
[[nodiscard]] std::optional<Figure> parse_figure(std::string_view name) noexcept;
[[nodiscard]] bool is_matrix(Figure figure) noexcept; // its unit is flop/s; bytes/s for the others

// From good to bad: the worst of several is their maximum. `unmeasured` says nothing of the GPU.
enum class Verdict { unmeasured, pass, slow, fail };
[[nodiscard]] std::string_view verdict_name(Verdict verdict) noexcept;

// One figure of one GPU; of two for `peer` (from, to), of all for `all_reduce`.
struct Measured {
  Figure figure = Figure::copy;
  std::vector<unsigned> gpus; // NVML's indices
  double median = 0;          // bytes/s or flop/s over the repetitions; what is judged
  double best = 0;
  int repetitions = 0;
  std::uint64_t bytes = 0;      // that one repetition moves or tests, or flop of one product
  std::uint64_t mismatches = 0; // pattern only: words that read back wrong
  std::string failed;           // why measuring it failed: then the rest is empty
  std::string skipped;          // why it was not tried
};

// The worst and best that sampling saw while a GPU was being measured.
struct Load {
  std::optional<unsigned> pcie_generation, pcie_width; // the highest, while the host link worked
  std::optional<unsigned> temperature;                 // the highest
  std::optional<double> power;                         // the highest
  std::uint64_t throttle = 0;                          // all bits that were seen
};

struct Subject {
  Gpu before, after; // the state around the measuring
  Load load;
  std::vector<int> xids;      // that came meanwhile
  const Chip* chip = nullptr; // nullptr: not in the table, so only siblings are compared
};

// `share` is measured / limit, with `limit` from the data sheet; `of_siblings` is measured / the
// median of the same figure on the other GPUs of the same model.
struct Judged {
  Measured measured;
  Verdict verdict = Verdict::unmeasured;
  std::optional<double> limit, share, siblings, of_siblings;
  std::string why; // empty for pass
};

// What is wrong with a GPU beside its figures. `unmeasured` marks a remark that changes nothing.
struct Finding {
  Verdict verdict = Verdict::fail;
  std::string text;
};

struct GpuReport {
  unsigned index = 0;
  Verdict verdict = Verdict::unmeasured;
  std::vector<Judged> figures;
  std::vector<Finding> findings;
};

struct Report {
  Verdict verdict = Verdict::unmeasured; // the worst of all
  std::vector<GpuReport> gpus;           // in the order of the subjects
  std::vector<Judged> links;             // peer and all_reduce
};

// Below `slow` (a share) the verdict is slow, below `fail` fail.
struct Bounds {
  double slow = 0, fail = 0;
};
struct Thresholds {
  Bounds limit, siblings;
};
// power_limited: see Chip. nvlink: the figure's way is NVLink and not PCIe (peer, all_reduce).
[[nodiscard]] Thresholds thresholds_of(Figure figure, bool power_limited, bool nvlink) noexcept;

// Bytes/s one way to the host: of the slot as the driver tells it, else of the chip; absent if
// neither is known.
[[nodiscard]] std::optional<double> host_limit(const Subject& gpu);
// NVLinks that join two GPUs, directly or through switches; nullopt: the driver does not tell.
[[nodiscard]] std::optional<unsigned> links_between(const Gpu& a, const Gpu& b);

// What the driver's counters, links and XIDs tell. `all`: for comparing links with siblings.
[[nodiscard]] std::vector<Finding> judge_health(const Subject& gpu, std::span<const Subject> all);

// Everything. A GPU of which nothing was measured fails: the check was asked for and could not
// tell.
[[nodiscard]] Report judge(std::span<const Subject> gpus, std::span<const Measured> figures);

} // namespace mlp::gpu
