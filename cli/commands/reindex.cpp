// `mlp reindex`: makes the index of runs anew from their journals.
#include "cli/runs.hpp"
#include "core/base/digest.hpp"
#include "core/base/json.hpp"
#include "core/config/project.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  config::make_state_folders(session.project());
  track::RunIndex index(index_paths(session.project()));
  const std::size_t runs = index.rebuild();
  session.output().emit(json_object({{"runs", runs}, {"digest", sha256(index.dump()).text()}}),
                        TextView{fmt::format("{} {} indexed\n", runs, runs == 1 ? "run" : "runs")});
}

} // namespace

extern const Command reindex_command;
const Command reindex_command = {
    .path = "reindex",
    .summary = "make the index of runs anew from their journals",
    .category = Category::training,
    .examples = {{"mlp reindex", "after files below .mlp/ were changed by hand"}},
    .run = run};

} // namespace mlp
