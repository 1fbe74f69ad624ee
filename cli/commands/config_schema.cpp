// `mlp config schema`: the JSON Schema of mlp.yaml, for editors.
#include "cli/session.hpp"
#include "core/base/json.hpp"
#include "core/config/project_file.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  const Json schema = config::project_file_schema();
  session.output().emit(json_object({{"schema", schema}}), TextView{dump_json_pretty(schema)});
}

} // namespace

extern const Command config_schema_command;
const Command config_schema_command = {
    .path = "config schema",
    .summary = "print the JSON Schema of mlp.yaml",
    .category = Category::settings,
    .examples = {{"mlp config schema", "every key of mlp.yaml, with its meaning and default"}},
    .run = run};

} // namespace mlp
