// `mlp secret rm`: all of the named secrets go, or none.
#include "cli/completers.hpp"
#include "cli/secrets.hpp"
#include "core/base/json.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const std::vector<std::string> names = session.arguments().all("NAME");
  secret_store(session).remove(names);
  std::string text;
  Json removed = json_array();
  for (const std::string& name : names) {
    removed.push_back(name);
    text += fmt::format("removed secret {}\n", name);
  }
  session.output().emit(json_object({{"removed", std::move(removed)}}), TextView{text});
}

} // namespace

extern const Command secret_rm_command;
const Command secret_rm_command = {
    .path = "secret rm",
    .summary = "remove secrets",
    .category = Category::training,
    .arguments =
        {{.name = "NAME", .help = "the secrets", .repeated = true, .complete = complete_secrets}},
    .examples = {{"mlp secret rm HF_TOKEN", "the run that needs it next will say that it is gone"}},
    .run = run};

} // namespace mlp
