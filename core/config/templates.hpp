// Project skeletons, embedded in the binary when it is built from templates/<name>/.
#pragma once

#include <span>
#include <string_view>

namespace mlp::config {

struct TemplateFile {
  std::string_view path; // relative, with '/'
  std::string_view content;
  bool executable = false;
};

struct ProjectTemplate {
  std::string_view name;
  std::string_view summary; // the title line of its README.md
  std::span<const TemplateFile> files;
};

// Sorted by name; static storage.
[[nodiscard]] std::span<const ProjectTemplate> project_templates();
// nullptr if there is none.
[[nodiscard]] const ProjectTemplate* find_template(std::string_view name) noexcept;

} // namespace mlp::config
