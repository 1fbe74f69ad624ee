// `mlp remote rm`: forget a remote. What lies there stays.
#include "cli/completers.hpp"
#include "cli/session.hpp"
#include "core/base/json.hpp"
#include "core/config/edit.hpp"
#include "core/config/project.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const std::string name = session.arguments().get_or("NAME", "");
  config::remove_remote(session.project(), name);
  session.output().emit(json_object({{"name", name}}),
                        TextView{fmt::format("{} is no remote any more; its data stays\n", name)});
}

} // namespace

extern const Command remote_rm_command;
const Command remote_rm_command = {
    .path = "remote rm",
    .summary = "forget a remote; its data stays",
    .category = Category::data,
    .arguments = {{.name = "NAME", .help = "the remote", .complete = complete_remotes}},
    .examples = {{"mlp remote rm origin", "remove the remote from mlp.yaml"}},
    .run = run};

} // namespace mlp
