// `mlp model show`: one version with its signature, metrics and lineage.
#include "cli/completers.hpp"
#include "cli/models.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void add_tensors(std::string& text, std::string_view title,
                 const std::vector<model::TensorSpec>& specs) {
  text += fmt::format("{}\n", title);
  for (const model::TensorSpec& spec : specs)
    text += fmt::format("  {}  {} {}\n", printable(spec.name), model::data_type_name(spec.type),
                        model::shape_text(spec.shape));
}

std::string text_of(const model::ModelVersion& version, const Json& record) {
  std::string text;
  const auto field = [&](std::string_view title, std::string_view value) {
    if (!value.empty()) text += fmt::format("{:<9}{}\n", title, printable(value));
  };
  field("model", fmt::format("{}@{}", version.name, version.version));
  field("aliases", join(record["aliases"].get<std::vector<std::string>>(), ", "));
  field("created", fmt::format("{} by {}", format_time(version.created), version.user));
  field("digest", version.digest.text());
  field("files", fmt::format("{}, {}", version.files, format_bytes(version.bytes)));
  field("about", version.description);
  field("run", version.lineage.run);
  field("task", version.lineage.task);
  for (const model::LineageDataset& dataset : version.lineage.datasets)
    field("data", fmt::format("{} {}", dataset.name, dataset.digest));
  field("source",
        version.lineage.commit.empty()
            ? ""
            : version.lineage.commit +
                  (version.lineage.dirty.value_or(false) ? ", with uncommitted changes" : ""));
  if (version.signature) {
    add_tensors(text, "inputs", version.signature->inputs);
    add_tensors(text, "outputs", version.signature->outputs);
  }
  field("classes", join(version.classes, ", "));
  if (!version.lineage.params.empty()) text += "params\n";
  for (const auto& [name, value] : version.lineage.params)
    text += fmt::format("  {}  {}\n", printable(name), printable(value));
  if (!version.metrics.empty()) text += "metrics\n";
  for (const auto& [name, value] : version.metrics)
    text += fmt::format("  {}  {:.6g}\n", printable(name), value);
  return text;
}

void run(Session& session) {
  const model::ModelRegistry registry(session.project());
  const model::ModelVersion version = find_model(session, *session.arguments().get("MODEL"));
  const Json record = model_json(registry, version);
  session.output().emit(record, TextView{text_of(version, record)});
}

} // namespace

extern const Command model_show_command;
const Command model_show_command = {
    .path = "model show",
    .summary = "show a model: signature, metrics, where it comes from",
    .category = Category::serving,
    .arguments = {{.name = "MODEL",
                   .help = "NAME, NAME@ALIAS, NAME@VERSION or NAME@sha256:...",
                   .complete = complete_models}},
    .examples = {{"mlp model show digits", "the latest version"},
                 {"mlp model show digits@champion --json", "the version behind an alias"}},
    .run = run};

} // namespace mlp
