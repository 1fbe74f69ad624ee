// Lists of texts in mlp.yaml: an item is a line of a block, or a word between brackets.
#include "core/base/text.hpp"
#include "core/config/edit_text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::config {

namespace {

// The list in a tree; nullptr if there is none, or nothing in its place.
YamlNode* list_in(YamlNode& root, std::string_view section, std::string_view key) {
  for (YamlEntry& outer : root.entries)
    if (outer.key == section)
      for (YamlEntry& inner : outer.value.entries)
        if (inner.key == key && inner.value.kind != YamlKind::null) return &inner.value;
  return nullptr;
}

void check_list(const YamlDocument& document, const YamlNode& list, std::string_view key) {
  if (list.kind != YamlKind::sequence)
    throw document.error_at(list.position, fmt::format("'{}' must be a list", key));
  for (const YamlNode& item : list.items)
    if (item.kind != YamlKind::scalar)
      throw document.error_at(item.position, fmt::format("an item of '{}' must be a text", key));
}

std::string add_to_flow(std::string text, const YamlNode& list, const std::string& item) {
  const std::size_t open = offset_of(text, list.position);
  const std::size_t close = find_in_flow(text, open + 1, "]");
  if (close == std::string::npos) return text; // the comparison then refuses it
  const std::size_t last = text.find_last_not_of(" \t\r\n", close - 1);
  text.insert(last + 1, list.items.empty() ? item : (text[last] == ',' ? " " : ", ") + item);
  return text;
}

std::string add_line(const std::string& text, const YamlNode& list, const std::string& item) {
  std::vector<std::string> lines = to_lines(text);
  const std::size_t at = list.items.back().position.line - 1;
  const std::string line = lines[at];
  const std::string end = line.ends_with("\r\n") ? "\r\n" : "\n";
  if (!line.ends_with('\n')) lines[at] += end;
  lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(at + 1),
               line.substr(0, line.find('-')) + "- " + item + end);
  return to_text(lines);
}

std::string remove_from_flow(std::string text, const YamlNode& list, std::size_t index) {
  std::size_t start = offset_of(text, list.items[index].position);
  std::size_t end = find_in_flow(text, start, ",]");
  if (end == std::string::npos) return text;
  if (text[end] == ',')
    end = std::min(text.find_first_not_of(' ', end + 1), text.size());
  else if (index > 0)
    start = text.rfind(',', start);
  text.erase(start, end - start);
  return text;
}

} // namespace

std::string add_list_item(const std::string& text, std::string_view name_of_text,
                          std::string_view section, std::string_view key, std::string_view item) {
  const YamlDocument document = YamlDocument::parse(text, std::string(name_of_text));
  YamlNode tree = document.root();
  YamlNode* list = list_in(tree, section, key);
  const std::string quoted = yaml_quote(item);
  if (list == nullptr)
    return add_mapping_entry(text, name_of_text, section, key, fmt::format("[{}]", quoted));
  check_list(document, *list, key);
  const YamlNode before = *list;
  for (const YamlNode& known : before.items)
    if (known.text == item) return text;
  YamlNode added = YamlDocument::parse(quoted, std::string(name_of_text)).root();
  list->items.push_back(std::move(added));
  const bool flow = before.flow || before.items.empty();
  return verified(flow ? add_to_flow(document.text(), before, quoted)
                       : add_line(document.text(), before, quoted),
                  name_of_text, {tree},
                  fmt::format("add this to '{}.{}' by hand: {}", section, key, quoted));
}

std::string remove_list_item(const std::string& text, std::string_view name_of_text,
                             std::string_view section, std::string_view key,
                             std::string_view item) {
  const YamlDocument document = YamlDocument::parse(text, std::string(name_of_text));
  YamlNode tree = document.root();
  YamlNode* list = list_in(tree, section, key);
  if (list != nullptr) check_list(document, *list, key);
  std::vector<std::string> known;
  if (list != nullptr)
    for (const YamlNode& one : list->items)
      known.push_back(one.text);
  const auto found = std::find(known.begin(), known.end(), item);
  if (found == known.end()) {
    Error error(ErrorKind::not_found, fmt::format("no '{}' in '{}.{}' of {}", printable(item),
                                                  section, key, name_of_text));
    if (std::string hint = suggestion_hint(item, known, "items"); !hint.empty())
      error.add_hint(std::move(hint));
    throw error;
  }
  if (known.size() == 1) return remove_mapping_entry(text, name_of_text, section, key);
  const YamlNode before = *list;
  const auto index = static_cast<std::size_t>(found - known.begin());
  list->items.erase(list->items.begin() + static_cast<std::ptrdiff_t>(index));
  std::string after;
  if (before.flow) {
    after = remove_from_flow(document.text(), before, index);
  } else {
    std::vector<std::string> lines = to_lines(document.text());
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(before.items[index].position.line - 1));
    after = to_text(lines);
  }
  return verified(std::move(after), name_of_text, {tree},
                  fmt::format("remove '{}' from '{}.{}' by hand", item, section, key));
}

bool add_list_item(const Project& project, std::string_view section, std::string_view key,
                   std::string_view item) {
  return edit_project(project, fmt::format("adding '{}' to", item), [&](const std::string& text) {
    return add_list_item(text, "mlp.yaml", section, key, item);
  });
}

void remove_list_item(const Project& project, std::string_view section, std::string_view key,
                      std::string_view item) {
  edit_project(project, fmt::format("removing '{}' from", item), [&](const std::string& text) {
    return remove_list_item(text, "mlp.yaml", section, key, item);
  });
}

} // namespace mlp::config
