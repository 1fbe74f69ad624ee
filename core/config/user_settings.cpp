// Changing one setting in the user's file: the same careful edit as of mlp.yaml.
#include "core/base/error.hpp"
#include "core/config/edit.hpp"
#include "core/config/settings.hpp"
#include "core/config/yaml.hpp"

#include <fmt/format.h>

namespace mlp::config {

namespace {

constexpr std::string_view heading = "# Settings of mlp; see: mlp config ls\n";

} // namespace

void set_user_setting(const EnvironmentLookup& environment, std::string_view key,
                      const std::optional<std::string>& value) {
  check_setting(
      key, value.value_or(std::string(find_setting(key) ? find_setting(key)->default_value : "")));
  const fs::path path = user_config_path(environment);
  if (path.empty())
    throw Error(ErrorKind::config, "there is no place for settings")
        .with_hint("set HOME or XDG_CONFIG_HOME");
  make_directories(path.parent_path());
  const FileLock guard(path.parent_path() / ".config.lock", "the user's settings",
                       std::chrono::seconds(30));
  const std::string name = path.native();
  const std::string before =
      read_file_if_exists(path, YamlLimits{}.max_bytes).value_or(std::string(heading));
  const std::string section(key.substr(0, key.find('.')));
  const std::string member(key.substr(key.find('.') + 1));
  std::string after = before;
  const YamlDocument document = YamlDocument::parse(before, name);
  const YamlNode* group = document.root().find(section);
  const YamlNode* known = group == nullptr ? nullptr : group->find(member);
  if (known == nullptr && !value) return;
  if (known != nullptr && known->kind == YamlKind::scalar && value == known->text) return;
  if (known != nullptr) after = remove_mapping_entry(after, name, section, member);
  if (value)
    after = add_mapping_entry(after, name, section, member,
                              find_setting(key)->type == SettingType::text ? yaml_quote(*value)
                                                                           : *value);
  if (after == before) return;
  std::error_code code;
  const fs::path target = fs::canonical(path, code); // a symlink stays one
  write_file_atomic(code ? path : target, after, 0600);
}

} // namespace mlp::config
