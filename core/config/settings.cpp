// The table of settings, and how a value is found and checked. To add a setting, add a line to the
// table; `mlp config`, help, manual pages and completion follow.
#include "core/config/settings.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/config/value.hpp"
#include "core/config/yaml.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace mlp::config {

namespace {

constexpr std::int64_t mib = 1 << 20;

const std::vector<SettingDefinition>& table() {
  using enum SettingType;
  static const std::vector<SettingDefinition> definitions{
      {.key = "ui.color",
       .type = text,
       .default_value = "auto",
       .environment = "MLP_COLOR",
       .value_name = "WHEN",
       .description = "colours on the terminal; NO_COLOR turns them off too",
       .choices = {"auto", "always", "never"}},
      {.key = "ui.progress",
       .type = boolean,
       .default_value = "true",
       .environment = "MLP_PROGRESS",
       .value_name = "BOOL",
       .description = "progress of long work on the terminal"},
      {.key = "data.jobs",
       .type = integer,
       .default_value = "0",
       .environment = "MLP_JOBS",
       .option = "--jobs",
       .value_name = "N",
       .description = "files to work on at once; 0: as many as there are CPUs",
       .maximum = 1024},
      {.key = "data.compression_level",
       .type = integer,
       .default_value = "3",
       .environment = "MLP_COMPRESSION_LEVEL",
       .option = "--compression-level",
       .value_name = "N",
       .description = "zstd level of stored data, from 1 (quick) to 19 (small)",
       .minimum = 1,
       .maximum = 19},
      {.key = "data.cache",
       .type = text,
       .default_value = "",
       .environment = "MLP_CACHE",
       .value_name = "FOLDER",
       .description = "what your projects share; default: $XDG_CACHE_HOME/mlp/data"},
      {.key = "data.cache_limit",
       .type = size,
       .default_value = "20GiB",
       .environment = "MLP_CACHE_LIMIT",
       .value_name = "SIZE",
       .description = "most that this cache keeps of what no project has; 0: there is no cache",
       .maximum = 64 * 1024 * 1024 * mib},
      {.key = "data.link",
       .type = text,
       .default_value = "auto",
       .environment = "MLP_LINK",
       .option = "--link",
       .value_name = "HOW",
       .description = "how files get into place: links from the cache, or copies",
       .choices = {"auto", "reflink", "hardlink", "copy"}},
      {.key = "data.mount_cache",
       .type = size,
       .default_value = "4GiB",
       .environment = "MLP_MOUNT_CACHE",
       .option = "--cache-size",
       .value_name = "SIZE",
       .description = "most that mounts keep on disk of what they fetched; 0: nothing",
       .maximum = 64 * 1024 * mib},
      {.key = "remote.default",
       .type = text,
       .default_value = "",
       .environment = "MLP_REMOTE",
       .option = "--remote",
       .value_name = "NAME",
       .description = "remote to use; default: what mlp.yaml says, else origin"},
      {.key = "net.timeout",
       .type = duration,
       .default_value = "30s",
       .environment = "MLP_NET_TIMEOUT",
       .value_name = "TIME",
       .description = "longest wait for a server of a remote to send or take data",
       .minimum = 100,
       .maximum = 3'600'000},
      {.key = "net.attempts",
       .type = integer,
       .default_value = "6",
       .environment = "MLP_NET_ATTEMPTS",
       .value_name = "N",
       .description = "how often a request to a remote is made before it counts as failed",
       .minimum = 1,
       .maximum = 100},
      {.key = "net.ca_file",
       .type = text,
       .default_value = "",
       .environment = "MLP_CA_FILE",
       .value_name = "FILE",
       .description = "certificates to trust in place of the system's, in PEM form"},
      {.key = "ssh.command",
       .type = text,
       .default_value = "ssh",
       .environment = "MLP_SSH_COMMAND",
       .value_name = "WORDS",
       .description = "how ssh is started, as words with quotes; it must take OpenSSH's options"},
      {.key = "ssh.remote_program",
       .type = text,
       .default_value = "mlp",
       .environment = "MLP_SSH_REMOTE_PROGRAM",
       .value_name = "PATH",
       .description = "mlp at the other end of ssh, if it is not in the PATH of commands there"},
      {.key = "runs.code_limit",
       .type = size,
       .default_value = "64MiB",
       .environment = "MLP_CODE_LIMIT",
       .value_name = "SIZE",
       .description = "most code that is kept with a run besides what git has; 0: none",
       .maximum = 64 * 1024 * mib},
      {.key = "runs.log_limit",
       .type = size,
       .default_value = "256MiB",
       .environment = "MLP_LOG_LIMIT",
       .value_name = "SIZE",
       .description = "most that is kept of a run's output, and as much of its errors; 0: all",
       .maximum = 64 * 1024 * 1024 * mib},
      {.key = "runs.sample_interval",
       .type = duration,
       .default_value = "10s",
       .environment = "MLP_SAMPLE_INTERVAL",
       .value_name = "TIME",
       .description = "between samples of CPU, memory, disk and GPUs of a run; 0s: there are none",
       .maximum = 86'400'000},
      {.key = "secrets.key_command",
       .type = text,
       .default_value = "",
       .environment = "MLP_SECRETS_KEY_COMMAND",
       .value_name = "WORDS",
       .description = "command that prints the key of the secrets; default: a file is their key"},
      {.key = "train.threads",
       .type = integer,
       .default_value = "0",
       .environment = "MLP_THREADS",
       .option = "--threads",
       .value_name = "N",
       .description =
           "threads of the built-in trainer and of serving; 0: as many as there are CPUs",
       .maximum = 4096},
      {.key = "serve.host",
       .type = text,
       .default_value = "127.0.0.1",
       .environment = "MLP_SERVE_HOST",
       .option = "--host",
       .value_name = "ADDRESS",
       .description = "address to listen on"},
      {.key = "serve.port",
       .type = integer,
       .default_value = "8080",
       .environment = "MLP_SERVE_PORT",
       .option = "--port",
       .value_name = "PORT",
       .description = "port to listen on; 0: any that is free",
       .maximum = 65535},
      {.key = "serve.max_body",
       .type = size,
       .default_value = "64MiB",
       .environment = "MLP_SERVE_MAX_BODY",
       .option = "--max-body",
       .value_name = "SIZE",
       .description = "largest request taken",
       .minimum = 1024,
       .maximum = 16 * 1024 * mib},
      {.key = "serve.max_connections",
       .type = integer,
       .default_value = "1024",
       .environment = "MLP_SERVE_MAX_CONNECTIONS",
       .option = "--max-connections",
       .value_name = "N",
       .description = "most connections at once",
       .minimum = 1,
       .maximum = 1'000'000},
      {.key = "serve.timeout",
       .type = duration,
       .default_value = "30s",
       .environment = "MLP_SERVE_TIMEOUT",
       .option = "--timeout",
       .value_name = "TIME",
       .description = "longest wait for a client to send or take data",
       .minimum = 10,
       .maximum = 86'400'000},
  };
  return definitions;
}

std::vector<std::string> keys() {
  std::vector<std::string> all;
  for (const SettingDefinition& definition : table())
    all.emplace_back(definition.key);
  return all;
}

// What a value must be: "a whole number from 0 to 1024".
std::string wanted(const SettingDefinition& definition) {
  switch (definition.type) {
  case SettingType::boolean:
    return "true or false";
  case SettingType::integer:
    return fmt::format("a whole number from {} to {}", definition.minimum, definition.maximum);
  case SettingType::duration:
    return fmt::format("a duration such as 500ms, 30s or 5m, from {}ms to {}s", definition.minimum,
                       definition.maximum / 1000);
  case SettingType::size:
    return fmt::format("a size such as 64KiB or 16MiB, from {} to {}",
                       format_bytes(static_cast<std::uint64_t>(definition.minimum)),
                       format_bytes(static_cast<std::uint64_t>(definition.maximum)));
  case SettingType::text:
    break;
  }
  std::string words;
  for (const std::string_view choice : definition.choices)
    words += fmt::format("{}{}", words.empty() ? "one of " : ", ", choice);
  return words.empty() ? "text" : words;
}

// The value as a number (ms, bytes, 0 or 1; 0 for text), or nullopt if it is not valid.
std::optional<std::int64_t> parse_value(const SettingDefinition& definition,
                                        const std::string& text) {
  std::optional<std::int64_t> number;
  switch (definition.type) {
  case SettingType::text:
    if (text.find_first_of(std::string_view("\0\n\r", 3)) != std::string::npos) return std::nullopt;
    if (!definition.choices.empty() &&
        std::find(definition.choices.begin(), definition.choices.end(), text) ==
            definition.choices.end())
      return std::nullopt;
    return 0;
  case SettingType::boolean:
    if (text == "true" || text == "1" || text == "yes" || text == "on") return 1;
    if (text == "false" || text == "0" || text == "no" || text == "off") return 0;
    return std::nullopt;
  case SettingType::integer:
    if (const Scalar scalar = parse_scalar(text); scalar.type == ScalarType::integer)
      number = std::stoll(scalar.text);
    break;
  case SettingType::duration:
    if (const auto time = parse_duration(text)) number = time->count() / 1000;
    break;
  case SettingType::size:
    if (const auto bytes = parse_size(text)) number = static_cast<std::int64_t>(*bytes);
    break;
  }
  if (!number || *number < definition.minimum || *number > definition.maximum) return std::nullopt;
  return number;
}

Error wrong_value(ErrorKind kind, const std::string& where, const SettingDefinition& definition,
                  std::string_view value) {
  return {kind, fmt::format("{} must be {}, not '{}'", where, wanted(definition),
                            printable(value.substr(0, 60)))};
}

Error unknown_setting(std::string_view key) {
  Error error(ErrorKind::usage, fmt::format("no setting '{}'", printable(key)));
  error.add_hint(suggestion_hint(key, keys(), "settings"));
  return error;
}

struct FileValue {
  std::string text;
  Position position;
};

// The user's file as key -> value, each key known.
std::map<std::string, FileValue> read_file_values(const YamlDocument& document) {
  std::map<std::string, FileValue> values;
  const YamlNode& root = document.root();
  if (root.kind == YamlKind::null) return values;
  const auto unknown = [&](const YamlEntry& entry, std::string_view key) {
    Error error =
        document.error_at(entry.key_position, fmt::format("unknown setting '{}'", printable(key)));
    error.add_hint(suggestion_hint(key, keys(), "settings"));
    return error;
  };
  if (root.kind != YamlKind::mapping)
    throw document.error_at(root.position, "this is not a map of settings");
  for (const YamlEntry& group : root.entries) {
    if (group.value.kind == YamlKind::null) continue;
    if (group.value.kind != YamlKind::mapping) throw unknown(group, group.key);
    for (const YamlEntry& entry : group.value.entries) {
      const std::string key = fmt::format("{}.{}", group.key, entry.key);
      if (find_setting(key) == nullptr) throw unknown(entry, key);
      if (entry.value.kind == YamlKind::sequence || entry.value.kind == YamlKind::mapping)
        throw document.error_at(entry.value.position, fmt::format("'{}' must be one value", key));
      values[key] = {entry.value.text, entry.value.position};
    }
  }
  return values;
}

} // namespace

