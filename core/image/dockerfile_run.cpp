// A mount is "key=value,key=value,key"; each type has its own keys.
#include "core/image/dockerfile_run.hpp"

#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace mlp::image {

namespace {

using Fields = std::map<std::string, std::string>;

// Known keys of a type by their longest name; nullopt for another.
std::optional<std::string> plain_key(std::string_view key) {
  static const std::map<std::string_view, std::string_view> names = {{"type", "type"},
                                                                     {"id", "id"},
                                                                     {"target", "target"},
                                                                     {"dst", "target"},
                                                                     {"destination", "target"},
                                                                     {"required", "required"},
                                                                     {"mode", "mode"},
                                                                     {"uid", "uid"},
                                                                     {"gid", "gid"},
                                                                     {"sharing", "sharing"},
                                                                     {"size", "size"}};
  const auto found = names.find(key);
  if (found == names.end()) return std::nullopt;
  return std::string(found->second);
}

bool truth(const std::string& value, const DockerfilePlace& place) {
  if (value.empty() || value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  place.fail(fmt::format("'required={}' is neither true nor false", printable(value)));
}

Fields fields_of(const std::string& text, const DockerfilePlace& place,
                 const std::function<std::string(const std::string&)>& expand) {
  Fields fields;
  std::string type = "bind";
  std::vector<std::string> unknown;
  for (const std::string& part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    const std::string value =
        equals == std::string::npos ? std::string() : expand(part.substr(equals + 1));
    const auto plain = plain_key(key);
    if (!plain) {
      unknown.push_back(key);
      continue;
    }
    if (*plain == "type") type = value;
    if (!fields.emplace(*plain, value).second)
      place.fail(fmt::format("the mount's '{}' is given twice", *plain));
  }
  fields["type"] = type;
  if (type == "bind")
    place.fail("mounts of type bind are not built",
               "COPY the files, and remove them in the step that used them");
  if (type == "ssh")
    place.fail("mounts of type ssh are not built", "give the step a key by --mount=type=secret");
  if (type != "secret" && type != "cache" && type != "tmpfs") {
    const std::vector<std::string> types = {"secret", "cache", "tmpfs"};
    place.fail(fmt::format("'{}' is no type of mount that is built", printable(type)),
               suggestion_hint(type, types, "types"));
  }
  if (!unknown.empty())
    place.fail(
        fmt::format("a mount of type {} takes no '{}' here", type, printable(unknown.front())),
        type == "secret" ? "it takes id, target and required" : "it takes id and target");
  return fields;
}

} // namespace

RunFlags run_flags(const Instruction& instruction, const DockerfilePlace& place,
                   const std::function<std::string(const std::string&)>& expand) {
  RunFlags result;
  for (const InstructionFlag& flag : instruction.flags) {
    const std::string value = flag.value.value_or("");
    if (flag.name == "network") {
      if (value != "none" && value != "default" && value != "host")
        place.fail(fmt::format("'--network={}' is not known", printable(value)),
                   "it is default, host or none");
      result.network = value != "none";
    } else if (flag.name == "mount") {
      Fields fields = fields_of(value, place, expand);
      if (fields["type"] != "secret") {
        if (fields["target"].empty())
          place.fail(fmt::format("a mount of type {} has no target", fields["type"]));
        result.scratch_folders.push_back(fields["target"]);
        continue;
      }
      SecretMount secret{fields["id"], fields["target"],
                         fields.contains("required") && truth(fields["required"], place)};
      if (secret.id.empty()) secret.id = secret.target.substr(secret.target.rfind('/') + 1);
      if (!is_valid_name(secret.id))
        place.fail(fmt::format("'{}' cannot be the id of a secret", printable(secret.id)));
      if (secret.target.empty()) secret.target = "/run/secrets/" + secret.id;
      result.secrets.push_back(std::move(secret));
    }
  }
  return result;
}

} // namespace mlp::image
