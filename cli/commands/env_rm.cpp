// `mlp env rm`: packages out of mlp.yaml's image, and mlp.lock after it.
#include "cli/building.hpp"
#include "cli/completers.hpp"
#include "cli/environments.hpp"
#include "core/config/edit.hpp"
#include "core/config/project_file.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

namespace {

void run(Session& session) {
  const config::Project& project = session.project();
  const auto before = config::load_lock_file(project).image;
  const config::ImageSpec& spec = declared_image(session);
  const auto& declared =
      session.arguments().has("--system") ? spec.system_packages : spec.python_packages;
  for (const std::string& package : session.arguments().all("PACKAGE")) {
    // By its name alone too.
    const auto same = [&](const std::string& item) {
      return package_name(item) == package_name(package);
    };
    const bool exact = std::find(declared.begin(), declared.end(), package) != declared.end();
    const auto found = std::find_if(declared.begin(), declared.end(), same);
    config::remove_list_item(project, "image", package_key(session),
                             exact || found == declared.end() ? package : *found);
  }
  if (session.arguments().has("--no-lock")) {
    session.output().status("removed from mlp.yaml; mlp.lock follows with the next mlp env lock or "
                            "mlp build");
    return;
  }
  const config::ImageLock lock = lock_environment(session, false);
  report_changes(session, before, lock);
  emit_lock(session, lock);
}

} // namespace

std::vector<Candidate> complete_packages(Session& session) {
  std::vector<Candidate> out;
  const auto& image = session.project_file().image;
  if (!image) return out;
  for (const std::string& package : image->python_packages)
    out.push_back({package, "a Python package"});
  for (const std::string& package : image->system_packages)
    out.push_back({package, "a system package"});
  return out;
}

extern const Command env_rm_command;
const Command env_rm_command = {
    .path = "env rm",
    .summary = "remove packages from the project's environment",
    .category = Category::images,
    .arguments = {{.name = "PACKAGE",
                   .help = "as mlp.yaml has it",
                   .repeated = true,
                   .complete = complete_packages}},
    .options = {system_option(),
                {.name = "--no-lock", .help = "only write mlp.yaml; choose versions later"}},
    .examples = {{"mlp env rm numpy", "and what only numpy needed"}},
    .run = run};

} // namespace mlp