std::span<const SettingDefinition> setting_definitions() {
  return table();
}

const SettingDefinition* find_setting(std::string_view key) noexcept {
  for (const SettingDefinition& definition : table())
    if (definition.key == key) return &definition;
  return nullptr;
}

std::string_view setting_source_name(SettingSource source) noexcept {
  switch (source) {
  case SettingSource::file:
    return "file";
  case SettingSource::environment:
    return "environment";
  case SettingSource::option:
    return "option";
  case SettingSource::default_value:
    break;
  }
  return "default";
}

fs::path user_config_path(const EnvironmentLookup& environment) {
  // The XDG base directory specification: a path that is not absolute is to be ignored.
  const char* const xdg = environment("XDG_CONFIG_HOME");
  if (xdg != nullptr && xdg[0] == '/') return fs::path(xdg) / "mlp" / "config.yaml";
  const char* const home = environment("HOME");
  if (home == nullptr || home[0] != '/') return {};
  return fs::path(home) / ".config" / "mlp" / "config.yaml";
}

fs::path user_cache_path(const EnvironmentLookup& environment) {
  const char* const xdg = environment("XDG_CACHE_HOME");
  if (xdg != nullptr && xdg[0] == '/') return fs::path(xdg) / "mlp";
  const char* const home = environment("HOME");
  if (home == nullptr || home[0] != '/') return {};
  return fs::path(home) / ".cache" / "mlp";
}

