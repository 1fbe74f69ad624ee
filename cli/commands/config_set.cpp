// `mlp config set`: writes one setting to the user's file.
#include "cli/session.hpp"
#include "cli/setting_words.hpp"
#include "core/base/json.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  const std::string key = *arguments.get("KEY");
  const auto value = arguments.get("VALUE");
  if (value.has_value() == arguments.has("--unset"))
    throw Error(ErrorKind::usage, value ? "a value and --unset do not go together"
                                        : fmt::format("no value given for '{}'", key))
        .with_hint("give one of them");
  require_setting(key);
  const config::EnvironmentLookup environment = config::process_environment();
  config::set_user_setting(environment, key, value);

  const fs::path path = config::user_config_path(environment);
  // Something stronger may still hide the new value.
  const config::Settings& settings = session.settings();
  if (value && settings.source(key) == config::SettingSource::environment)
    session.output().warning(
        fmt::format("environment variable '{}' stands above this setting", settings.origin(key)));
  Json record = setting_record(settings, key);
  record["file"] = path.native();
  session.output().emit(record, TextView{""});
  session.output().status(value ? fmt::format("set {} in {}", key, path.native())
                                : fmt::format("removed {} from {}", key, path.native()));
}

} // namespace

extern const Command config_set_command;
const Command config_set_command = {
    .path = "config set",
    .summary = "change a setting in the user's file",
    .category = Category::settings,
    .arguments = {{.name = "KEY", .help = "the setting", .complete = complete_settings},
                  {.name = "VALUE", .help = "its new value", .required = false}},
    .options = {{.name = "--unset", .help = "go back to the default"}},
    .examples = {{"mlp config set data.jobs 4", "work on four files at once"},
                 {"mlp config set data.jobs --unset", "back to the default"}},
    .run = run};

} // namespace mlp
