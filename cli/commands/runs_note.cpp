// `mlp runs note`: a person's remark on a run, in the run's own journal.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/track/annotations.hpp"

#include <fmt/format.h>
#include <unistd.h>

namespace mlp {

namespace {

// Stops a byte above the limit, which note_run() then complains of.
std::string standard_input() {
  File input(STDIN_FILENO, "standard input");
  std::string text(track::max_note_bytes + 1, '\0');
  std::size_t size = 0;
  try {
    while (size < text.size()) {
      const std::size_t n =
          input.read(std::as_writable_bytes(std::span(text.data() + size, text.size() - size)));
      if (n == 0) break;
      size += n;
    }
  } catch (...) {
    input.release();
    throw;
  }
  input.release();
  text.resize(size);
  while (text.ends_with('\n'))
    text.pop_back();
  return text;
}

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  const track::RunFolder folder = find_run_folder(session, *arguments.get("RUN"));
  std::string text = *arguments.get("TEXT");
  if (text == "-") text = standard_input();
  const bool changed = track::note_run(folder, text);
  session.output().emit(json_object({{"run", folder.id()}, {"note", text}, {"changed", changed}}),
                        TextView{});
  session.output().status(text.empty() ? fmt::format("{} has no note", folder.id())
                                       : fmt::format("noted on {}", folder.id()));
}

} // namespace

extern const Command runs_note_command;
const Command runs_note_command = {
    .path = "runs note",
    .summary = "write a note on a run",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .complete = complete_runs},
                  {.name = "TEXT",
                   .help = "replaces the note that it has; '' takes it away, - reads it from "
                           "standard input"}},
    .examples = {{"mlp runs note latest 'lr too high'", "say what was seen"},
                 {"mlp runs note k3f9qx - < remarks.txt", "from a file"}},
    .run = run};

} // namespace mlp
