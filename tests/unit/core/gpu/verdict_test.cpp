// Verdicts: figures against the data sheet and against siblings, and what fails at once.
#include "core/gpu/verdict.hpp"

#include <catch2/catch.hpp>

#include <functional>

using namespace mlp::gpu;

namespace {

constexpr unsigned h100_links = 18;

Subject h100(unsigned index) {
  Gpu gpu{.index = index};
  gpu.model = "NVIDIA H100 80GB HBM3";
  gpu.bus_id = "0000:0" + std::to_string(index) + ":00.0";
  gpu.pcie_generation_max = 5;
  gpu.pcie_width_max = 16;
  gpu.nvlinks = gpu.nvlinks_active = h100_links;
  gpu.nvlink_ends.assign(h100_links, "switch");
  return {.before = gpu, .after = gpu, .chip = find_chip(*gpu.model, std::nullopt)};
}

Subject unknown(unsigned index) {
  Gpu gpu{.index = index};
  gpu.model = "NVIDIA Z9";
  return {.before = gpu, .after = gpu};
}

Measured rate(Figure figure, std::vector<unsigned> gpus, double value) {
  return {
      .figure = figure, .gpus = std::move(gpus), .median = value, .best = value, .repetitions = 5};
}

bool has_text(const std::vector<Finding>& findings, std::string_view part, Verdict verdict) {
  for (const Finding& finding : findings)
    if (finding.text.find(part) != std::string::npos) return finding.verdict == verdict;
  return false;
}

} // namespace

TEST_CASE("a figure is held against the chip's data sheet") {
  const std::vector<Subject> gpus = {h100(0)};
  const auto verdict_of = [&](Figure figure, double value) {
    const std::vector<Measured> figures = {rate(figure, {0}, value)};
    return judge(gpus, figures).gpus.at(0).figures.at(0);
  };
  CHECK(verdict_of(Figure::copy, 3.0e12).verdict == Verdict::pass);
  CHECK(*verdict_of(Figure::copy, 3.35e12 / 2).share == Approx(0.5));
  CHECK(verdict_of(Figure::copy, 2.4e12).verdict == Verdict::slow);
  CHECK(verdict_of(Figure::copy, 1.5e12).verdict == Verdict::fail);
  CHECK(verdict_of(Figure::bf16, 650e12).verdict == Verdict::pass);
  CHECK(verdict_of(Figure::bf16, 500e12).verdict == Verdict::slow);
  CHECK(verdict_of(Figure::tf32, 150e12).verdict == Verdict::fail);
  CHECK(verdict_of(Figure::host_to_device, 53e9).verdict == Verdict::pass);
  CHECK(verdict_of(Figure::device_to_host, 25e9).verdict == Verdict::fail);
  const Judged slow = verdict_of(Figure::copy, 2.4e12);
  CHECK(slow.why == "72 % of the limit; 75 % or more is expected");
  CHECK_FALSE(slow.siblings.has_value());
}

TEST_CASE("the host link's limit is that of the slot, not of the chip") {
  std::vector<Subject> gpus = {h100(0)};
  gpus[0].before.pcie_generation_max = 4;
  const std::vector<Measured> figures = {rate(Figure::host_to_device, {0}, 26e9)};
  CHECK(judge(gpus, figures).verdict == Verdict::pass);
  gpus[0].before.pcie_generation_max.reset();
  CHECK(*host_limit(gpus[0]) == Approx(63e9).epsilon(0.01));
  CHECK_FALSE(host_limit(unknown(0)).has_value());
  Subject grace{.chip = find_chip("NVIDIA GB200", std::nullopt)};
  CHECK(*host_limit(grace) == Approx(450e9));
}

TEST_CASE("one slow GPU stands out from its siblings, and they do not suffer for it") {
  const std::vector<Subject> gpus = {h100(0), h100(1), h100(2), h100(3)};
  std::vector<Measured> figures;
  for (unsigned i = 0; i < 4; ++i)
    figures.push_back(rate(Figure::copy, {i}, i == 2 ? 2.7e12 : 3.0e12));
  const Report report = judge(gpus, figures);
  CHECK(report.verdict == Verdict::slow);
  CHECK(report.gpus[0].verdict == Verdict::pass);
  CHECK(report.gpus[2].verdict == Verdict::slow);
  CHECK(*report.gpus[2].figures[0].of_siblings == Approx(0.9));
  CHECK(report.gpus[2].figures[0].why == "90 % of its siblings' median; 95 % or more is expected");
  CHECK(*report.gpus[0].figures[0].of_siblings == Approx(1.0));
}

