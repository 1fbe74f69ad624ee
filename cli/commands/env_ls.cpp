// `mlp env ls`: the packages of the environment, as mlp.lock pins them.
#include "cli/building.hpp"
#include "cli/environments.hpp"
#include "core/base/json.hpp"
#include "core/config/lock_file.hpp"
#include "core/config/project_file.hpp"

#include <algorithm>

namespace mlp {

namespace {

void add_rows(const std::vector<config::PackageLock>& packages,
              const std::vector<std::string>& declared, std::string_view kind, Json& rows) {
  for (const config::PackageLock& package : packages) {
    const bool asked = std::any_of(declared.begin(), declared.end(), [&](const std::string& text) {
      return package_name(text) == package_name(package.name);
    });
    rows.push_back(json_object({{"name", package.name},
                                {"version", package.version},
                                {"kind", kind},
                                {"declared", asked},
                                {"why", asked ? "mlp.yaml" : "needed"},
                                {"bytes", package.bytes}}));
  }
}

void run(Session& session) {
  const config::ImageSpec& spec = declared_image(session);
  const auto lock = config::load_lock_file(session.project()).image;
  Json rows = json_array();
  if (lock) {
    add_rows(lock->system_packages, spec.system_packages, "system", rows);
    add_rows(lock->python_packages, spec.python_packages, "python", rows);
    ProjectBuild build(session, spec);
    if (!image::is_current(build.request(), lock))
      session.output().warning("mlp.lock is older than mlp.yaml's image; run: mlp env lock");
  }
  session.output().emit(
      json_object({{"packages", std::move(rows)}}),
      TableView{.rows = "packages",
                .columns = {{"name", "PACKAGE"},
                            {"version", "VERSION"},
                            {"kind", "KIND"},
                            {"why", "FROM"},
                            {"bytes", "SIZE", Format::bytes}},
                .empty = "no packages pinned; add one with: mlp env add PACKAGE"});
}

} // namespace

extern const Command env_ls_command;
const Command env_ls_command = {.path = "env ls",
                                .summary = "list the packages of the project's environment",
                                .category = Category::images,
                                .examples = {{"mlp env ls", "each with its version"}},
                                .run = run};

} // namespace mlp
