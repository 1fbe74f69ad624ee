// Models as JSON, and their names for completion.
#include "cli/models.hpp"

#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

model::ModelVersion find_model(Session& session, std::string_view reference) {
  return model::ModelRegistry(session.project()).find(model::parse_model_reference(reference));
}

Json model_json(const model::ModelRegistry& registry, const model::ModelVersion& version) {
  Json out = model::to_json(version);
  out.erase("version"); // of the metadata's format
  out["model"] = fmt::format("{}@{}", version.name, version.version);
  Json aliases = json_array();
  for (const auto& [alias, number] : registry.aliases(version.name))
    if (number == version.version) aliases.push_back(alias);
  out["aliases"] = aliases;
  if (const auto* best = headline_metric(version.metrics))
    out["headline"] = fmt::format("{} {:.4g}", best->first, best->second);
  return out;
}

std::vector<Candidate> complete_models(Session& session) {
  const model::ModelRegistry registry(session.project());
  std::vector<Candidate> out;
  for (const std::string& name : registry.names()) {
    out.push_back({name, "the latest version"});
    for (const auto& [alias, number] : registry.aliases(name))
      out.push_back({fmt::format("{}@{}", name, alias), fmt::format("version {}", number)});
  }
  return out;
}

} // namespace mlp
