// A new project: the files of a template, the state folder, the line in git's ignore file.
#pragma once

#include "core/config/project.hpp"
#include "core/config/templates.hpp"

#include <optional>
#include <string>
#include <vector>

namespace mlp::config {

struct NewProject {
  fs::path folder;                       // made if it is not there
  std::optional<std::string> name;       // default: the folder's own
  const ProjectTemplate* from = nullptr; // nullptr: an empty project
};

struct ScaffoldResult {
  Project project;
  std::string name;
  std::vector<std::string> created; // relative to the project
  fs::path ignore_file;             // that gained the line; empty: none did
  bool existed = false;             // there was a project, which is as it was
};

// Never replaces a file: what is there with other content is listed in an Error(conflict), and then
// nothing is written. mlp.yaml comes last, so that an interrupted call leaves no project that looks
// whole, and the same call again completes it. For a folder that is a project already, only makes
// sure of the state folder and the ignored line. Throws Error(usage) for a name that is not valid,
// Error(conflict, denied, failed) for the rest.
[[nodiscard]] ScaffoldResult make_project(const NewProject& wanted);

// The folder of the git work tree around `folder` (the one with .git), by looking upwards; empty if
// there is none.
[[nodiscard]] fs::path find_work_tree(const fs::path& folder);

} // namespace mlp::config
