// What people add to a run after it was made: tags and a note. They are events of its journal
//   {"event": "tag", "add": ["keep"], "remove": ["draft"], "time": ...}
//   {"event": "note", "text": "...", "time": ...}
// so that its spec stays as it was; the last note counts, and an empty one is none.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/track/run_folder.hpp"

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::track {

constexpr std::size_t max_tags = 100; // of one run
constexpr std::size_t max_note_bytes = 64u << 10;

// Throws Error(usage) unless `tag` is 1 to 128 bytes of UTF-8 without a comma, a control character,
// a space at either end, or a "-" at its start.
void check_tag(std::string_view tag);
[[nodiscard]] bool is_tag(std::string_view tag);

// Appends one event, on the disk when it returns; blocks on the file system. What is already so is
// no event: false is then returned. Of a tag in both lists the removal counts. Throws Error: usage
// for a tag that may not be or one too many, not_found, denied, config for a damaged spec.json.
bool tag_run(const RunFolder& run, std::span<const std::string> add,
             std::span<const std::string> remove);
// The same for the note; "" takes it away. Throws Error(usage) if it is too long or no UTF-8.
bool note_run(const RunFolder& run, std::string_view text);

// Folds a tag event into `tags`, which stay sorted and within their limit. What is no tag is left
// out: a journal may come from elsewhere.
void take_tags(std::vector<std::string>& tags, const Json& event);
// Folds a tag event into the tags that people took away and did not give again: a program that says
// them once more does not bring them back. At most 1,000.
void take_untagged(std::set<std::string>& taken_away, const Json& event);

} // namespace mlp::track
