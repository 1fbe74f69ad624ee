// `mlp env add`: packages into mlp.yaml's image, and their versions into mlp.lock.
#include "cli/building.hpp"
#include "cli/environments.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/config/edit.hpp"
#include "core/config/project_file.hpp"
#include "core/config/settings.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const std::vector<std::string> packages = session.arguments().all("PACKAGE");
  const std::string_view key = package_key(session);
  const config::Project& project = session.project();
  const auto before = config::load_lock_file(project).image;
  std::vector<std::string> added;
  for (const std::string& package : packages) {
    if (package.empty() || package.starts_with('-'))
      throw Error(ErrorKind::usage, fmt::format("'{}' is no package", printable(package)));
    if (config::add_list_item(project, "image", key, package)) added.push_back(package);
  }
  if (session.arguments().has("--no-lock")) {
    session.output().status(fmt::format("{} packages added to mlp.yaml; versions are chosen by the "
                                        "next mlp env lock or mlp build",
                                        added.size()));
    return;
  }
  try {
    const config::ImageLock lock = lock_environment(session, false);
    report_changes(session, before, lock);
    emit_lock(session, lock);
  } catch (Error& error) {
    // What cannot be installed is not asked for either.
    for (const std::string& package : added)
      config::remove_list_item(project, "image", key, package);
    if (!added.empty()) error.add_hint("mlp.yaml is as it was");
    throw;
  }
}

} // namespace

extern const Command env_add_command;
const Command env_add_command = {
    .path = "env add",
    .summary = "add packages to the project's environment",
    .category = Category::images,
    .arguments = {{.name = "PACKAGE",
                   .help = "as pip takes it (numpy, 'torch>=2'), or with --system a package of the "
                           "distribution",
                   .repeated = true}},
    .options = {system_option(),
                {.name = "--no-lock", .help = "only write mlp.yaml; choose versions later"}},
    .examples = {{"mlp env add numpy 'scikit-learn<2'", "Python packages"},
                 {"mlp env add --system libgomp1", "a package of Debian"}},
    .run = run};

} // namespace mlp
