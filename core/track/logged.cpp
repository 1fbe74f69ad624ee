// Params and tags of a program, folded with limits.
#include "core/track/logged.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/track/annotations.hpp"

#include <algorithm>

namespace mlp::track {

namespace {

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= max_logged_name;
}

// Makes room for nothing: a new name beyond the limit is left out.
void put(std::map<std::string, std::string>& values, const std::string& name, std::string value) {
  if (value.size() > max_logged_value) return;
  if (values.size() >= max_logged && !values.contains(name)) return;
  values.insert_or_assign(name, std::move(value));
}

const Json* object_member(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_object() ? &*found : nullptr;
}

} // namespace

bool take_logged(Logged& logged, const Json& record) {
  const Json* params = object_member(record, "params");
  const Json* tags = object_member(record, "tags");
  if (params != nullptr)
    for (const auto& [name, value] : params->items())
      if (is_name(name) && (value.is_primitive() && !value.is_null()))
        put(logged.params, name, dump_json(value));
  if (tags != nullptr)
    for (const auto& [name, value] : tags->items()) {
      if (!is_name(name)) continue;
      if (value.is_null())
        logged.tags.erase(name);
      else if (value.is_string())
        put(logged.tags, name, value.get<std::string>());
    }
  return params != nullptr || tags != nullptr;
}

std::string plain_param(const std::string& json) {
  if (json.size() < 3 || json.size() > 64 || json.front() != '"') return json;
  const std::string inner = json.substr(1, json.size() - 2);
  const char first = inner.front();
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if ((first != '-' && !is_digit(first)) || !is_digit(inner.back())) return json;
  try {
    if (parse_json(inner, "param", {64, 1}).is_number()) return inner;
  } catch (const Error&) { // it is text
  }
  return json;
}

std::string tag_word(std::string_view name, std::string_view value) {
  if (name.starts_with("mlflow.")) return {};
  std::string word(name);
  if (!value.empty()) {
    word += '=';
    word += value;
  }
  return is_tag(word) ? word : std::string();
}

void add_tags(std::vector<std::string>& tags, const std::map<std::string, std::string>& logged,
              const std::set<std::string>& taken_away) {
  for (const auto& [name, value] : logged) {
    std::string word = tag_word(name, value);
    if (word.empty() || taken_away.contains(word) || tags.size() >= max_tags) continue;
    const auto at = std::ranges::lower_bound(tags, word);
    if (at == tags.end() || *at != word) tags.insert(at, std::move(word));
  }
}

} // namespace mlp::track