Settings Settings::load(const EnvironmentLookup& environment,
                        const std::map<std::string, std::string>& overrides) {
  std::map<std::string, FileValue> from_file;
  std::optional<YamlDocument> document;
  const fs::path path = user_config_path(environment);
  std::error_code code;
  if (!path.empty() && fs::exists(path, code)) {
    document = YamlDocument::load(path, path.native());
    from_file = read_file_values(*document);
  }
  for (const auto& [key, text] : overrides)
    if (find_setting(key) == nullptr) throw unknown_setting(key);

  Settings settings;
  for (const SettingDefinition& definition : table()) {
    Value value;
    const std::string key(definition.key);
    const std::string variable(definition.environment);
    const char* from_environment = variable.empty() ? nullptr : environment(variable.c_str());
    const char* no_color = key == "ui.color" ? environment("NO_COLOR") : nullptr;
    if (const auto given = overrides.find(key); given != overrides.end()) {
      value = {given->second, 0, SettingSource::option,
               std::string(definition.option.empty() ? definition.key : definition.option)};
      if (!parse_value(definition, value.text))
        throw wrong_value(ErrorKind::usage, fmt::format("'{}'", value.origin), definition,
                          value.text);
    } else if (from_environment != nullptr && *from_environment != '\0') {
      value = {from_environment, 0, SettingSource::environment, variable};
      if (!parse_value(definition, value.text))
        throw wrong_value(ErrorKind::config, fmt::format("environment variable '{}'", variable),
                          definition, value.text);
    } else if (no_color != nullptr && *no_color != '\0') {
      value = {"never", 0, SettingSource::environment, "NO_COLOR"};
    } else if (const auto found = from_file.find(key); found != from_file.end()) {
      const Position at = found->second.position;
      value = {found->second.text, 0, SettingSource::file,
               fmt::format("{}:{}:{}", path.native(), at.line, at.column)};
      if (!parse_value(definition, value.text))
        throw document->error_at(at,
                                 fmt::format("'{}' must be {}, not '{}'", key, wanted(definition),
                                             printable(value.text.substr(0, 60))));
    } else {
      value.text = definition.default_value;
    }
    value.number = *parse_value(definition, value.text);
    settings.values_.push_back(std::move(value));
  }
  return settings;
}

