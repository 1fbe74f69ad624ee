// `mlp runs diff`: what two runs do not have in common.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/run_diff.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

Json value_of(const std::optional<std::string>& json) {
  return json ? parse_json(*json, "run") : Json(nullptr);
}

// A command or a list may be long: people get its beginning.
Json shown(const Json& value) {
  constexpr std::size_t widest = 44;
  if (value.is_string()) {
    const std::string text = value.get<std::string>();
    if (text.starts_with("sha256:")) return text.substr(0, 19);
    return first_line(text, widest);
  }
  if (value.is_structured()) return first_line(dump_json(value), widest);
  return value;
}

void run(Session& session) {
  const track::RunRecord a =
      track::read_run(find_run_folder(session, *session.arguments().get("A")));
  const track::RunRecord b =
      track::read_run(find_run_folder(session, *session.arguments().get("B")));
  const bool for_people = !session.output().options().json;
  Json differences = json_array();
  bool other_commit = false;
  for (const track::RunDifference& difference : track::diff_runs(a, b)) {
    other_commit = other_commit || (difference.group == "code" && difference.name == "commit" &&
                                    difference.a && difference.b);
    const Json left = value_of(difference.a), right = value_of(difference.b);
    Json row = json_object({{"group", difference.group},
                            {"name", difference.name},
                            {"a", for_people ? shown(left) : left},
                            {"b", for_people ? shown(right) : right}});
    if (for_people) row["what"] = difference.group + "." + difference.name;
    differences.push_back(std::move(row));
  }
  session.output().emit(
      json_object({{"a", a.spec.id}, {"b", b.spec.id}, {"differences", std::move(differences)}}),
      TableView{.rows = "differences",
                .columns = {{"what", "WHAT"}, {"a", a.spec.id}, {"b", b.spec.id}},
                .empty = "the runs do not differ"});
  if (other_commit)
    session.output().status(fmt::format("the source: git diff {:.12} {:.12}",
                                        printable(a.spec.source->commit),
                                        printable(b.spec.source->commit)));
}

} // namespace

extern const Command runs_diff_command;
const Command runs_diff_command = {
    .path = "runs diff",
    .summary = "show how two runs differ: spec, code, data, params, metrics",
    .category = Category::training,
    .arguments = {{.name = "A",
                   .help = "'latest', or any part of a run's id that is its own",
                   .complete = complete_runs},
                  {.name = "B", .help = "the other run", .complete = complete_runs}},
    .examples = {{"mlp runs diff k3f9qx latest", "what changed since that run"},
                 {"mlp runs diff k3f9qx 0d7m2w --json", "for a script"}},
    .run = run};

} // namespace mlp
