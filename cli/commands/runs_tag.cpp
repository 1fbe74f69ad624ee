// `mlp runs tag`: words by which people find runs again, in the run's own journal.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/annotations.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  const track::RunFolder folder = find_run_folder(session, *arguments.get("RUN"));
  const std::vector<std::string> tags = arguments.all("TAG");
  const std::vector<std::string> none;
  const bool removes = arguments.has("--delete");
  const bool changed = track::tag_run(folder, removes ? none : tags, removes ? tags : none);
  const std::vector<std::string> now = track::read_journals(folder).tags;
  session.output().emit(
      json_object({{"run", folder.id()}, {"tags", now}, {"changed", changed}}),
      TextView{fmt::format("{}: {}\n", folder.id(), now.empty() ? "no tags" : join(now, ", "))});
}

} // namespace

std::vector<Candidate> complete_run_tags(Session& session) {
  std::vector<Candidate> out;
  track::RunIndex index(index_paths(session.project()));
  for (std::string& tag : index.names(track::RunField::Kind::tags, 100))
    out.push_back({std::move(tag), ""});
  return out;
}

extern const Command runs_tag_command;
const Command runs_tag_command = {
    .path = "runs tag",
    .summary = "give a run tags, or take them away",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .complete = complete_runs},
                  {.name = "TAG",
                   .help = "a word, or several in quotes",
                   .repeated = true,
                   .complete = complete_run_tags}},
    .options = {{.name = "--delete", .help = "take the tags away", .letter = 'd'}},
    .examples = {{"mlp runs tag latest keep paper", "add two tags"},
                 {"mlp runs tag k3f9qx --delete keep", "take one away"},
                 {"mlp runs ls --where 'tags = keep'", "find them again"}},
    .run = run};

} // namespace mlp
