// `mlp init`: a new project, from nothing or from a template.
#include "cli/completers.hpp"
#include "cli/session.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/scaffold.hpp"
#include "core/config/templates.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

std::vector<std::string> template_names() {
  std::vector<std::string> names;
  for (const config::ProjectTemplate& known : config::project_templates())
    names.emplace_back(known.name);
  return names;
}

std::vector<Candidate> complete_templates(Session&) {
  std::vector<Candidate> candidates;
  for (const config::ProjectTemplate& known : config::project_templates())
    candidates.push_back({std::string(known.name), std::string(known.summary)});
  return candidates;
}

void list_templates(Session& session) {
  Json rows = json_array();
  for (const config::ProjectTemplate& known : config::project_templates())
    rows.push_back(json_object({{"name", known.name}, {"summary", known.summary}}));
  session.output().emit(json_object({{"templates", rows}}),
                        TableView{"templates", {{"name", "TEMPLATE"}, {"summary", "WHAT"}}, ""});
}

const config::ProjectTemplate* wanted_template(const Arguments& arguments) {
  const auto name = arguments.get("--template");
  if (!name) return nullptr;
  const config::ProjectTemplate* found = config::find_template(*name);
  if (found == nullptr)
    throw Error(ErrorKind::not_found, fmt::format("no template '{}'", printable(*name)))
        .with_hint(suggestion_hint(*name, template_names(), "templates"));
  return found;
}

// What to type next, given what the project holds.
std::string next_steps(const fs::path& folder, const config::ProjectTemplate* from) {
  std::string text = "\nnext:\n";
  if (folder != fs::path(".")) text += fmt::format("  cd {}\n", shell_quote(folder.native()));
  if (from == nullptr)
    return text + "  edit mlp.yaml: name your data under 'datasets', your work under 'tasks'\n"
                  "  mlp init --list shows templates that run as they are\n";
  return text + "  mlp data add\n  mlp train\n";
}

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  if (arguments.has("--list")) {
    list_templates(session);
    return;
  }
  const fs::path folder = arguments.get_or("DIR", ".");
  const config::ProjectTemplate* from = wanted_template(arguments);
  const config::ScaffoldResult made =
      config::make_project({.folder = folder, .name = arguments.get("--name"), .from = from});

  const std::string root = made.project.root.native();
  const Json record = json_object(
      {{"root", root},
       {"name", made.name},
       {"template", from == nullptr ? Json() : Json(from->name)},
       {"created", made.created},
       {"ignore_file", made.ignore_file.empty() ? Json() : Json(made.ignore_file.native())},
       {"existed", made.existed}});
  std::string text = made.existed && made.created.empty()
                         ? fmt::format("project '{}' is already in {}\n", made.name, root)
                         : fmt::format("made project '{}' in {}\n", made.name, root);
  for (const std::string& file : made.created)
    text += fmt::format("  {}\n", file);
  if (!made.ignore_file.empty())
    text += fmt::format("git ignores .mlp/ from now on: {}\n", made.ignore_file.native());
  if (!made.existed) text += next_steps(folder, from);
  session.output().emit(record, TextView{printable_lines(text)});
}

} // namespace

extern const Command init_command;
const Command init_command = {
    .path = "init",
    .summary = "make a project, empty or from a template",
    .category = Category::project,
    .arguments = {{.name = "DIR",
                   .help = "folder of the project; default: this one",
                   .required = false,
                   .complete = complete_directories}},
    .options = {{.name = "--template",
                 .value = "NAME",
                 .help = "start from this template; see --list",
                 .letter = 't',
                 .complete = complete_templates},
                {.name = "--name",
                 .value = "NAME",
                 .help = "name of the project; default: that of the folder"},
                {.name = "--list", .help = "list the templates"}},
    .examples = {{"mlp init", "make this folder a project"},
                 {"mlp init --list", "which templates there are"},
                 {"mlp init digits --template image-classifier",
                  "a new folder with data, settings and a README"}},
    .run = run};

} // namespace mlp
