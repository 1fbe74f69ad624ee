// The rules of `mlp gpu check`.
#include "core/gpu/verdict.hpp"

#include "core/gpu/xid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace mlp::gpu {

namespace {

constexpr std::array<std::string_view, 10> figure_names = {
    "copy",           "triad",          "bf16",    "tf32", "f32",
    "host_to_device", "device_to_host", "pattern", "peer", "all_reduce"};

const Subject* find_subject(std::span<const Subject> gpus, unsigned index) {
  const auto found = std::find_if(gpus.begin(), gpus.end(),
                                  [&](const Subject& gpu) { return gpu.before.index == index; });
  return found == gpus.end() ? nullptr : &*found;
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// The links of a pair, or the fewest among all pairs of an all-reduce; 0: it goes over PCIe.
unsigned links_of(std::span<const Subject> gpus, const Measured& measured) {
  std::optional<unsigned> fewest;
  for (std::size_t i = 0; i < measured.gpus.size(); ++i)
    for (std::size_t j = i + 1; j < measured.gpus.size(); ++j) {
      const Subject* a = find_subject(gpus, measured.gpus[i]);
      const Subject* b = find_subject(gpus, measured.gpus[j]);
      if (a == nullptr || b == nullptr) return 0;
      const unsigned links = links_between(a->before, b->before).value_or(0);
      fewest = std::min(fewest.value_or(links), links);
    }
  return fewest.value_or(0);
}

std::optional<double> chip_limit(Figure figure, const Chip& chip) {
  switch (figure) {
  case Figure::copy:
  case Figure::triad:
    return chip.memory;
  case Figure::bf16:
    return chip.bf16;
  case Figure::tf32:
    return chip.tf32;
  case Figure::f32:
    return chip.f32;
  default:
    return std::nullopt;
  }
}

// Over NVLink where the GPUs are joined by it, else over the narrowest of their PCIe links.
std::optional<double> link_limit(std::span<const Subject> gpus, const Measured& measured,
                                 unsigned links) {
  std::optional<double> least;
  for (const unsigned index : measured.gpus) {
    const Subject* gpu = find_subject(gpus, index);
    if (gpu == nullptr) return std::nullopt;
    std::optional<double> own;
    if (links == 0)
      own = host_limit(*gpu);
    else if (gpu->chip != nullptr && gpu->chip->nvlink_link)
      own = *gpu->chip->nvlink_link *
            (measured.figure == Figure::peer ? links : gpu->before.nvlinks_active.value_or(links));
    if (!own) return std::nullopt;
    least = std::min(least.value_or(*own), *own);
  }
  return least;
}

std::optional<double> limit_of(std::span<const Subject> gpus, const Measured& measured,
                               unsigned links) {
  if (measured.figure == Figure::peer || measured.figure == Figure::all_reduce)
    return link_limit(gpus, measured, links);
  const Subject* gpu = measured.gpus.empty() ? nullptr : find_subject(gpus, measured.gpus.front());
  if (gpu == nullptr) return std::nullopt;
  if (measured.figure == Figure::host_to_device || measured.figure == Figure::device_to_host)
    return host_limit(*gpu);
  return gpu->chip == nullptr ? std::nullopt : chip_limit(measured.figure, *gpu->chip);
}

// GPUs of one model, in the order that they are measured in: those of a sibling's figure must
// match.
bool same_models(std::span<const Subject> gpus, const Measured& a, const Measured& b) {
  if (a.gpus.size() != b.gpus.size()) return false;
  for (std::size_t i = 0; i < a.gpus.size(); ++i) {
    const Subject* one = find_subject(gpus, a.gpus[i]);
    const Subject* other = find_subject(gpus, b.gpus[i]);
    if (one == nullptr || other == nullptr || !one->before.model ||
        one->before.model != other->before.model)
      return false;
  }
  return true;
}

std::optional<double> siblings_median(std::span<const Subject> gpus,
                                      std::span<const Measured> figures, std::size_t self,
                                      unsigned links) {
  const Measured& own = figures[self];
  if (own.figure == Figure::all_reduce || own.figure == Figure::pattern) return std::nullopt;
  std::vector<double> values;
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const Measured& other = figures[i];
    if (i == self || other.figure != own.figure || other.median <= 0) continue;
    if (!same_models(gpus, own, other)) continue;
    if (own.figure == Figure::peer && links_of(gpus, other) != links) continue;
    values.push_back(other.median);
  }
  if (values.empty()) return std::nullopt;
  return median_of(std::move(values));
}

Verdict within(double share, Bounds bounds) {
  return share < bounds.fail ? Verdict::fail : share < bounds.slow ? Verdict::slow : Verdict::pass;
}

std::string percent(double share) {
  return fmt::format("{:.0f} %", share * 100);
}

void judge_rate(std::span<const Subject> gpus, std::span<const Measured> figures, std::size_t self,
                Judged& judged) {
  const Measured& measured = judged.measured;
  const unsigned links = measured.gpus.size() > 1 ? links_of(gpus, measured) : 0;
  const Subject* first =
      measured.gpus.empty() ? nullptr : find_subject(gpus, measured.gpus.front());
  const bool power_limited =
      first != nullptr && first->chip != nullptr && first->chip->power_limited;
  const Thresholds thresholds = thresholds_of(measured.figure, power_limited, links > 0);
  judged.verdict = Verdict::pass;
  judged.limit = limit_of(gpus, measured, links);
  if (judged.limit && *judged.limit > 0) {
    judged.share = measured.median / *judged.limit;
    judged.verdict = within(*judged.share, thresholds.limit);
    if (judged.verdict != Verdict::pass)
      judged.why = fmt::format("{} of the limit; {} or more is expected", percent(*judged.share),
                               percent(thresholds.limit.slow));
  }
  judged.siblings = siblings_median(gpus, figures, self, links);
  if (!judged.siblings) return;
  judged.of_siblings = measured.median / *judged.siblings;
  const Verdict beside = within(*judged.of_siblings, thresholds.siblings);
  if (beside > judged.verdict)
    judged.why = fmt::format("{} of its siblings' median; {} or more is expected",
                             percent(*judged.of_siblings), percent(thresholds.siblings.slow));
  judged.verdict = std::max(judged.verdict, beside);
}

Judged judge_one(std::span<const Subject> gpus, std::span<const Measured> figures,
                 std::size_t self) {
  Judged judged{.measured = figures[self]};
  const Measured& measured = judged.measured;
  if (!measured.failed.empty()) {
    judged.verdict = Verdict::fail;
    judged.why = measured.failed;
  } else if (!measured.skipped.empty()) {
    judged.why = measured.skipped;
  } else if (measured.figure == Figure::pattern) {
    judged.verdict = measured.mismatches == 0 ? Verdict::pass : Verdict::fail;
    if (measured.mismatches > 0)
      judged.why = fmt::format("{} words of memory read back wrong", measured.mismatches);
  } else {
    judge_rate(gpus, figures, self, judged);
  }
  return judged;
}

void add(std::vector<Finding>& findings, Verdict verdict, std::string_view text) {
  Finding& added = findings.emplace_back();
  added.verdict = verdict;
  added.text = text;
}

void judge_ecc(const Subject& gpu, std::vector<Finding>& findings) {
  const Gpu& now = gpu.after;
  if (now.ecc_uncorrected.value_or(0) > 0)
    findings.push_back({Verdict::fail, fmt::format("{} uncorrected ECC errors since the driver was "
                                                   "loaded",
                                                   *now.ecc_uncorrected)});
  if (now.remap_pending.value_or(false))
    add(findings, Verdict::fail, "memory rows wait to be remapped: reset the GPU");
  if (now.remap_failed.value_or(false))
    add(findings, Verdict::fail, "a memory row could not be remapped: replace the board");
  if (now.retirement_pending.value_or(false))
    add(findings, Verdict::fail, "memory pages wait to be retired: reset the GPU");
  if (now.ecc_corrected && gpu.before.ecc_corrected &&
      *now.ecc_corrected > *gpu.before.ecc_corrected)
    findings.push_back(
        {Verdict::unmeasured, fmt::format("{} ECC errors were corrected during the check",
                                          *now.ecc_corrected - *gpu.before.ecc_corrected)});
}

void judge_xids(const Subject& gpu, std::vector<Finding>& findings) {
  std::vector<int> all = gpu.after.xids;
  all.insert(all.end(), gpu.xids.begin(), gpu.xids.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  for (const int xid : all) {
    const auto words = xid_meaning(xid);
    findings.push_back(
        {xid_fatal(xid) ? Verdict::fail : Verdict::unmeasured,
         words ? fmt::format("XID {}: {}", xid, *words) : fmt::format("XID {}", xid)});
  }
}

void judge_links(const Subject& gpu, std::span<const Subject> all, std::vector<Finding>& findings) {
  const Gpu& now = gpu.before;
  if (gpu.load.pcie_generation && now.pcie_generation_max &&
      *gpu.load.pcie_generation < *now.pcie_generation_max)
    findings.push_back(
        {Verdict::slow, fmt::format("PCIe runs at generation {} under load; {} is possible here",
                                    *gpu.load.pcie_generation, *now.pcie_generation_max)});
  if (gpu.load.pcie_width && now.pcie_width_max && *gpu.load.pcie_width < *now.pcie_width_max)
    findings.push_back(
        {Verdict::slow, fmt::format("PCIe runs with {} lanes under load; {} are possible here",
                                    *gpu.load.pcie_width, *now.pcie_width_max)});
  unsigned most = 0;
  for (const Subject& other : all)
    if (other.before.model && other.before.model == now.model)
      most = std::max(most, other.before.nvlinks_active.value_or(0));
  if (now.nvlinks_active && *now.nvlinks_active < most)
    findings.push_back({Verdict::slow, fmt::format("{} NVLinks are active; a sibling has {}",
                                                   *now.nvlinks_active, most)});
}

void judge_heat(const Subject& gpu, std::vector<Finding>& findings) {
  const std::uint64_t harmful = gpu.load.throttle & throttle_harmful;
  if (harmful == 0) return;
  std::string words;
  for (const std::string& name : throttle_names(harmful))
    words += (words.empty() ? "" : ", ") + name;
  std::string text = fmt::format("clocks were held back under load: {}", words);
  if (gpu.load.temperature) text += fmt::format(" (up to {} C)", *gpu.load.temperature);
  findings.push_back({Verdict::slow, std::move(text)});
}

} // namespace

std::string_view figure_name(Figure figure) noexcept {
  return figure_names[static_cast<std::size_t>(figure)];
}

std::optional<Figure> parse_figure(std::string_view name) noexcept {
  const auto* found = std::find(figure_names.begin(), figure_names.end(), name);
  if (found == figure_names.end()) return std::nullopt;
  return static_cast<Figure>(found - figure_names.begin());
}

bool is_matrix(Figure figure) noexcept {
  return figure == Figure::bf16 || figure == Figure::tf32 || figure == Figure::f32;
}

std::string_view verdict_name(Verdict verdict) noexcept {
  constexpr std::array<std::string_view, 4> names = {"unmeasured", "pass", "slow", "fail"};
  return names[static_cast<std::size_t>(verdict)];
}

Thresholds thresholds_of(Figure figure, bool power_limited, bool nvlink) noexcept {
  switch (figure) {
  case Figure::copy:
  case Figure::triad:
    return {.limit = {0.75, 0.50}, .siblings = {0.95, 0.80}};
  case Figure::bf16:
  case Figure::tf32:
  case Figure::f32:
    return {.limit = power_limited ? Bounds{0.35, 0.20} : Bounds{0.60, 0.40},
            .siblings = {0.90, 0.70}};
  case Figure::host_to_device:
  case Figure::device_to_host:
    return {.limit = {0.70, 0.45}, .siblings = {0.85, 0.60}};
  case Figure::peer:
    return {.limit = nvlink ? Bounds{0.70, 0.40} : Bounds{0.40, 0.15}, .siblings = {0.85, 0.60}};
  case Figure::all_reduce:
    return {.limit = nvlink ? Bounds{0.50, 0.25} : Bounds{0.25, 0.10}};
  case Figure::pattern:
    break;
  }
  return {};
}

std::optional<double> host_limit(const Subject& gpu) {
  if (gpu.chip != nullptr && gpu.chip->host_link) return gpu.chip->host_link;
  double rate = 0;
  if (gpu.before.pcie_generation_max && gpu.before.pcie_width_max)
    rate = pcie_rate(*gpu.before.pcie_generation_max, *gpu.before.pcie_width_max);
  else if (gpu.chip != nullptr)
    rate = pcie_rate(gpu.chip->pcie_generation, gpu.chip->pcie_width);
  if (rate <= 0) return std::nullopt;
  return rate;
}

std::optional<unsigned> links_between(const Gpu& a, const Gpu& b) {
  if (!a.nvlinks_active || !b.nvlinks_active) return std::nullopt;
  if (*a.nvlinks_active == 0 || *b.nvlinks_active == 0) return 0;
  const auto count = [](const Gpu& gpu, std::string_view end) {
    return static_cast<unsigned>(std::count(gpu.nvlink_ends.begin(), gpu.nvlink_ends.end(), end));
  };
  if (count(a, "") == a.nvlink_ends.size() || count(b, "") == b.nvlink_ends.size())
    return std::nullopt; // the far ends are not told
  const unsigned direct = b.bus_id ? count(a, *b.bus_id) : 0;
  return direct + std::min(count(a, "switch"), count(b, "switch"));
}

std::vector<Finding> judge_health(const Subject& gpu, std::span<const Subject> all) {
  std::vector<Finding> findings;
  if (gpu.before.lost || gpu.after.lost)
    findings.push_back(
        {Verdict::fail, fmt::format("the driver has lost it: {}",
                                    gpu.after.lost ? *gpu.after.lost : *gpu.before.lost)});
  judge_ecc(gpu, findings);
  judge_xids(gpu, findings);
  judge_links(gpu, all, findings);
  judge_heat(gpu, findings);
  if (gpu.before.ecc && !*gpu.before.ecc)
    add(findings, Verdict::unmeasured, "ECC is off: memory errors are not counted");
  if (gpu.before.processes && !gpu.before.processes->empty())
    findings.push_back(
        {Verdict::unmeasured, fmt::format("{} other processes use it: figures may be "
                                          "low",
                                          gpu.before.processes->size())});
  if (gpu.chip == nullptr && gpu.before.model)
    findings.push_back({Verdict::unmeasured,
                        fmt::format("no data sheet of '{}' here: it is compared with its siblings "
                                    "only",
                                    *gpu.before.model)});
  return findings;
}

Report judge(std::span<const Subject> gpus, std::span<const Measured> figures) {
  Report report;
  for (const Subject& subject : gpus) {
    GpuReport own{.index = subject.before.index};
    own.findings = judge_health(subject, gpus);
    for (const Finding& finding : own.findings)
      own.verdict = std::max(own.verdict, finding.verdict);
    bool measured = false;
    for (std::size_t i = 0; i < figures.size(); ++i) {
      if (figures[i].gpus.size() != 1 || figures[i].gpus.front() != own.index) continue;
      own.figures.push_back(judge_one(gpus, figures, i));
      own.verdict = std::max(own.verdict, own.figures.back().verdict);
      measured = measured || own.figures.back().verdict != Verdict::unmeasured;
    }
    if (!measured) {
      add(own.findings, Verdict::fail, "nothing could be measured");
      own.verdict = Verdict::fail;
    }
    report.verdict = std::max(report.verdict, own.verdict);
    report.gpus.push_back(std::move(own));
  }
  for (std::size_t i = 0; i < figures.size(); ++i) {
    if (figures[i].gpus.size() < 2) continue;
    report.links.push_back(judge_one(gpus, figures, i));
    report.verdict = std::max(report.verdict, report.links.back().verdict);
  }
  return report;
}

} // namespace mlp::gpu
