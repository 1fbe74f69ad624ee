// `mlp model export`: the files of a version, checked against their digests.
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
  const model::ModelRegistry registry(session.project());
  const model::ModelVersion version = find_model(session, *arguments.get("MODEL"));
  const fs::path target = arguments.get_or("FOLDER", version.name);
  registry.export_files(version, target, arguments.has("--force"), session.output().progress());
  session.output().progress().end();
  Json record = model_json(registry, version);
  record["folder"] = fs::absolute(target).native();
  session.output().emit(
      record, TextView{fmt::format("{}@{}: {} {}, {} in '{}'\n", version.name, version.version,
                                   version.files, version.files == 1 ? "file" : "files",
                                   format_bytes(version.bytes), printable(target.native()))});
}

} // namespace

extern const Command model_export_command;
const Command model_export_command = {
    .path = "model export",
    .summary = "write the files of a model to a folder",
    .category = Category::serving,
    .arguments = {{.name = "MODEL",
                   .help = "NAME, NAME@ALIAS, NAME@VERSION or NAME@sha256:...",
                   .complete = complete_models},
                  {.name = "FOLDER",
                   .help = "where to; default: a folder with the model's name",
                   .required = false,
                   .complete = complete_directories}},
    .options = {{.name = "--force", .help = "overwrite files there that differ"}},
    .examples = {{"mlp model export digits", "to the folder digits"},
                 {"mlp model export digits@champion release/", "to a folder of your choice"}},
    .run = run};

} // namespace mlp
