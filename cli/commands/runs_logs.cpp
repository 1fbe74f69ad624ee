// `mlp runs logs`: what a run's program wrote, byte for byte.
#include "backends/compute/local/local.hpp"
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/job/program_output.hpp"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <thread>

namespace mlp {

namespace {

constexpr std::size_t chunk_bytes = 256u << 10;

// The lines of one process of several, from text that comes in parts.
class LinesOf {
 public:
  explicit LinesOf(std::int64_t rank)
      : prefixes_{job::line_prefix(fmt::format("rank {}", rank)),
                  job::line_prefix(fmt::format("node {}", rank))} {}

  std::string take(std::string_view text) {
    std::string out;
    rest_ += text;
    std::size_t start = 0;
    for (std::size_t end = 0; (end = rest_.find('\n', start)) != std::string::npos; start = end + 1)
      for (const std::string& prefix : prefixes_)
        if (std::string_view(rest_).substr(start).starts_with(prefix))
          out.append(rest_, start + prefix.size(), end + 1 - start - prefix.size());
    rest_.erase(0, start);
    if (rest_.size() > chunk_bytes) rest_.clear(); // no line that a supervisor wrote
    return out;
  }

 private:
  std::array<std::string, 2> prefixes_;
  std::string rest_;
};

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  const track::RunFolder folder = find_run_folder(session, *arguments.get("RUN"));
  local::LocalBackend backend(this_executable());
  const auto stream = arguments.has("--stderr") ? job::LogStream::err : job::LogStream::out;
  const bool follow = arguments.has("--follow");
  std::optional<LinesOf> one;
  if (const auto rank = arguments.integer("--rank", 0, 1'000'000)) one.emplace(*rank);
  std::uint64_t offset = 0;
  const std::stop_token stop = session.stop_token();
  while (true) {
    throw_if_stopped(stop);
    const job::LogChunk chunk = backend.logs(folder.root.native(), stream, offset, chunk_bytes);
    offset = chunk.next;
    if (chunk.left_out > 0)
      session.output().status(format_bytes(chunk.left_out) +
                              " are left out here: they were not kept");
    const std::string text = one ? one->take(chunk.text) : chunk.text;
    if (!text.empty())
      session.output().emit_line(
          json_object({{"run", folder.id()},
                       {"stream", arguments.has("--stderr") ? "stderr" : "stdout"},
                       {"offset", offset - chunk.text.size()},
                       {"text", text}}),
          text);
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
                {.name = "--stderr", .help = "standard error instead of standard output"},
                {.name = "--rank",
                 .value = "N",
                 .help = "the lines of that rank alone (or node), for a run of several"}},
    .examples = {{"mlp runs logs latest", "the output of the newest run"},
                 {"mlp runs logs -f latest", "the same while it runs"},
                 {"mlp runs logs latest --stderr", "its errors"}},
    .run = run};

} // namespace mlp
