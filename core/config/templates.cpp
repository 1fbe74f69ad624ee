// Groups the embedded files by template.
#include "core/config/templates.hpp"

#include "core/config/embedded_files.hpp"

#include <deque>
#include <vector>

namespace mlp::config {

namespace {

// "# Title" of a README, without the mark.
std::string_view title(std::string_view readme) {
  std::string_view line = readme.substr(0, readme.find('\n'));
  while (line.starts_with('#') || line.starts_with(' '))
    line.remove_prefix(1);
  return line;
}

struct Catalogue {
  std::deque<std::vector<TemplateFile>> files; // stay where they are
  std::vector<ProjectTemplate> templates;

  Catalogue() {
    for (const EmbeddedFile& embedded : embedded_files()) {
      if (templates.empty() || templates.back().name != embedded.template_name) {
        templates.push_back({embedded.template_name, {}, {}});
        files.emplace_back();
      }
      files.back().push_back(embedded.file);
      templates.back().files = files.back();
      if (embedded.file.path == "README.md")
        templates.back().summary = title(embedded.file.content);
    }
  }
};

} // namespace

std::span<const ProjectTemplate> project_templates() {
  static const Catalogue catalogue;
  return catalogue.templates;
}

const ProjectTemplate* find_template(std::string_view name) noexcept {
  for (const ProjectTemplate& known : project_templates())
    if (known.name == name) return &known;
  return nullptr;
}

} // namespace mlp::config
