// `mlp model ls`: registered models, or the versions of one.
#include "cli/completers.hpp"
#include "cli/models.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

Json row(const model::ModelRegistry& registry, const model::ModelVersion& version) {
  Json out = model_json(registry, version);
  std::vector<std::string> aliases = out["aliases"].get<std::vector<std::string>>();
  if (!aliases.empty()) out["alias_text"] = join(aliases, ", ");
  if (!version.lineage.run.empty()) out["run"] = version.lineage.run;
  return out;
}

void run(Session& session) {
  const model::ModelRegistry registry(session.project());
  Json rows = json_array();
  if (const auto name = session.arguments().get("NAME")) {
    for (const model::ModelVersion& version :
         registry.versions(model::parse_model_reference(*name).name))
      rows.push_back(row(registry, version));
  } else {
    for (const std::string& known : registry.names()) {
      const auto latest = registry.find({.name = known, .alias = {}, .version = {}, .digest = {}});
      rows.push_back(row(registry, latest));
    }
  }
  session.output().emit(json_object({{"models", std::move(rows)}}),
                        TableView{.rows = "models",
                                  .columns = {{"model", "MODEL"},
                                              {"created", "CREATED", Format::age},
                                              {"bytes", "SIZE", Format::bytes},
                                              {"headline", "METRIC"},
                                              {"alias_text", "ALIASES"},
                                              {"run", "RUN"}},
                                  .empty = "no models; mlp train registers one"});
}

} // namespace

extern const Command model_ls_command;
const Command model_ls_command = {
    .path = "model ls",
    .summary = "list models, or the versions of one",
    .category = Category::serving,
    .arguments = {{.name = "NAME",
                   .help = "a model, to list all of its versions",
                   .required = false,
                   .complete = complete_models}},
    .examples = {{"mlp model ls", "the latest version of each model"},
                 {"mlp model ls digits", "all versions of one model"}},
    .run = run};

} // namespace mlp
