// A check's result as text and as JSON.
#include "cli/gpu_report.hpp"

#include "cli/gpus.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

using gpu::Figure;
using gpu::Judged;
using gpu::Verdict;

std::string rate_text(Figure figure, double value) {
  if (gpu::is_matrix(figure)) return fmt::format("{:.1f} TFLOP/s", value / 1e12);
  return value >= 1e12 ? fmt::format("{:.2f} TB/s", value / 1e12)
                       : fmt::format("{:.1f} GB/s", value / 1e9);
}

std::string measured_text(const Judged& judged) {
  const gpu::Measured& measured = judged.measured;
  if (judged.verdict == Verdict::unmeasured || !measured.failed.empty()) return "-";
  if (measured.figure == Figure::pattern) return format_bytes(measured.bytes);
  return rate_text(measured.figure, measured.median);
}

// "  copy               3.02 TB/s   90 % of 3.35 TB/s     100 % of siblings  pass": 79 columns
std::string figure_line(std::string_view name, const Judged& judged) {
  const std::string of_limit = judged.share
                                   ? fmt::format("{:3.0f} % of {}", *judged.share * 100,
                                                 rate_text(judged.measured.figure, *judged.limit))
                                   : "";
  const std::string beside =
      judged.of_siblings ? fmt::format("{:3.0f} % of siblings", *judged.of_siblings * 100) : "";
  const std::string_view verdict = gpu::verdict_name(judged.verdict);
  std::string line = of_limit.empty() && beside.empty()
                         ? fmt::format("  {:<15}{:>13}  {}\n", name, measured_text(judged), verdict)
                         : fmt::format("  {:<15}{:>13}  {:<22}  {:<17}  {}\n", name,
                                       measured_text(judged), of_limit, beside, verdict);
  if (!judged.why.empty()) line += fmt::format("  {:<15}  {}\n", "", printable(judged.why));
  return line;
}

std::string link_name(const Judged& judged) {
  std::string gpus;
  const bool pair = judged.measured.figure == Figure::peer;
  for (const unsigned index : judged.measured.gpus)
    gpus += fmt::format("{}{}", gpus.empty() ? "" : pair ? ">" : ",", index);
  return pair ? "peer " + gpus : "all_reduce";
}

template <class T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json figure_json(const Judged& judged) {
  const gpu::Measured& measured = judged.measured;
  const bool done = measured.failed.empty() && measured.skipped.empty();
  Json record = json_object({{"figure", gpu::figure_name(measured.figure)},
                             {"gpus", Json(measured.gpus)},
                             {"verdict", gpu::verdict_name(judged.verdict)},
                             {"why", judged.why},
                             {"unit", gpu::is_matrix(measured.figure) ? "flop/s" : "bytes/s"},
                             {"value", done ? Json(measured.median) : Json()},
                             {"best", done ? Json(measured.best) : Json()},
                             {"repetitions", measured.repetitions},
                             {"amount", measured.bytes},
                             {"limit", value_or_null(judged.limit)},
                             {"share", value_or_null(judged.share)},
                             {"siblings", value_or_null(judged.siblings)},
                             {"of_siblings", value_or_null(judged.of_siblings)}});
  if (measured.figure == Figure::pattern) record["mismatches"] = measured.mismatches;
  return record;
}

} // namespace

std::string gpu_report_text(const gpu::CheckResult& result) {
  std::string text;
  for (std::size_t i = 0; i < result.report.gpus.size(); ++i) {
    const gpu::GpuReport& own = result.report.gpus[i];
    const gpu::Gpu& described = result.subjects[i].before;
    text += fmt::format("GPU {}  {}  {}: {}\n", own.index, short_model(described),
                        printable(described.bus_id.value_or("")), gpu::verdict_name(own.verdict));
    for (const Judged& judged : own.figures)
      text += figure_line(gpu::figure_name(judged.measured.figure), judged);
    for (const gpu::Finding& finding : own.findings)
      text += fmt::format(
          "  {}: {}\n",
          finding.verdict == Verdict::unmeasured ? "note" : gpu::verdict_name(finding.verdict),
          printable(finding.text));
  }
  if (!result.report.links.empty()) text += "between GPUs\n";
  for (const Judged& judged : result.report.links)
    text += figure_line(link_name(judged), judged);
  return text + fmt::format("verdict: {}\n", gpu::verdict_name(result.report.verdict));
}

Json gpu_report_json(const gpu::CheckResult& result) {
  Json gpus = json_array();
  for (std::size_t i = 0; i < result.report.gpus.size(); ++i) {
    const gpu::GpuReport& own = result.report.gpus[i];
    const gpu::Subject& subject = result.subjects[i];
    Json figures = json_array(), findings = json_array();
    for (const Judged& judged : own.figures)
      figures.push_back(figure_json(judged));
    for (const gpu::Finding& finding : own.findings)
      findings.push_back(
          json_object({{"verdict", finding.verdict == Verdict::unmeasured
                                       ? "note"
                                       : std::string(gpu::verdict_name(finding.verdict))},
                       {"text", finding.text}}));
    gpus.push_back(
        json_object({{"index", own.index},
                     {"verdict", gpu::verdict_name(own.verdict)},
                     {"chip", subject.chip == nullptr ? Json() : Json(subject.chip->name)},
                     {"figures", figures},
                     {"findings", findings},
                     {"temperature_c_max", value_or_null(subject.load.temperature)},
                     {"power_w_max", value_or_null(subject.load.power)},
                     {"throttle_seen", gpu::throttle_names(subject.load.throttle)},
                     {"state", gpu_json(subject.after)}}));
  }
  Json links = json_array();
  for (const Judged& judged : result.report.links)
    links.push_back(figure_json(judged));
  return json_object(
      {{"verdict", gpu::verdict_name(result.report.verdict)}, {"gpus", gpus}, {"links", links}});
}

} // namespace mlp
