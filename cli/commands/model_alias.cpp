// `mlp model alias`: names that move from version to version, such as champion.
#include "cli/completers.hpp"
#include "cli/models.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  model::ModelRegistry registry(session.project());
  const std::string alias = *arguments.get("ALIAS");
  const model::ModelReference reference = model::parse_model_reference(*arguments.get("MODEL"));
  if (arguments.has("--remove")) {
    if (!registry.remove_alias(reference.name, alias)) {
      std::vector<std::string> known;
      for (const auto& [name, number] : registry.aliases(reference.name))
        known.push_back(name);
      throw Error(ErrorKind::not_found,
                  fmt::format("model '{}' has no alias '{}'", reference.name, printable(alias)))
          .with_hint(suggestion_hint(alias, known, "aliases"));
    }
    session.output().emit(
        json_object({{"model", reference.name}, {"alias", alias}, {"removed", true}}),
        TextView{fmt::format("{}@{} removed\n", reference.name, alias)});
    return;
  }
  const model::ModelVersion version = registry.find(reference);
  registry.set_alias(version.name, alias, version.version);
  session.output().emit(
      json_object({{"model", version.name}, {"alias", alias}, {"model_version", version.version}}),
      TextView{fmt::format("{0}@{1} is {0}@{2}\n", version.name, alias, version.version)});
}

} // namespace

extern const Command model_alias_command;
const Command model_alias_command = {
    .path = "model alias",
    .summary = "point an alias at a version of a model",
    .category = Category::serving,
    .arguments = {{.name = "MODEL",
                   .help = "NAME, NAME@ALIAS, NAME@VERSION or NAME@sha256:...",
                   .complete = complete_models},
                  {.name = "ALIAS", .help = "such as champion or staging"}},
    .options = {{.name = "--remove", .help = "remove the alias"}},
    .examples = {{"mlp model alias digits@3 champion", "digits@champion is now version 3"},
                 {"mlp model alias digits@staging champion", "promote what is in staging"},
                 {"mlp model alias digits staging --remove", "remove an alias"}},
    .run = run};

} // namespace mlp
