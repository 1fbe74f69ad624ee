// Packages first: that is what people want to know.
#include "cli/image_differences.hpp"

#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace mlp {

namespace {

using Kind = image::Package::Kind;

constexpr std::size_t shown_files = 200;

std::string_view kind_word(Kind kind) {
  return kind == Kind::debian ? "deb" : "python";
}
std::string_view change_word(bool before, bool after) {
  return !before ? "added" : !after ? "removed" : "changed";
}

std::string_view type_word(TarEntry::Kind kind) {
  switch (kind) {
  case TarEntry::Kind::folder:
    return "folder";
  case TarEntry::Kind::link:
    return "link";
  case TarEntry::Kind::character_device:
  case TarEntry::Kind::block_device:
    return "device";
  case TarEntry::Kind::fifo:
    return "fifo";
  case TarEntry::Kind::file:
  case TarEntry::Kind::hard_link:
    break;
  }
  return "file";
}

Json file_json(const image::ContentFile& file) {
  Json out = json_object({{"type", type_word(file.kind)},
                          {"mode", fmt::format("{:04o}", file.mode)},
                          {"uid", file.uid},
                          {"gid", file.gid},
                          {"modified", file.modified}});
  if (file.kind == TarEntry::Kind::file) {
    out["bytes"] = file.size;
    out["digest"] = file.content.text();
  }
  if (!file.target.empty()) out["target"] = file.target;
  return out;
}

std::string packages_text(const image::ImageDiff& diff) {
  std::string text;
  for (const image::PackageChange& change : diff.packages) {
    const bool both = !change.before.empty() && !change.after.empty();
    text += fmt::format(
        "  {:<8} {} {} {}\n", change_word(!change.before.empty(), !change.after.empty()),
        printable(change.name),
        printable(both ? change.before + " -> " + change.after : change.before + change.after),
        kind_word(change.kind));
  }
  return text.empty() ? text : "packages:\n" + text;
}

std::string config_text(const image::ImageDiff& diff) {
  std::string text;
  for (const image::ConfigChange& change : diff.config)
    text +=
        fmt::format("  {:<8} {} {}\n", change_word(!change.before.empty(), !change.after.empty()),
                    printable(change.member),
                    printable(change.before.empty() || change.after.empty()
                                  ? change.before + change.after
                                  : change.before + " -> " + change.after));
  return text.empty() ? text : "configuration:\n" + text;
}

// A line for a change, and how many changes below it say nothing more: all that is in a folder that
// came or went has done so too.
struct FileLine {
  const image::FileChange* change;
  std::size_t below = 0;
};
std::vector<FileLine> file_lines(const image::ImageDiff& diff) {
  std::vector<FileLine> lines;
  std::unordered_map<std::string_view, std::size_t> folders; // to their lines
  for (const image::FileChange& change : diff.files) {
    const bool only_time = change.what.size() == 1 && change.what.front() == "time";
    if (only_time) continue;
    const std::string_view path = change.path;
    const bool alone = change.before.has_value() != change.after.has_value();
    const auto above = folders.find(path.substr(0, std::min(path.rfind('/'), path.size())));
    const bool said = alone && above != folders.end();
    const std::size_t line = said ? above->second : lines.size();
    if (said)
      ++lines[line].below;
    else
      lines.push_back({&change});
    const image::ContentFile& file = change.after ? *change.after : *change.before;
    if (alone && file.kind == TarEntry::Kind::folder) folders.emplace(path, line);
  }
  return lines;
}

std::string files_text(const image::ImageDiff& diff) {
  if (diff.added + diff.removed + diff.changed == 0) return "";
  std::string text =
      fmt::format("files: {} added, {} removed, {} changed", format_count(diff.added),
                  format_count(diff.removed), format_count(diff.changed - diff.only_time));
  if (diff.only_time > 0)
    text += fmt::format(", {} with another time only", format_count(diff.only_time));
  text += "\n";
  const std::vector<FileLine> lines = file_lines(diff);
  for (std::size_t i = 0; i < std::min(lines.size(), shown_files); ++i) {
    const image::FileChange& change = *lines[i].change;
    text += fmt::format("  {:<8} /{}", change_word(!!change.before, !!change.after),
                        printable(change.path));
    if (lines[i].below > 0) text += fmt::format("/  (and {} in it)", format_count(lines[i].below));
    if (!change.what.empty()) text += fmt::format("  ({})", join(change.what, ", "));
    text += "\n";
  }
  if (lines.size() > shown_files)
    text += fmt::format("  and {} more lines\n", format_count(lines.size() - shown_files));
  return text;
}

} // namespace

std::string diff_text(const image::ImageDiff& diff) {
  std::string text = packages_text(diff) + config_text(diff);
  if (!diff.layers_before.empty() || !diff.layers_after.empty())
    text += fmt::format("layers: {} shared, {} only in the first, {} only in the second\n",
                        diff.shared_layers, diff.layers_before.size(), diff.layers_after.size());
  return text + files_text(diff);
}

Json diff_json(const image::ImageDiff& diff) {
  Json packages = json_array(), config = json_array(), files = json_array();
  for (const image::PackageChange& change : diff.packages)
    packages.push_back(json_object({{"kind", kind_word(change.kind)},
                                    {"name", change.name},
                                    {"before", change.before},
                                    {"after", change.after}}));
  for (const image::ConfigChange& change : diff.config) {
    Json row = json_object({{"member", change.member}});
    if (!change.before.empty()) row["before"] = parse_json(change.before, "a member");
    if (!change.after.empty()) row["after"] = parse_json(change.after, "a member");
    config.push_back(std::move(row));
  }
  for (const image::FileChange& change : diff.files) {
    Json row = json_object({{"path", "/" + change.path},
                            {"change", change_word(!!change.before, !!change.after)},
                            {"what", change.what}});
    if (change.before) row["before"] = file_json(*change.before);
    if (change.after) row["after"] = file_json(*change.after);
    files.push_back(std::move(row));
  }
  const auto digests = [](const std::vector<Digest>& all) {
    std::vector<std::string> out;
    for (const Digest& digest : all)
      out.push_back(digest.text());
    return out;
  };
  return json_object({{"verdict", image::verdict_word(diff.verdict)},
                      {"packages", std::move(packages)},
                      {"config", std::move(config)},
                      {"layers", json_object({{"shared", diff.shared_layers},
                                              {"before", digests(diff.layers_before)},
                                              {"after", digests(diff.layers_after)}})},
                      {"added", diff.added},
                      {"removed", diff.removed},
                      {"changed", diff.changed},
                      {"only_time", diff.only_time},
                      {"files", std::move(files)}});
}

} // namespace mlp
