// A container's specification as a document, for the process that becomes the container. What is
// not UTF-8 is written as {"hex": "…"}.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/image/container.hpp"

#include <fmt/format.h>

#include <charconv>

namespace mlp::image {

namespace {

Json text_json(const std::string& text) {
  if (is_valid_utf8(text)) return text;
  std::string hex;
  for (const char c : text)
    hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return json_object({{"hex", hex}});
}

[[noreturn]] void fail(std::string_view what, std::string_view problem) {
  throw Error(ErrorKind::config, fmt::format("{}: {}", what, problem));
}

std::string text_of(const Json& json, std::string_view what) {
  if (json.is_string()) return json.get<std::string>();
  if (!json.is_object()) fail(what, "a text is expected");
  const std::string hex = json_string(json, "hex", what);
  std::string text;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    unsigned value = 0;
    const char* end = hex.data() + i + 2;
    if (std::from_chars(hex.data() + i, end, value, 16).ptr != end)
      fail(what, "'hex' has other than hexadecimal digits");
    text += static_cast<char>(value);
  }
  if (text.find('\0') != std::string::npos) fail(what, "a text has a NUL");
  return text;
}

template <class Values, class Text>
Json list_json(const Values& values, Text&& text) {
  Json list = json_array();
  for (const auto& value : values)
    list.push_back(text_json(text(value)));
  return list;
}

const Json& list_of(const Json& json, std::string_view key, std::string_view what) {
  const Json& list = json_member(json, key, what);
  if (!list.is_array()) fail(what, fmt::format("'{}' is no list", key));
  return list;
}

std::vector<std::string> texts_of(const Json& json, std::string_view key, std::string_view what) {
  std::vector<std::string> out;
  for (const Json& value : list_of(json, key, what))
    out.push_back(text_of(value, what));
  return out;
}

std::vector<fs::path> paths_of(const Json& json, std::string_view key, std::string_view what) {
  std::vector<fs::path> out;
  for (std::string& text : texts_of(json, key, what))
    out.emplace_back(std::move(text));
  return out;
}

bool flag_of(const Json& json, std::string_view key, std::string_view what) {
  const Json& value = json_member(json, key, what);
  if (!value.is_boolean()) fail(what, fmt::format("'{}' is neither true nor false", key));
  return value.get<bool>();
}

} // namespace

Json to_json(const ContainerSpec& spec) {
  const auto native = [](const fs::path& path) { return path.native(); };
  const auto same = [](const std::string& text) { return text; };
  Json environment = json_array();
  for (const auto& [name, value] : spec.environment) {
    environment.push_back(text_json(name));
    environment.push_back(text_json(value));
  }
  Json mounts = json_array();
  for (const BindMount& mount : spec.mounts)
    mounts.push_back(json_object({{"source", text_json(mount.source.native())},
                                  {"target", text_json(mount.target)},
                                  {"read_only", mount.read_only}}));
  return json_object({{"layers", list_json(spec.layers, native)},
                      {"upper", text_json(spec.upper.native())},
                      {"work", text_json(spec.work.native())},
                      {"read_only", spec.read_only},
                      {"arguments", list_json(spec.arguments, same)},
                      {"environment", std::move(environment)},
                      {"inherited", list_json(spec.inherited, same)},
                      {"workdir", text_json(spec.workdir)},
                      {"user", text_json(spec.user)},
                      {"mounts", std::move(mounts)},
                      {"devices", list_json(spec.devices, native)},
                      {"network", spec.network},
                      {"hostname", text_json(spec.hostname)},
                      {"signal_group", spec.signal_group},
                      {"pretend_root", spec.pretend_root}});
}

ContainerSpec container_spec_from_json(const Json& json, std::string_view what) {
  const auto text = [&](std::string_view key) {
    return text_of(json_member(json, key, what), what);
  };
  ContainerSpec spec;
  spec.layers = paths_of(json, "layers", what);
  spec.upper = text("upper");
  spec.work = text("work");
  spec.read_only = flag_of(json, "read_only", what);
  spec.arguments = texts_of(json, "arguments", what);
  const std::vector<std::string> environment = texts_of(json, "environment", what);
  if (environment.size() % 2 != 0) fail(what, "'environment' has a name without a value");
  for (std::size_t i = 0; i < environment.size(); i += 2)
    spec.environment[environment[i]] = environment[i + 1];
  spec.inherited = texts_of(json, "inherited", what);
  spec.workdir = text("workdir");
  spec.user = text("user");
  for (const Json& mount : list_of(json, "mounts", what))
    spec.mounts.push_back({.source = text_of(json_member(mount, "source", what), what),
                           .target = text_of(json_member(mount, "target", what), what),
                           .read_only = flag_of(mount, "read_only", what)});
  spec.devices = paths_of(json, "devices", what);
  spec.network = flag_of(json, "network", what);
  spec.hostname = text("hostname");
  spec.signal_group = flag_of(json, "signal_group", what);
  spec.pretend_root = flag_of(json, "pretend_root", what);
  return spec;
}

} // namespace mlp::image
