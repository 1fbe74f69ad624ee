// Settings as records of `mlp config`.
#include "cli/setting_words.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

Json text_or_null(std::string_view text) {
  return text.empty() ? Json() : Json(text);
}

Json typed_value(const config::Settings& settings, const config::SettingDefinition& definition) {
  switch (definition.type) {
  case config::SettingType::boolean:
    return settings.get_bool(definition.key);
  case config::SettingType::integer:
    return settings.get_int(definition.key);
  default:
    return text_or_null(settings.text(definition.key));
  }
}

} // namespace

Json setting_record(const config::Settings& settings, std::string_view key) {
  const config::SettingDefinition& definition = *config::find_setting(key);
  return json_object({{"key", key},
                      {"value", typed_value(settings, definition)},
                      {"source", config::setting_source_name(settings.source(key))},
                      {"origin", text_or_null(settings.origin(key))},
                      {"default", text_or_null(definition.default_value)},
                      {"description", definition.description},
                      {"environment", text_or_null(definition.environment)},
                      {"option", text_or_null(definition.option)}});
}

void require_setting(std::string_view key) {
  if (config::find_setting(key) != nullptr) return;
  std::vector<std::string> known;
  for (const config::SettingDefinition& definition : config::setting_definitions())
    known.emplace_back(definition.key);
  throw Error(ErrorKind::not_found, fmt::format("no setting '{}'", printable(key)))
      .with_hint(suggestion_hint(key, known, "settings"));
}

std::vector<Candidate> complete_settings(Session&) {
  std::vector<Candidate> candidates;
  for (const config::SettingDefinition& definition : config::setting_definitions())
    candidates.push_back({std::string(definition.key), std::string(definition.description)});
  return candidates;
}

} // namespace mlp
