// `mlp runs logs`: what a run's program wrote, byte for byte.
#include "backends/compute/local/local.hpp"
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"

#include <thread>

namespace mlp {

namespace {

constexpr std::size_t chunk_bytes = 256u << 10;

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  const track::RunFolder folder = find_run_folder(session, *arguments.get("RUN"));
  local::LocalBackend backend(this_executable());
  const auto stream = arguments.has("--stderr") ? job::LogStream::err : job::LogStream::out;
  const bool follow = arguments.has("--follow");
  std::uint64_t offset = 0;
  const std::stop_token stop = session.stop_token();
  while (true) {
    throw_if_stopped(stop);
    const job::LogChunk chunk = backend.logs(folder.root.native(), stream, offset, chunk_bytes);
    offset = chunk.next;
    if (chunk.left_out > 0)
      session.output().status(format_bytes(chunk.left_out) +
                              " are left out here: they were not kept");
    if (!chunk.text.empty())
      session.output().emit_line(
          json_object({{"run", folder.id()},
                       {"stream", arguments.has("--stderr") ? "stderr" : "stdout"},
                       {"offset", offset - chunk.text.size()},
                       {"text", chunk.text}}),
          chunk.text);
    if (chunk.end || (!follow && !chunk.more)) return;
    if (chunk.text.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

} // namespace

extern const Command runs_logs_command;
const Command runs_logs_command = {
    .path = "runs logs",
    .summary = "print what a run's program has written",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .complete = complete_runs}},
    .options = {{.name = "--follow", .help = "go on until the run ends", .letter = 'f'},
                {.name = "--stderr", .help = "standard error instead of standard output"}},
    .examples = {{"mlp runs logs latest", "the output of the newest run"},
                 {"mlp runs logs -f latest", "the same while it runs"},
                 {"mlp runs logs latest --stderr", "its errors"}},
    .run = run};

} // namespace mlp
