// RunSpec as JSON and back.
#include "core/track/run_spec.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"

#include <fmt/format.h>

namespace mlp::track {

namespace {

// Optional members with their types checked.
class Members {
 public:
  Members(const Json& object, std::string_view what) : object_(object), what_(what) {
    if (!object.is_object()) throw Error(ErrorKind::config, fmt::format("{}: not an object", what));
  }

  [[nodiscard]] const Json* find(const char* key, bool (Json::*is)() const noexcept,
                                 std::string_view type) const {
    const auto found = object_.find(key);
    if (found == object_.end() || found->is_null()) return nullptr;
    if (!(*found.*is)())
      throw Error(ErrorKind::config, fmt::format("{}: '{}' is not {}", what_, key, type));
    return &*found;
  }
  [[nodiscard]] std::string text(const char* key) const {
    const Json* value = find(key, &Json::is_string, "a string");
    return value == nullptr ? std::string() : value->get<std::string>();
  }
  [[nodiscard]] std::uint64_t count(const char* key) const {
    const Json* value = find(key, &Json::is_number_integer, "a count");
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned() && value->get<std::int64_t>() < 0)
      throw Error(ErrorKind::config, fmt::format("{}: '{}' is negative", what_, key));
    return value->get<std::uint64_t>();
  }
  [[nodiscard]] double number(const char* key, double fallback) const {
    const Json* value = find(key, &Json::is_number, "a number");
    return value == nullptr ? fallback : value->get<double>();
  }
  [[nodiscard]] const Json* object(const char* key) const {
    return find(key, &Json::is_object, "an object");
  }
  [[nodiscard]] const Json* array(const char* key) const {
    return find(key, &Json::is_array, "a list");
  }
  [[nodiscard]] std::vector<std::string> texts(const char* key) const {
    std::vector<std::string> out;
    if (const Json* list = array(key))
      for (const Json& item : *list) {
        if (!item.is_string())
          throw Error(ErrorKind::config,
                      fmt::format("{}: '{}' is not a list of strings", what_, key));
        out.push_back(item.get<std::string>());
      }
    return out;
  }

 private:
  const Json& object_;
  std::string_view what_;
};

Json parsed(const std::string& text, std::string_view what) {
  return parse_json(text, what);
}

} // namespace

Json to_json(const RunSpec& spec) {
  Json out = json_object({{"version", 1},
                          {"id", spec.id},
                          {"task", spec.task},
                          {"project", spec.project},
                          {"created", format_time(spec.created)},
                          {"user", spec.user},
                          {"host", spec.host},
                          {"mlp_version", spec.mlp_version},
                          {"outs", spec.outs},
                          {"environment", spec.environment},
                          {"num_nodes", spec.num_nodes},
                          {"grace_seconds", spec.grace_seconds}});
  if (!spec.name.empty()) out["name"] = spec.name;
  if (!spec.reproduces.empty()) out["reproduces"] = spec.reproduces;
  if (!spec.command.empty()) out["run"] = spec.command;
  if (!spec.overrides.empty()) out["overrides"] = spec.overrides;
  if (!spec.image.empty()) out["image"] = spec.image;
  if (!spec.model.empty()) out["model"] = spec.model;
  if (!spec.sweep.empty()) {
    out["sweep"] = spec.sweep;
    out["trial"] = spec.trial;
  }
  if (!spec.resources.empty()) out["resources"] = parsed(spec.resources, "resources");
  Json params = json_object();
  for (const auto& [name, value] : spec.params)
    params[name] = parsed(value, name);
  out["params"] = std::move(params);
  Json datasets = json_array();
  for (const DatasetUse& use : spec.datasets)
    datasets.push_back(json_object({{"name", use.name},
                                    {"path", use.path},
                                    {"digest", use.digest},
                                    {"files", use.files},
                                    {"bytes", use.bytes}}));
  out["datasets"] = std::move(datasets);
  if (spec.source) {
    Json source = json_object({{"commit", spec.source->commit}, {"branch", spec.source->branch}});
    if (spec.source->dirty) source["dirty"] = *spec.source->dirty;
    if (!spec.source->folder.empty()) source["folder"] = spec.source->folder;
    if (!spec.source->snapshot.empty()) source["snapshot"] = spec.source->snapshot;
    if (!spec.source->removed.empty()) source["removed"] = spec.source->removed;
    source["complete"] = spec.source->complete;
    out["source"] = std::move(source);
  }
  return out;
}

RunSpec run_spec_from_json(const Json& json, std::string_view what) {
  const Members members(json, what);
  RunSpec spec;
  spec.id = json_string(json, "id", what);
  spec.task = members.text("task");
  spec.name = members.text("name");
  spec.reproduces = members.text("reproduces");
  spec.project = members.text("project");
  spec.created = parse_time(members.text("created")).value_or(WallTime{});
  spec.user = members.text("user");
  spec.host = members.text("host");
  spec.mlp_version = members.text("mlp_version");
  spec.command = members.text("run");
  if (const Json* overrides = members.object("overrides")) {
    const Members texts(*overrides, what);
    for (const auto& [name, value] : overrides->items())
      spec.overrides.emplace(name, texts.text(name.c_str()));
  }
  if (const Json* params = members.object("params"))
    for (const auto& [name, value] : params->items())
      spec.params.emplace(name, dump_json(value));
  if (const Json* datasets = members.array("datasets"))
    for (const Json& item : *datasets) {
      const Members use(item, what);
      spec.datasets.push_back({use.text("name"), use.text("path"), use.text("digest"),
                               use.count("files"), use.count("bytes")});
    }
  if (const Json* source = members.object("source")) {
    const Members state(*source, what);
    spec.source = SourceState{state.text("commit"), state.text("branch"),   std::nullopt,
                              state.text("folder"), state.text("snapshot"), state.texts("removed")};
    if (const Json* dirty = state.find("dirty", &Json::is_boolean, "true or false"))
      spec.source->dirty = dirty->get<bool>();
    if (const Json* complete = state.find("complete", &Json::is_boolean, "true or false"))
      spec.source->complete = complete->get<bool>();
  }
  spec.outs = members.texts("outs");
  spec.environment = members.texts("environment");
  spec.image = members.text("image");
  spec.model = members.text("model");
  spec.sweep = members.text("sweep");
  spec.trial = members.count("trial");
  if (const Json* resources = members.object("resources")) spec.resources = dump_json(*resources);
  const std::uint64_t nodes = members.count("num_nodes");
  spec.num_nodes = nodes == 0 || nodes > 1'000'000 ? 1 : static_cast<std::int64_t>(nodes);
  spec.grace_seconds = members.number("grace_seconds", spec.grace_seconds);
  return spec;
}

} // namespace mlp::track
