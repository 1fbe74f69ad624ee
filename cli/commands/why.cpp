// `mlp why`: why a run does not run, in one line, and who is before it.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/job/host_queue.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

namespace {

Json entry_record(const job::QueueEntry& entry) {
  return json_object({{"run", entry.run},
                      {"project", entry.project},
                      {"user", entry.user},
                      {"state", entry.running ? "running" : "queued"},
                      {"cpus", static_cast<double>(entry.demand.millicpus) / 1000},
                      {"memory_bytes", entry.demand.memory_mib << 20},
                      {"gpus", entry.demand.gpus}});
}

void run(Session& session) {
  const track::RunRecord record =
      track::read_run(find_run_folder(session, *session.arguments().get("RUN")));
  const std::vector<job::QueueEntry> queue = job::read_host_queue(job::host_queue_folder());
  const auto mine = std::ranges::find(queue, record.spec.id, &job::QueueEntry::run);
  Json before = json_array();
  std::string text = fmt::format("run {} is {}", record.spec.id, track::state_name(record.state));
  if (mine != queue.end() && !mine->running) {
    std::size_t waiting = 0;
    std::string list;
    for (auto entry = queue.begin(); entry != mine; ++entry) {
      waiting += entry->running ? 0 : 1;
      before.push_back(entry_record(*entry));
      if (before.size() <= 10)
        list += fmt::format("  {} run {} of {}: {}\n",
                            entry->running ? "running:" : "before it:", printable(entry->run),
                            printable(entry->user), job::demand_text(entry->demand));
    }
    if (before.size() > 10) list += fmt::format("  and {} more\n", before.size() - 10);
    text += fmt::format(": it waits for {} of this machine; {} {} ahead of it\n{}",
                        job::demand_text(mine->demand), waiting,
                        waiting == 1 ? "run is" : "runs are", list);
  } else {
    text += record.reason.empty() ? "\n" : fmt::format(": {}\n", printable(record.reason));
  }
  session.output().emit(json_object({{"run", record.spec.id},
                                     {"state", track::state_name(record.state)},
                                     {"reason", record.reason},
                                     {"before", std::move(before)}}),
                        TextView{text});
}

} // namespace

extern const Command why_command;
const Command why_command = {
    .path = "why",
    .summary = "say why a run waits, or ended as it did",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .complete = complete_runs}},
    .examples = {{"mlp why latest", "what the newest run waits for, and who is before it"}},
    .run = run};

} // namespace mlp
