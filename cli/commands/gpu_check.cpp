// `mlp gpu check`: are these GPUs as good as they should be? What a launcher runs before a long
// job.
#include "cli/gpus.hpp"
#include "cli/session.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/gpu/check.hpp"

#include <fmt/format.h>

#include <chrono>

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

std::string report_text(const gpu::CheckResult& result) {
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

Json report_json(const gpu::CheckResult& result) {
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

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  if (arguments.has("--quick") && arguments.has("--full"))
    throw Error(ErrorKind::usage, "--quick and --full exclude each other");
  gpu::Nvml nvml;
  const gpu::Inventory inventory = nvml.read(true);
  if (inventory.state == gpu::Driver::denied || inventory.state == gpu::Driver::broken)
    throw_driver_error(inventory);
  if (inventory.gpus.empty())
    throw Error(ErrorKind::unreachable,
                fmt::format("no GPU to check: {}", inventory.reason.empty()
                                                       ? "the NVIDIA driver finds none"
                                                       : inventory.reason));
  gpu::CheckOptions options{.full = arguments.has("--full"),
                            .stop = session.stop_token(),
                            .progress = &session.output().progress()};
  const auto named = arguments.get("--gpu");
  options.gpus = named ? gpu::named_gpus(inventory, *named)
                       : gpu::visible_gpus(inventory, get_env("CUDA_VISIBLE_DEVICES"));
  if (options.gpus.empty())
    throw Error(ErrorKind::unreachable, "no GPU to check: CUDA_VISIBLE_DEVICES leaves none")
        .with_hint("mlp gpu ls shows all of them; --gpu names some");
  options.program = {this_executable().native(), "__gpu_measure"};
  if (options.full) options.program.emplace_back("--full");

  const auto began = std::chrono::steady_clock::now();
  const gpu::CheckResult result = gpu::check(nvml, inventory, options);
  Json record = report_json(result);
  record["mode"] = options.full ? "full" : "quick";
  record["seconds"] =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  record["driver"] = inventory.driver ? Json(*inventory.driver) : Json();
  record["xids_known"] = inventory.xids_known;
  session.output().emit(record, TextView{report_text(result)});
  if (result.report.verdict == Verdict::fail) session.set_verdict(ErrorKind::failed);
}

} // namespace

extern const Command gpu_check_command;
const Command gpu_check_command = {
    .path = "gpu check",
    .summary = "measure the GPUs and tell a good one from a slow or broken one",
    .category = Category::training,
    .options = {{.name = "--quick", .help = "some 10 seconds a GPU (the default)"},
                {.name = "--full",
                 .help = "minutes: longer runs, nearly all memory, all pairs of GPUs"},
                {.name = "--gpu",
                 .value = "LIST",
                 .help = "only these, by number or UUID: 0,2 (default: those that "
                         "CUDA_VISIBLE_DEVICES leaves)"}},
    .examples = {{"mlp gpu check", "before a job: pass, slow or fail"},
                 {"mlp gpu check --full --json > node17.json", "a thorough check, kept"},
                 {"mlp gpu check --gpu 0,1", "two of the GPUs"}},
    .run = run};

} // namespace mlp
