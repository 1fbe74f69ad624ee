// The documents of an image as JSON. What is empty is left out, so that a value has one text.
#include "core/base/json.hpp"
#include "core/image/oci.hpp"

#include <algorithm>
#include <type_traits>

namespace mlp::image {

namespace {

template <class Value>
void put(Json& object, std::string_view key, const Value& value) {
  if constexpr (std::is_integral_v<Value>) {
    if (value != 0) object.emplace(key, value);
  } else {
    if (!value.empty()) object.emplace(key, value);
  }
}

// {"NAME": {}, …}, as Go's tools write a set.
void put_set(Json& object, std::string_view key, const std::vector<std::string>& names) {
  if (names.empty()) return;
  Json set = json_object();
  for (const std::string& name : names)
    set.emplace(name, json_object());
  object.emplace(key, std::move(set));
}

Json platform_json(const Platform& platform) {
  Json out = json_object({{"os", platform.os}, {"architecture", platform.architecture}});
  put(out, "variant", platform.variant);
  return out;
}

Json descriptor_json(const Descriptor& descriptor) {
  Json out = json_object({{"mediaType", descriptor.media_type},
                          {"digest", descriptor.digest.text()},
                          {"size", descriptor.size}});
  put(out, "annotations", descriptor.annotations);
  if (descriptor.platform) out.emplace("platform", platform_json(*descriptor.platform));
  put(out, "artifactType", descriptor.artifact_type);
  return out;
}

Json descriptors_json(const std::vector<Descriptor>& descriptors) {
  Json out = json_array();
  for (const Descriptor& descriptor : descriptors)
    out.push_back(descriptor_json(descriptor));
  return out;
}

Json health_check_json(const HealthCheck& check) {
  Json out = json_object();
  put(out, "Test", check.test);
  put(out, "Interval", check.interval);
  put(out, "Timeout", check.timeout);
  put(out, "StartPeriod", check.start_period);
  put(out, "StartInterval", check.start_interval);
  put(out, "Retries", check.retries);
  return out;
}

Json defaults_json(const Defaults& defaults) {
  Json out = json_object();
  put(out, "User", defaults.user);
  put(out, "WorkingDir", defaults.workdir);
  put(out, "StopSignal", defaults.stop_signal);
  put(out, "Env", defaults.env);
  put(out, "Entrypoint", defaults.entrypoint);
  put(out, "Cmd", defaults.cmd);
  put(out, "Shell", defaults.shell);
  put_set(out, "ExposedPorts", defaults.exposed_ports);
  put_set(out, "Volumes", defaults.volumes);
  put(out, "Labels", defaults.labels);
  if (defaults.health_check) out.emplace("Healthcheck", health_check_json(*defaults.health_check));
  return out;
}

Json history_json(const std::vector<History>& history) {
  Json out = json_array();
  for (const History& step : history) {
    Json item = json_object();
    put(item, "created", step.created);
    put(item, "created_by", step.created_by);
    put(item, "comment", step.comment);
    put(item, "author", step.author);
    if (step.empty_layer) item.emplace("empty_layer", true);
    out.push_back(std::move(item));
  }
  return out;
}

} // namespace

std::string to_text(const Manifest& manifest) {
  Json out = json_object({{"schemaVersion", 2},
                          {"mediaType", manifest.media_type},
                          {"config", descriptor_json(manifest.config)},
                          {"layers", descriptors_json(manifest.layers)}});
  put(out, "artifactType", manifest.artifact_type);
  if (manifest.subject) out.emplace("subject", descriptor_json(*manifest.subject));
  put(out, "annotations", manifest.annotations);
  return dump_json(out);
}

std::string to_text(const Index& index) {
  Json out = json_object({{"schemaVersion", 2},
                          {"mediaType", index.media_type},
                          {"manifests", descriptors_json(index.manifests)}});
  put(out, "annotations", index.annotations);
  return dump_json(out);
}

std::string to_text(const Config& config) {
  Json out = platform_json(config.platform);
  put(out, "created", config.created);
  put(out, "author", config.author);
  out.emplace("config", defaults_json(config.defaults));
  Json diff_ids = json_array();
  for (const Digest& digest : config.diff_ids)
    diff_ids.push_back(digest.text());
  out.emplace("rootfs", json_object({{"type", "layers"}, {"diff_ids", std::move(diff_ids)}}));
  put(out, "history", history_json(config.history));
  return dump_json(out);
}

} // namespace mlp::image
