// What a program says of its run beside metrics: lines of metrics.jsonl that hold
//   {"time": ..., "params": {"lr": 0.01, "optimizer": "adam"}}
//   {"time": ..., "tags": {"keep": "", "stage": "dev", "draft": null}}
// The last value of a name counts; null takes a tag away. `params` and `tags` are reserved for such
// objects; a metric of that name is a number, as any other.
#pragma once

#include "core/base/json_fwd.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::track {

constexpr std::size_t max_logged = 1000;              // params of one run, and tags
constexpr std::size_t max_logged_name = 250;          // bytes
constexpr std::size_t max_logged_value = 8000;        // bytes of its text
constexpr std::string_view system_prefix = "system/"; // of metrics that are samples of the machine

// What has been said so far; bounded by the limits above: what exceeds them is left out.
struct Logged {
  std::map<std::string, std::string> params; // JSON text: 0.01, "adam"
  std::map<std::string, std::string> tags;
};

// Folds a line of metrics.jsonl in. Returns true if it has such an object.
bool take_logged(Logged& logged, const Json& record);

// A param's value as text that may be a number: 0.1 is one, "1e-5" too, and what is none stays
// text. JSON text in, JSON text out; for those who can only send text.
[[nodiscard]] std::string plain_param(const std::string& json);

// The tag as `mlp runs tag` would write it, "stage=dev" or "keep"; empty if it cannot be one (see
// check_tag), or is one of a tool's own ("mlflow.user").
[[nodiscard]] std::string tag_word(std::string_view name, std::string_view value);

// Adds the program's tags to those that people gave, less the ones that people took away.
void add_tags(std::vector<std::string>& tags, const std::map<std::string, std::string>& logged,
              const std::set<std::string>& taken_away);

} // namespace mlp::track