TEST_CASE("of two GPUs the slower one is told, though nobody knows the chip") {
  const std::vector<Subject> gpus = {unknown(0), unknown(1)};
  const std::vector<Measured> figures = {rate(Figure::bf16, {0}, 100e12),
                                         rate(Figure::bf16, {1}, 60e12)};
  const Report report = judge(gpus, figures);
  CHECK(report.gpus[0].verdict == Verdict::pass);
  CHECK(report.gpus[1].verdict == Verdict::fail);
  CHECK_FALSE(report.gpus[0].figures[0].share.has_value());
  CHECK(has_text(report.gpus[0].findings, "no data sheet of 'NVIDIA Z9'", Verdict::unmeasured));
}

TEST_CASE("GPUs of different models are no siblings, nor are those that were not measured") {
  const std::vector<Subject> gpus = {h100(0), unknown(1), h100(2)};
  std::vector<Measured> figures = {rate(Figure::copy, {0}, 3.0e12),
                                   rate(Figure::copy, {1}, 9.0e12)};
  figures.push_back({.figure = Figure::copy, .gpus = {2}, .failed = "cannot copy"});
  const Report report = judge(gpus, figures);
  CHECK_FALSE(report.gpus[0].figures[0].siblings.has_value());
  CHECK(report.gpus[0].verdict == Verdict::pass);
  CHECK(report.gpus[2].verdict == Verdict::fail);
  CHECK(report.gpus[2].figures[0].why == "cannot copy");
}

TEST_CASE("a figure that the place lacks changes nothing, but nothing at all is no pass") {
  const std::vector<Subject> gpus = {h100(0)};
  const Measured skipped{.figure = Figure::bf16, .gpus = {0}, .skipped = "cuBLASLt is missing"};
  std::vector<Measured> figures = {rate(Figure::copy, {0}, 3.0e12), skipped};
  const Report report = judge(gpus, figures);
  CHECK(report.verdict == Verdict::pass);
  CHECK(report.gpus[0].figures[1].verdict == Verdict::unmeasured);
  CHECK(report.gpus[0].figures[1].why == "cuBLASLt is missing");
  figures = {skipped};
  CHECK(judge(gpus, figures).verdict == Verdict::fail);
  CHECK(has_text(judge(gpus, {}).gpus[0].findings, "nothing could be measured", Verdict::fail));
}

TEST_CASE("one wrong word of memory fails") {
  const std::vector<Subject> gpus = {h100(0)};
  Measured pattern = rate(Figure::pattern, {0}, 1e9);
  CHECK(judge(gpus, std::vector{pattern}).verdict == Verdict::pass);
  pattern.mismatches = 1;
  const Report report = judge(gpus, std::vector{pattern});
  CHECK(report.verdict == Verdict::fail);
  CHECK(report.gpus[0].figures[0].why == "1 words of memory read back wrong");
}

TEST_CASE("what the driver counts fails at once, whatever the figures say") {
  const auto findings_of = [](const std::function<void(Subject&)>& change) {
    std::vector<Subject> gpus = {h100(0)};
    change(gpus[0]);
    return judge_health(gpus[0], gpus);
  };
  CHECK(findings_of([](Subject&) {}).empty());
  CHECK(has_text(findings_of([](Subject& s) { s.after.ecc_uncorrected = 3; }),
                 "3 uncorrected ECC errors", Verdict::fail));
  CHECK(findings_of([](Subject& s) { s.after.ecc_uncorrected = 0; }).empty());
  CHECK(has_text(findings_of([](Subject& s) { s.after.remap_pending = true; }),
                 "wait to be remapped", Verdict::fail));
  CHECK(has_text(findings_of([](Subject& s) { s.after.remap_failed = true; }),
                 "could not be remapped", Verdict::fail));
  CHECK(has_text(findings_of([](Subject& s) { s.after.retirement_pending = true; }),
                 "wait to be retired", Verdict::fail));
  CHECK(has_text(findings_of([](Subject& s) { s.after.lost = "GPU is lost"; }), "lost",
                 Verdict::fail));
  CHECK(has_text(findings_of([](Subject& s) { s.xids = {79}; }), "XID 79: the GPU has fallen",
                 Verdict::fail));
  CHECK(has_text(findings_of([](Subject& s) {
                   s.after.xids = {48, 48};
                 }),
                 "XID 48", Verdict::fail));
  CHECK(has_text(findings_of([](Subject& s) { s.after.xids = {13}; }), "XID 13",
                 Verdict::unmeasured));
  CHECK(has_text(findings_of([](Subject& s) {
                   s.before.ecc_corrected = 2;
                   s.after.ecc_corrected = 5;
                 }),
                 "3 ECC errors were corrected", Verdict::unmeasured));
  CHECK(has_text(findings_of([](Subject& s) { s.before.ecc = false; }), "ECC is off",
                 Verdict::unmeasured));
  CHECK(has_text(findings_of([](Subject& s) { s.before.processes = {{GpuProcess{.pid = 1}}}; }),
                 "1 other processes", Verdict::unmeasured));
}

