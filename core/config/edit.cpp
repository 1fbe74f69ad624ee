// Edits by line and span: the parsed tree says where things stand, the text is cut or extended
// there, and the result is parsed again and compared with the tree that was wanted.
#include "core/config/edit.hpp"

#include "core/base/text.hpp"
#include "core/config/edit_text.hpp"
#include "core/config/project_file.hpp"
#include "core/config/yaml.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

namespace mlp::config {

namespace {

class Editor {
 public:
  Editor(const std::string& text, std::string_view name, std::string_view section)
      : document_(YamlDocument::parse(text, std::string(name))), section_(section),
        text_(document_.text()),
        line_end_(text_.find("\r\n") != std::string::npos ? "\r\n" : "\n") {
    for (std::size_t i = 0; i < root().entries.size(); ++i)
      if (root().entries[i].key == section) index_ = i;
  }

  [[nodiscard]] const YamlNode& root() const { return document_.root(); }
  [[nodiscard]] const YamlDocument& document() const { return document_; }
  [[nodiscard]] const YamlNode* value() const { return root().find(section_); }

  [[nodiscard]] std::string add(std::string_view name, std::string_view value_text) const {
    const std::string entry = fmt::format("{}: {}", yaml_quote(name), value_text);
    if (!index_) return add_section(entry);
    if (value()->kind == YamlKind::null) return add_first(entry);
    if (value()->flow) return add_to_flow(entry);
    std::vector<std::string> lines = to_lines(text_);
    const std::size_t indent = value()->entries.front().key_position.column - 1;
    insert_line(lines, last_line_of_section(lines, indent) + 1, indent, entry);
    return to_text(lines);
  }

  [[nodiscard]] std::string remove(std::size_t entry) const {
    return value()->flow ? remove_from_flow(entry) : remove_lines(entry);
  }

 private:
  [[nodiscard]] std::size_t section_line() const {
    return root().entries[*index_].key_position.line - 1;
  }

  // The first line (from 0) that belongs to what comes after the section.
  [[nodiscard]] std::size_t section_end(const std::vector<std::string>& lines) const {
    if (*index_ + 1 < root().entries.size())
      return root().entries[*index_ + 1].key_position.line - 1;
    return lines.size();
  }

  // The last line with content of the section; a comment at the entries' depth is content.
  [[nodiscard]] std::size_t last_line_of_section(const std::vector<std::string>& lines,
                                                 std::size_t indent) const {
    std::size_t line = section_end(lines) - 1;
    while (line > section_line() && (is_blank(lines[line]) || (is_comment(lines[line]) &&
                                                               indentation(lines[line]) < indent)))
      --line;
    return line;
  }

  void insert_line(std::vector<std::string>& lines, std::size_t at, std::size_t indent,
                   const std::string& entry) const {
    if (at > 0 && !lines[at - 1].ends_with('\n')) lines[at - 1] += line_end_;
    lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(at),
                 std::string(indent, ' ') + entry + line_end_);
  }

  // As deep as the other maps of the file.
  [[nodiscard]] std::size_t usual_indent() const {
    for (const YamlEntry& entry : root().entries)
      if (entry.value.kind == YamlKind::mapping && !entry.value.flow)
        return entry.value.entries.front().key_position.column - 1;
    return 2;
  }

  [[nodiscard]] std::string add_section(const std::string& entry) const {
    std::vector<std::string> lines = to_lines(text_);
    insert_line(lines, lines.size(), 0, fmt::format("{}:", section_));
    insert_line(lines, lines.size(), usual_indent(), entry);
    return to_text(lines);
  }

  [[nodiscard]] std::string add_first(const std::string& entry) const {
    std::vector<std::string> lines = to_lines(text_);
    insert_line(lines, last_line_of_section(lines, usual_indent()) + 1, usual_indent(), entry);
    return to_text(lines);
  }

  [[nodiscard]] std::string add_to_flow(const std::string& entry) const {
    std::string text = text_;
    const std::size_t open = offset_of(text, value()->position);
    const std::size_t close = find_in_flow(text, open + 1, "}");
    if (close == std::string::npos) return text; // the comparison then refuses it
    const std::size_t last = text.find_last_not_of(" \t\r\n", close - 1);
    const bool first = value()->entries.empty();
    text.insert(last + 1, first ? entry : (text[last] == ',' ? " " : ", ") + entry);
    return text;
  }

  [[nodiscard]] std::string remove_lines(std::size_t entry) const {
    std::vector<std::string> lines = to_lines(text_);
    const std::vector<YamlEntry>& entries = value()->entries;
    const std::size_t indent = entries[entry].key_position.column - 1;
    std::size_t first = entries[entry].key_position.line - 1;
    std::size_t end = entry + 1 < entries.size() ? entries[entry + 1].key_position.line - 1
                                                 : last_line_of_section(lines, indent) + 1;
    // Comments above the next entry stay, as do those after the last one.
    while (end > first + 1 && (is_blank(lines[end - 1]) || (is_comment(lines[end - 1]) &&
                                                            indentation(lines[end - 1]) <= indent)))
      --end;
    // The section goes with its last entry, unless comments in it remain.
    if (entries.size() == 1 && first == section_line() + 1 &&
        last_line_of_section(lines, indent) + 1 == end)
      --first;
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(first),
                lines.begin() + static_cast<std::ptrdiff_t>(end));
    return to_text(lines);
  }