const Settings::Value& Settings::entry(std::string_view key) const {
  for (std::size_t i = 0; i < values_.size(); ++i)
    if (table()[i].key == key) return values_[i];
  throw std::logic_error(fmt::format("no setting '{}'", key));
}

const Settings::Value& Settings::value(std::string_view key, SettingType type) const {
  const Value& found = entry(key);
  if (find_setting(key)->type != type)
    throw std::logic_error(fmt::format("setting '{}' has another type", key));
  return found;
}

const std::string& Settings::text(std::string_view key) const {
  return entry(key).text;
}
const std::string& Settings::get_string(std::string_view key) const {
  return value(key, SettingType::text).text;
}
bool Settings::get_bool(std::string_view key) const {
  return value(key, SettingType::boolean).number != 0;
}
std::int64_t Settings::get_int(std::string_view key) const {
  return value(key, SettingType::integer).number;
}
std::chrono::milliseconds Settings::get_duration(std::string_view key) const {
  return std::chrono::milliseconds(value(key, SettingType::duration).number);
}
std::uint64_t Settings::get_size(std::string_view key) const {
  return static_cast<std::uint64_t>(value(key, SettingType::size).number);
}
SettingSource Settings::source(std::string_view key) const {
  return entry(key).source;
}
const std::string& Settings::origin(std::string_view key) const {
  return entry(key).origin;
}

void check_setting(std::string_view key, const std::string& value) {
  const SettingDefinition* definition = find_setting(key);
  if (definition == nullptr) throw unknown_setting(key);
  if (!parse_value(*definition, value))
    throw wrong_value(ErrorKind::usage, fmt::format("'{}'", key), *definition, value);
}

} // namespace mlp::config
