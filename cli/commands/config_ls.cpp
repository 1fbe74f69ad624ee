// `mlp config ls`: all settings, with where each value comes from.
#include "cli/session.hpp"
#include "cli/setting_words.hpp"
#include "core/base/json.hpp"

namespace mlp {

namespace {

void run(Session& session) {
  Json rows = json_array();
  for (const config::SettingDefinition& definition : config::setting_definitions())
    rows.push_back(setting_record(session.settings(), definition.key));
  session.output().emit(
      json_object({{"settings", rows}}),
      TableView{
          "settings",
          {{"key", "SETTING"}, {"value", "VALUE"}, {"source", "FROM"}, {"description", "WHAT"}},
          ""});
}

} // namespace

extern const Command config_ls_command;
const Command config_ls_command = {
    .path = "config ls",
    .summary = "list the settings, their values and where they come from",
    .category = Category::settings,
    .examples = {{"mlp config ls", "all settings"},
                 {"mlp config ls --json", "with the environment variable and option of each"}},
    .run = run};

} // namespace mlp