TEST_CASE("a link that stays narrow or slow under load is slow, an idle one is not") {
  std::vector<Subject> gpus = {h100(0), h100(1)};
  gpus[0].before.pcie_generation = 1; // idle links go down to save power
  CHECK(judge_health(gpus[0], gpus).empty());
  gpus[0].load.pcie_generation = 5;
  gpus[0].load.pcie_width = 16;
  CHECK(judge_health(gpus[0], gpus).empty());
  gpus[0].load.pcie_generation = 3;
  gpus[0].load.pcie_width = 8;
  const auto findings = judge_health(gpus[0], gpus);
  CHECK(has_text(findings, "PCIe runs at generation 3", Verdict::slow));
  CHECK(has_text(findings, "PCIe runs with 8 lanes", Verdict::slow));
  gpus[1].before.nvlinks_active = 17;
  CHECK(has_text(judge_health(gpus[1], gpus), "17 NVLinks are active; a sibling has 18",
                 Verdict::slow));
}

TEST_CASE("heat and power supply that hold the clocks back are slow, the power cap is not") {
  std::vector<Subject> gpus = {h100(0)};
  gpus[0].load.throttle = throttle_power_cap | throttle_gpu_idle;
  CHECK(judge_health(gpus[0], gpus).empty());
  gpus[0].load.throttle |= throttle_thermal_hardware;
  gpus[0].load.temperature = 92;
  CHECK(has_text(judge_health(gpus[0], gpus),
                 "clocks were held back under load: thermal_hardware (up to 92 C)", Verdict::slow));
}

TEST_CASE("a pair's limit is what joins the two: links, a switch, or PCIe") {
  Subject a = h100(0), b = h100(1);
  CHECK(links_between(a.before, b.before) == 18U);
  a.before.nvlink_ends.assign(4, *b.before.bus_id);
  a.before.nvlinks_active = 4;
  CHECK(links_between(a.before, b.before) == 4U);
  a.before.nvlink_ends.assign(4, "0000:77:00.0");
  CHECK(links_between(a.before, b.before) == 0U);
  a.before.nvlink_ends.assign(4, "");
  CHECK_FALSE(links_between(a.before, b.before).has_value());
  a.before.nvlinks_active.reset();
  CHECK_FALSE(links_between(a.before, b.before).has_value());

  const std::vector<Subject> joined = {h100(0), h100(1)};
  const std::vector<Measured> figures = {rate(Figure::peer, {0, 1}, 390e9),
                                         rate(Figure::peer, {1, 0}, 120e9),
                                         rate(Figure::all_reduce, {0, 1}, 350e9)};
  const Report report = judge(joined, figures);
  REQUIRE(report.links.size() == 3);
  CHECK(*report.links[0].limit == Approx(450e9));
  CHECK(report.links[0].verdict == Verdict::pass);
  CHECK(report.links[1].verdict == Verdict::fail);
  CHECK(*report.links[2].limit == Approx(450e9));
  CHECK(report.links[2].verdict == Verdict::pass);
  CHECK(report.verdict == Verdict::fail);

  std::vector<Subject> apart = joined;
  for (Subject& gpu : apart) {
    gpu.before.nvlinks = gpu.before.nvlinks_active = 0;
    gpu.before.nvlink_ends.clear();
  }
  const std::vector<Measured> over_pcie = {rate(Figure::peer, {0, 1}, 30e9)};
  const Report slower = judge(apart, over_pcie);
  CHECK(*slower.links[0].limit == Approx(63e9).epsilon(0.01));
  CHECK(slower.links[0].verdict == Verdict::pass);
}

TEST_CASE("a board that its power limits is expected to do less, and verdicts have an order") {
  CHECK(thresholds_of(Figure::bf16, true, false).limit.slow <
        thresholds_of(Figure::bf16, false, false).limit.slow);
  for (const Figure figure :
       {Figure::copy, Figure::bf16, Figure::host_to_device, Figure::peer, Figure::all_reduce}) {
    const Thresholds thresholds = thresholds_of(figure, false, true);
    CHECK(thresholds.limit.fail < thresholds.limit.slow);
    CHECK(thresholds.siblings.fail <= thresholds.siblings.slow);
  }
  CHECK(Verdict::unmeasured < Verdict::pass);
  CHECK(Verdict::slow < Verdict::fail);
  CHECK(parse_figure("all_reduce") == Figure::all_reduce);
  CHECK_FALSE(parse_figure("nonsense").has_value());
}
