// Sources are looked up in the tree, links among them followed as Docker does; what is found is
// placed, and the tar of an ADD becomes a layer entry by entry.
#include "core/image/copy_step.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/image/added_archive.hpp"
#include "core/image/dockerignore.hpp"
#include "core/image/path_pattern.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace mlp::image {

namespace {

using Kind = TarEntry::Kind;
constexpr std::uint64_t most_ignore = 1u << 20;

std::string name_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}
std::string below(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : fmt::format("{}/{}", folder, name);
}

void match_below(Tree& tree, const PathPattern& pattern, const std::string& folder,
                 std::size_t depth, std::vector<std::string>& out) {
  for (const TreeNode& node : tree.list(folder)) {
    if (pattern.matches(node.entry.path))
      out.push_back(node.entry.path);
    else if (node.entry.kind == Kind::folder && depth > 1)
      match_below(tree, pattern, node.entry.path, depth - 1, out);
  }
}

[[noreturn]] void not_there(const Step& step, const CopyStep& action, const std::string& source) {
  Error error(ErrorKind::not_found,
              fmt::format("line {}: nothing matches '{}'", step.line, printable(source)));
  if (!action.from_stage && action.from_image.empty())
    error.add_hint("paths are relative to the project's folder, and .dockerignore leaves some out");
  throw error;
}

} // namespace

FolderTree::Ignored ignored_in_context(const fs::path& root, const std::string& dockerfile) {
  std::string name = dockerfile + std::string(dockerignore_name);
  auto text = read_file_if_exists(root / name, most_ignore);
  if (!text) {
    name = dockerignore_name;
    text = read_file_if_exists(root / name, most_ignore);
  }
  const auto rules = std::make_shared<DockerIgnore>(text.value_or(""), name);
  return [rules](const std::string& path, bool folder) {
    if (path == ".mlp" || path == ".git") return true;
    if (!rules->excludes(path)) return false;
    return !folder || !rules->takes_back();
  };
}

std::vector<std::string> matching_paths(Tree& tree, const std::string& pattern) {
  if (pattern.empty() || pattern == ".") return {""};
  if (const auto plain = tree.resolve(pattern)) return {*plain};
  std::vector<std::string> out;
  const auto depth = static_cast<std::size_t>(std::count(pattern.begin(), pattern.end(), '/')) + 1;
  match_below(tree, PathPattern(pattern, false), "", depth, out);
  return out;
}

void copy(Chain& chain, Workshop& shop, Tree& tree, const Step& step, const CopyStep& action,
          const Placement& placement) {
  std::vector<std::pair<std::string, TreeNode>> found; // as named, and what it is
  for (const std::string& source : action.sources) {
    const std::vector<std::string> paths = matching_paths(tree, source);
    if (paths.empty()) not_there(step, action, source);
    for (const std::string& path : paths) {
      const auto place = tree.resolve(path);
      const auto node = place ? tree.find(*place) : std::nullopt;
      if (!node) not_there(step, action, source);
      found.emplace_back(path, *node);
    }
  }
  const Chain::Target target = chain.target(action.target);
  const bool into_folder =
      action.target.ends_with('/') || target.is_folder || found.size() + action.files.size() > 1;
  Placed placed;
  // Folders that are made for a file that is the target itself end above it.
  const bool target_is_folder =
      into_folder || (found.size() == 1 && found[0].second.entry.kind == Kind::folder);
  Placement made = placement;
  made.mode = std::nullopt;
  for (const std::string& missing : target.missing)
    if (target_is_folder || missing != target.path) place_folder(missing, made, placed);

  TemporaryDirectory own("copy-", shop.runner.temporary);
  if (!action.files.empty()) {
    for (std::size_t i = 0; i < action.files.size(); ++i)
      write_file_atomic(own.path() / std::to_string(i), action.files[i].content, 0644);
    if (!found.empty())
      throw Error(ErrorKind::config,
                  fmt::format("line {}: files and heredocs in one COPY", step.line))
          .with_hint("write two");
    FolderTree files(own.path());
    for (std::size_t i = 0; i < action.files.size(); ++i) {
      const std::string to = into_folder ? below(target.path, action.files[i].name) : target.path;
      place(files, std::to_string(i), to, placement, placed, shop.runner.stop);
      // They are written anew each time: what is in them tells whether they are the same.
      placed[to].stamp = sha256(action.files[i].content).hex();
      placed[to].changed = 0;
    }
    chain.add_files(step.text, files, placed, chain.time());
    return;
  }
  for (const auto& [named, node] : found) {
    const bool folder = node.entry.kind == Kind::folder;
    if (action.unpack && node.entry.kind == Kind::file && is_archive(tree.open(node.entry.path))) {
      const std::string path = node.entry.path;
      Placed only;
      place(tree, path, path, {}, only, shop.runner.stop);
      const std::string print = fingerprint(only);
      chain.add_layer(step.text,
                      print.empty() ? ""
                                    : fmt::format("archive {} {} {} {}", chain.time(), target.path,
                                                  fmt::join(target.missing, ":"), print),
                      [&](Layout& layout) {
                        return archive_layer(layout, tree.open(path), target.path, target.missing,
                                             chain.time(), shop.runner.stop);
                      });
      continue;
    }
    // What is in a folder goes into the target, a file keeps its name there.
    const std::string to =
        folder || !into_folder ? target.path : below(target.path, name_of(named));
    place(tree, node.entry.path, to, placement, placed, shop.runner.stop);
  }
  if (!placed.empty()) chain.add_files(step.text, tree, std::move(placed), chain.time());
}

} // namespace mlp::image
