// The user's settings. Each is declared once, in settings.cpp: key, type, default, environment
// variable, option, description. A value comes from the command line, else the environment, else
// the user's file ($XDG_CONFIG_HOME/mlp/config.yaml), else the default.
#pragma once

#include "core/base/fs.hpp"
#include "core/config/project_file.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::config {

// boolean: true, false. duration: 500ms, 30s, 5m, 2h. size: 512, 64KiB, 16MiB, 2GiB (also KB, MB,
// GB in powers of ten).
enum class SettingType { text, boolean, integer, duration, size };

struct SettingDefinition {
  std::string_view key; // "data.jobs"
  SettingType type;
  std::string_view default_value;
  std::string_view environment; // "MLP_JOBS"; empty: none
  std::string_view option;      // "--jobs"; empty: none
  std::string_view value_name;  // "N", as help shows it
  std::string_view description; // one line
  std::vector<std::string_view> choices = {};
  std::int64_t minimum = 0; // of an integer, or of a duration in ms, or of a size in bytes
  std::int64_t maximum = INT64_MAX;
};

// The table, in the order shown.
[[nodiscard]] std::span<const SettingDefinition> setting_definitions();
[[nodiscard]] const SettingDefinition* find_setting(std::string_view key) noexcept;

enum class SettingSource { default_value, file, environment, option };
[[nodiscard]] std::string_view setting_source_name(SettingSource source) noexcept;

// $XDG_CONFIG_HOME/mlp/config.yaml, or ~/.config/mlp/config.yaml; empty without a home.
[[nodiscard]] fs::path user_config_path(const EnvironmentLookup& environment);

// $XDG_CACHE_HOME/mlp, or ~/.cache/mlp; empty without a home.
[[nodiscard]] fs::path user_cache_path(const EnvironmentLookup& environment);

// Immutable once loaded; may be read by many threads.
class Settings {
 public:
  // `overrides`: key -> value as given on the command line. Throws Error(config) for a wrong value
  // in the file (with its position) or the environment, Error(usage) for one in the overrides; each
  // names where the value stands.
  [[nodiscard]] static Settings load(const EnvironmentLookup& environment = process_environment(),
                                     const std::map<std::string, std::string>& overrides = {});

  // By key; a key or type that the table does not have is a defect of the caller
  // (std::logic_error).
  [[nodiscard]] const std::string& get_string(std::string_view key) const;
  [[nodiscard]] bool get_bool(std::string_view key) const;
  [[nodiscard]] std::int64_t get_int(std::string_view key) const;
  [[nodiscard]] std::chrono::milliseconds get_duration(std::string_view key) const;
  [[nodiscard]] std::uint64_t get_size(std::string_view key) const;

  // The value of any type as text.
  [[nodiscard]] const std::string& text(std::string_view key) const;

  [[nodiscard]] SettingSource source(std::string_view key) const;
  // "MLP_JOBS", "--jobs", "/home/ada/.config/mlp/config.yaml:3:9" or "".
  [[nodiscard]] const std::string& origin(std::string_view key) const;

 private:
  struct Value {
    std::string text;
    std::int64_t number = 0;
    SettingSource source = SettingSource::default_value;
    std::string origin;
  };
  [[nodiscard]] const Value& entry(std::string_view key) const;
  [[nodiscard]] const Value& value(std::string_view key, SettingType type) const;
  std::vector<Value> values_; // in the order of the table
};

// Throws Error(usage) for an unknown key (with the nearest) or a value that is not valid.
void check_setting(std::string_view key, const std::string& value);

// Writes one setting to the user's file, keeping the rest and its comments; creates the file (mode
// 0600) and its folder. nullopt removes it. Throws as check_setting(), and Error(config) if the
// file cannot be edited.
void set_user_setting(const EnvironmentLookup& environment, std::string_view key,
                      const std::optional<std::string>& value);

// Units as settings and mlp.yaml write them; nullopt if the text is not one.
[[nodiscard]] std::optional<std::chrono::microseconds> parse_duration(std::string_view text);
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

} // namespace mlp::config
