// Opens what is asked for, once.
#include "cli/session.hpp"

#include "core/base/interrupt.hpp"
#include "core/config/project.hpp"
#include "core/config/project_file.hpp"
#include "core/config/settings.hpp"

namespace mlp {

Session::Session(ParsedLine line, Output& output) : line_(std::move(line)), output_(output) {}
Session::~Session() = default;

const config::Settings& Session::settings() {
  if (!settings_) {
    std::map<std::string, std::string> overrides;
    for (const std::string_view key : command().settings)
      if (const auto value = arguments().get(setting_of(key).option))
        overrides.emplace(key, *value);
    settings_ = std::make_unique<config::Settings>(
        config::Settings::load(config::process_environment(), overrides));
  }
  return *settings_;
}

const config::Project& Session::project() {
  if (!project_)
    project_ = std::make_unique<config::Project>(config::find_project(fs::current_path()));
  return *project_;
}

const config::ProjectFile& Session::project_file() {
  if (!project_file_)
    project_file_ =
        std::make_unique<config::ProjectFile>(config::load_project_file(project().file()));
  return *project_file_;
}

std::stop_token Session::stop_token() {
  return interrupt_token();
}

} // namespace mlp
