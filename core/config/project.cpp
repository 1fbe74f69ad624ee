// Finding the project: a walk towards the root of the file system.
#include "core/config/project.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

#include <cerrno>

namespace mlp::config {

Project find_project(const fs::path& start) {
  std::error_code code;
  const fs::path from = fs::canonical(start.empty() ? fs::path(".") : start, code);
  if (code) throw system_error(code.value(), "open folder", start.native());
  for (fs::path folder = from;; folder = folder.parent_path()) {
    // A folder that may not be searched is skipped like one without the file.
    if (fs::exists(folder / "mlp.yaml", code)) return Project{folder};
    if (folder == folder.root_path()) break;
  }
  throw Error(ErrorKind::not_found, "no mlp.yaml here or above")
      .with_context(fmt::format("while looking for a project in '{}'", from.native()))
      .with_hint("make one with: mlp init");
}

void make_state_folders(const Project& project) {
  for (const fs::path& folder : {project.objects(), project.runs(), project.models(),
                                 project.refs(), project.cache(), project.tmp(), project.locks()})
    make_directories(folder);
}

} // namespace mlp::config