  [[nodiscard]] std::string remove_from_flow(std::size_t entry) const {
    std::string text = text_;
    std::size_t start = offset_of(text, value()->entries[entry].key_position);
    std::size_t end = find_in_flow(text, start, ",}");
    if (end == std::string::npos) return text;
    if (text[end] == ',')
      end = std::min(text.find_first_not_of(' ', end + 1), text.size());
    else if (entry > 0)
      start = text.rfind(',', start);
    text.erase(start, end - start);
    return text;
  }

  YamlDocument document_;
  std::string section_;
  std::string text_;
  std::string line_end_;
  std::optional<std::size_t> index_; // of the section among the root's entries
};

void check_editable(const Editor& editor, std::string_view section) {
  const YamlNode& root = editor.root();
  if (root.kind != YamlKind::null && (root.kind != YamlKind::mapping || root.flow))
    throw editor.document().error_at(root.position, "this is not a block of keys and values");
  const YamlNode* value = editor.value();
  if (value != nullptr && value->kind != YamlKind::mapping && value->kind != YamlKind::null)
    throw editor.document().error_at(value->position, fmt::format("'{}' must be a map", section));
}

} // namespace

std::string add_mapping_entry(const std::string& text, std::string_view name_of_text,
                              std::string_view section, std::string_view name,
                              std::string_view value) {
  const YamlNode wanted = YamlDocument::parse(std::string(value), std::string(name)).root();
  const Editor editor(text, name_of_text, section);
  check_editable(editor, section);
  const YamlNode* entries = editor.value();
  if (const YamlNode* known = entries == nullptr ? nullptr : entries->find(name)) {
    if (known->same_as(wanted)) return text;
    throw Error(ErrorKind::conflict,
                fmt::format("'{}' has another '{}.{}' at line {}", name_of_text, section,
                            printable(name), known->position.line));
  }
  YamlNode tree = editor.root();
  tree.kind = YamlKind::mapping;
  if (entries == nullptr) tree.entries.push_back({std::string(section), {}, {}});
  for (YamlEntry& entry : tree.entries)
    if (entry.key == section) {
      entry.value.kind = YamlKind::mapping;
      entry.value.entries.push_back({std::string(name), {}, wanted});
    }
  return verified(
      editor.add(name, value), name_of_text, {tree},
      fmt::format("add this under '{}:' by hand: {}: {}", section, yaml_quote(name), value));
}

std::string remove_mapping_entry(const std::string& text, std::string_view name_of_text,
                                 std::string_view section, std::string_view name) {
  const Editor editor(text, name_of_text, section);
  check_editable(editor, section);
  std::vector<std::string> known;
  std::optional<std::size_t> index;
  if (editor.value() != nullptr)
    for (const YamlEntry& entry : editor.value()->entries) {
      if (entry.key == name) index = known.size();
      known.push_back(entry.key);
    }
  if (!index) {
    Error error(ErrorKind::not_found,
                fmt::format("no '{}' under '{}' in {}", printable(name), section, name_of_text));
    if (std::string hint = suggestion_hint(name, known, "names"); !hint.empty())
      error.add_hint(std::move(hint));
    throw error;
  }
  // An emptied section may be absent, null or {}.
  std::vector<YamlNode> wanted(3, editor.root());
  for (std::size_t form = 0; form < wanted.size(); ++form)
    for (std::size_t i = 0; i < wanted[form].entries.size(); ++i) {
      YamlNode& value = wanted[form].entries[i].value;
      if (wanted[form].entries[i].key != section) continue;
      value.entries.erase(value.entries.begin() + static_cast<std::ptrdiff_t>(*index));
      if (!value.entries.empty() || form == 0) continue;
      if (form == 1) {
        value.kind = YamlKind::null;
      } else {
        wanted[form].entries.erase(wanted[form].entries.begin() + static_cast<std::ptrdiff_t>(i));
        break;
      }
    }
  return verified(editor.remove(*index), name_of_text, wanted,
                  fmt::format("remove '{}' under '{}:' by hand", name, section));
}

bool add_dataset(const Project& project, std::string_view name, std::string_view path) {
  return edit_project(project, fmt::format("adding dataset '{}' to", printable(name)),
                      [&](const std::string& text) {
                        return add_mapping_entry(text, "mlp.yaml", "datasets", name,
                                                 fmt::format("{{path: {}}}", yaml_quote(path)));
                      });
}

bool add_remote(const Project& project, std::string_view name, std::string_view url) {
  return edit_project(
      project, fmt::format("adding remote '{}' to", printable(name)), [&](const std::string& text) {
        return add_mapping_entry(text, "mlp.yaml", "remotes", name, yaml_quote(url));
      });
}

void remove_dataset(const Project& project, std::string_view name) {
  edit_project(project, fmt::format("removing dataset '{}' from", printable(name)),
               [&](const std::string& text) {
                 return remove_mapping_entry(text, "mlp.yaml", "datasets", name);
               });
}

void remove_remote(const Project& project, std::string_view name) {
  edit_project(project, fmt::format("removing remote '{}' from", printable(name)),
               [&](const std::string& text) {
                 return remove_mapping_entry(text, "mlp.yaml", "remotes", name);
               });
}

} // namespace mlp::config
