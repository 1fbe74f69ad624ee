// Everything is checked before anything is written, and everything is written atomically.
#include "core/config/scaffold.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/config/project_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

namespace mlp::config {

namespace {

constexpr std::string_view ignored_line = ".mlp/";

constexpr std::string_view empty_project =
    R"(# A project of mlp. Every key and its meaning: mlp config schema
name: NAME

# datasets:
#   iris: {path: data/iris.csv}
# remotes:
#   origin: file:/srv/team-store
# tasks:
#   train:
#     data: [iris]
#     trainer: {kind: classifier}
)";

struct NewFile {
  std::string path;
  std::string content;
  std::optional<unsigned> mode = {}; // 0666 less the umask
};

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// A name from the folder's: what a name may not hold becomes '-'.
std::string name_from(const fs::path& folder) {
  std::string name = folder.filename().native().substr(0, 64);
  for (char& c : name)
    if (!is_valid_name(std::string("x") + c)) c = '-';
  while (!name.empty() && !is_valid_name(name))
    name.erase(0, 1);
  return name.empty() ? "project" : name;
}

// What is to be written, mlp.yaml last.
std::vector<NewFile> files_of(const NewProject& wanted, const std::string& name) {
  std::vector<NewFile> files;
  if (wanted.from == nullptr) {
    files.push_back({"mlp.yaml", std::string(empty_project)});
    replace_all(files.back().content, "name: NAME", "name: " + yaml_quote(name));
    return files;
  }
  for (const TemplateFile& file : wanted.from->files) {
    NewFile fresh{std::string(file.path), std::string(file.content)};
    if (file.executable) fresh.mode = 0755;
    // A template calls its project by its own name.
    if (fresh.path == "mlp.yaml") {
      replace_all(fresh.content, fmt::format("name: {}\n", wanted.from->name),
                  fmt::format("name: {}\n", yaml_quote(name)));
      replace_all(fresh.content, fmt::format("model: {}", wanted.from->name), "model: " + name);
    } else if (fresh.path == "README.md") {
      for (const std::string_view command : {"mlp model show ", "mlp serve "})
        replace_all(fresh.content, fmt::format("{}{}", command, wanted.from->name),
                    fmt::format("{}{}", command, name));
    }
    files.push_back(std::move(fresh));
  }
  std::stable_partition(files.begin(), files.end(),
                        [](const NewFile& file) { return file.path != "mlp.yaml"; });
  return files;
}

bool is_there(const fs::path& path) {
  std::error_code code;
  return fs::symlink_status(path, code).type() != fs::file_type::not_found && !code;
}

bool has_content(const fs::path& path, const std::string& content) {
  std::error_code code;
  return fs::is_regular_file(path, code) && fs::file_size(path, code) == content.size() && !code &&
         read_file(path) == content;
}

// Leaves out the files that are there already as wanted: an earlier call was interrupted.
std::vector<NewFile> without_those_there(const fs::path& root, std::vector<NewFile> files) {
  std::vector<std::string> conflicts;
  std::erase_if(files, [&](const NewFile& file) {
    if (!is_there(root / file.path)) return false;
    if (has_content(root / file.path, file.content)) return true;
    conflicts.push_back(file.path);
    return false;
  });
  if (!conflicts.empty())
    throw Error(ErrorKind::conflict,
                fmt::format("'{}' already has: {}", root.native(), join(conflicts, ", ")))
        .with_hint("nothing was written; choose another folder, or move these away");
  return files;
}

bool ignores_state(const fs::path& ignore_file) {
  const auto text = read_file_if_exists(ignore_file, 16u << 20);
  if (!text) return false;
  for (const std::string& line : split(*text, '\n')) {
    const std::string_view pattern = trim(line);
    if (pattern == ".mlp" || pattern == ".mlp/" || pattern == "/.mlp" || pattern == "/.mlp/")
      return true;
  }
  return false;
}

// The ignore file that gained the line; empty if git ignores the state already or there is no git.
fs::path ignore_state(const fs::path& root) {
  if (find_work_tree(root).empty()) return {};
  const fs::path file = root / ".gitignore";
  if (ignores_state(file)) return {};
  std::error_code code;
  const fs::path resolved = fs::canonical(file, code); // a symlink stays one
  const fs::path target = code ? file : resolved;
  std::string text = read_file_if_exists(target, 16u << 20).value_or("");
  const std::string_view line_end = text.find("\r\n") != std::string::npos ? "\r\n" : "\n";
  if (!text.empty() && !text.ends_with('\n')) text += line_end;
  text += fmt::format("{}{}", ignored_line, line_end);
  struct ::stat info {};
  std::optional<unsigned> mode;
  if (::stat(target.c_str(), &info) == 0) mode = info.st_mode & 0777u;
  write_file_atomic(target, text, mode);
  return file;
}

} // namespace

fs::path find_work_tree(const fs::path& folder) {
  std::error_code code;
  for (fs::path at = fs::weakly_canonical(folder, code);; at = at.parent_path()) {
    if (fs::exists(at / ".git", code)) return at; // a folder, or a file in a linked work tree
    if (at == at.parent_path()) return {};
  }
}

ScaffoldResult make_project(const NewProject& wanted) {
  if (wanted.name && !is_valid_name(*wanted.name))
    throw Error(ErrorKind::usage, fmt::format("'{}' is not a valid name", printable(*wanted.name)))
        .with_hint("a name has letters, digits, '.', '_' and '-', and begins with a letter or "
                   "digit");
  make_directories(wanted.folder);
  std::error_code code;
  ScaffoldResult result;
  result.project.root = fs::canonical(wanted.folder, code);
  if (code) throw system_error(code.value(), "open folder", wanted.folder.native());
  const Project& project = result.project;
  result.name = wanted.name.value_or(name_from(project.root));

  std::vector<NewFile> files;
  if (is_there(project.file())) {
    result.existed = true;
    const std::string name = load_project_file(project.file()).name;
    if (wanted.from != nullptr) {
      files = files_of(wanted, wanted.name.value_or(name));
      files = without_those_there(project.root, std::move(files));
    } else if (wanted.name && *wanted.name != name) {
      throw Error(ErrorKind::conflict,
                  fmt::format("'{}' is already a project, named '{}'", project.root.native(), name))
          .with_hint("change 'name' in mlp.yaml");
    }
    result.name = name;
  } else {
    files = without_those_there(project.root, files_of(wanted, result.name));
  }

  make_state_folders(project);
  const FileLock guard(project.locks() / "config.lock", "the project's configuration",
                       std::chrono::seconds(30));
  result.ignore_file = ignore_state(project.root);
  for (const NewFile& file : without_those_there(project.root, std::move(files))) {
    const fs::path path = project.root / file.path;
    make_directories(path.parent_path());
    write_file_atomic(path, file.content, file.mode);
    result.created.push_back(file.path);
  }
  return result;
}

} // namespace mlp::config
