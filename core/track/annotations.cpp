// Tags and notes as events.
#include "core/track/annotations.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/run_record.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::track {

namespace {

constexpr std::size_t max_untagged = 1000;

std::vector<std::string> tags_in(const Json& event, const char* key) {
  std::vector<std::string> out;
  const auto list = event.find(key);
  if (list == event.end() || !list->is_array()) return out;
  for (const Json& item : *list)
    if (item.is_string() && is_tag(item.get_ref<const std::string&>()))
      out.push_back(item.get<std::string>());
  return out;
}

void apply(std::vector<std::string>& tags, std::span<const std::string> add,
           std::span<const std::string> remove) {
  for (const std::string& tag : add) {
    const auto at = std::ranges::lower_bound(tags, tag);
    if (at == tags.end() || *at != tag) tags.insert(at, tag);
  }
  std::erase_if(
      tags, [&](const std::string& tag) { return std::ranges::find(remove, tag) != remove.end(); });
}

} // namespace

bool is_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= 128 && tag.front() != '-' && trim(tag) == tag &&
         tag.find(',') == std::string_view::npos && is_valid_utf8(tag) && printable(tag) == tag;
}

void check_tag(std::string_view tag) {
  if (!is_tag(tag))
    throw Error(ErrorKind::usage, fmt::format("'{}' cannot be a tag", printable(tag)))
        .with_hint("1 to 128 bytes, without a comma, a control character or a '-' in front");
}

bool tag_run(const RunFolder& run, std::span<const std::string> add,
             std::span<const std::string> remove) {
  for (const auto& tags : {add, remove})
    for (const std::string& tag : tags)
      check_tag(tag);
  const std::vector<std::string> before = read_journals(run).tags;
  std::vector<std::string> after = before;
  apply(after, add, remove);
  if (after == before) return false;
  if (after.size() > max_tags)
    throw Error(ErrorKind::usage,
                fmt::format("run '{}' would have {} tags", run.id(), after.size()))
        .with_hint(fmt::format("at most {}", max_tags));
  std::vector<std::string> added, removed;
  std::ranges::set_difference(after, before, std::back_inserter(added));
  std::ranges::set_difference(before, after, std::back_inserter(removed));
  RunWriter writer(run);
  writer.event("tag", json_object({{"add", added}, {"remove", removed}}));
  writer.sync();
  return true;
}

bool note_run(const RunFolder& run, std::string_view text) {
  if (text.size() > max_note_bytes)
    throw Error(ErrorKind::usage, fmt::format("a note of {} bytes is too long", text.size()))
        .with_hint(fmt::format("at most {} bytes", max_note_bytes));
  if (!is_valid_utf8(text)) throw Error(ErrorKind::usage, "the note is not UTF-8");
  if (read_journals(run).note == text) return false;
  RunWriter writer(run);
  writer.event("note", json_object({{"text", text}}));
  writer.sync();
  return true;
}

void take_tags(std::vector<std::string>& tags, const Json& event) {
  std::vector<std::string> add = tags_in(event, "add");
  if (add.size() > max_tags) add.resize(max_tags);
  apply(tags, add, tags_in(event, "remove"));
  if (tags.size() > max_tags) tags.resize(max_tags);
}

void take_untagged(std::set<std::string>& taken_away, const Json& event) {
  for (const std::string& tag : tags_in(event, "add"))
    taken_away.erase(tag);
  for (std::string& tag : tags_in(event, "remove"))
    if (taken_away.size() < max_untagged) taken_away.insert(std::move(tag));
}

} // namespace mlp::track
