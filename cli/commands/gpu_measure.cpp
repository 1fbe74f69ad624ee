// `mlp __gpu_measure`: the process in which `mlp gpu check` measures; a line of JSON an answer.
#include "cli/session.hpp"
#include "core/base/json.hpp"
#include "core/gpu/measuring.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  std::vector<gpu::Item> items;
  for (const std::string& text : arguments.all("ITEM"))
    items.push_back(gpu::parse_item(text));
  const auto gpus = static_cast<unsigned>(*arguments.integer("GPUS", 1, 1024));
  static_cast<void>(session.stop_token());
  gpu::measure_here(items, gpus, arguments.has("--full"), [&](const std::string& line) {
    session.output().emit_line(parse_json(line, "an answer"), line + "\n");
  });
}

} // namespace

extern const Command gpu_measure_command;
const Command gpu_measure_command = {
    .path = "__gpu_measure",
    .summary = "measure figures of GPUs; started by mlp itself",
    .category = Category::hidden,
    .arguments = {{.name = "GPUS", .help = "how many GPUs CUDA should see"},
                  {.name = "ITEM", .help = "FIGURE:GPU,...", .repeated = true}},
    .options = {{.name = "--full", .help = "take more time"}},
    .run = run};

} // namespace mlp
