// `mlp gpu check`: are these GPUs as good as they should be? What a launcher runs before a long
// job.
#include "cli/gpu_report.hpp"
#include "cli/gpus.hpp"
#include "cli/session.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/gpu/check.hpp"

#include <fmt/format.h>

#include <chrono>

namespace mlp {

namespace {

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
  Json record = gpu_report_json(result);
  record["mode"] = options.full ? "full" : "quick";
  record["seconds"] =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  record["driver"] = inventory.driver ? Json(*inventory.driver) : Json();
  record["xids_known"] = inventory.xids_known;
  session.output().emit(record, TextView{gpu_report_text(result)});
  if (result.report.verdict == gpu::Verdict::fail) session.set_verdict(ErrorKind::failed);
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
