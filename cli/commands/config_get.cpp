// `mlp config get`: one setting's value.
#include "cli/session.hpp"
#include "cli/setting_words.hpp"
#include "core/base/json.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const std::string key = *session.arguments().get("KEY");
  require_setting(key);
  const config::Settings& settings = session.settings();
  session.output().emit(setting_record(settings, key),
                        TextView{fmt::format("{}\n", settings.text(key))});
}

} // namespace

extern const Command config_get_command;
const Command config_get_command = {
    .path = "config get",
    .summary = "print the value of a setting",
    .category = Category::settings,
    .arguments = {{.name = "KEY", .help = "the setting", .complete = complete_settings}},
    .examples = {{"mlp config get data.jobs", "the value that commands use"},
                 {"mlp config get data.jobs --json", "the same, and where it comes from"}},
    .run = run};

} // namespace mlp
