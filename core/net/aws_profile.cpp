// Environment and shared files. In the config file a profile's section is "[profile NAME]", but for
// "[default]"; in the credentials file it is "[NAME]".
#include "core/base/fs.hpp"
#include "core/base/text.hpp"
#include "core/net/aws.hpp"
#include "core/net/ini.hpp"

#include <fmt/format.h>

#include <array>

namespace mlp::net {

namespace {

std::string variable(const EnvironmentOf& environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? "" : value;
}

fs::path in_home(const EnvironmentOf& environment, const std::string& path) {
  if (!path.starts_with("~/")) return path;
  const std::string home = variable(environment, "HOME");
  return home.empty() ? fs::path() : fs::path(home) / path.substr(2);
}

IniFile read_shared(const EnvironmentOf& environment, const char* override_name,
                    const char* usual) {
  const std::string chosen = variable(environment, override_name);
  const fs::path path = in_home(environment, chosen.empty() ? usual : chosen);
  if (path.empty()) return {};
  const auto text = read_file_if_exists(path, max_ini_bytes);
  return text ? parse_ini(*text, path.native()) : IniFile();
}

struct Sections {
  IniFile config;
  IniFile credentials;

  // The first that is there: the credentials file comes before the config file.
  [[nodiscard]] std::string value(const std::string& profile, std::string_view key) const {
    const std::string in_config = profile == "default" ? profile : "profile " + profile;
    for (const auto& [file, section] :
         {std::pair(&credentials, profile), std::pair(&config, in_config)}) {
      const auto at = file->find(section);
      if (at == file->end()) continue;
      const auto found = at->second.find(key);
      if (found != at->second.end()) return found->second;
    }
    return "";
  }
  [[nodiscard]] bool has(const std::string& profile) const {
    return credentials.contains(profile) || config.contains("profile " + profile) ||
           (profile == "default" && config.contains(profile));
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, values] : credentials)
      all.push_back(name);
    for (const auto& [name, values] : config)
      if (name.starts_with("profile ")) all.push_back(name.substr(8));
    return all;
  }
};

} // namespace

AwsProfile load_aws_profile(const EnvironmentOf& environment, const std::string& profile) {
  const Sections files{
      read_shared(environment, "AWS_CONFIG_FILE", "~/.aws/config"),
      read_shared(environment, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")};
  AwsProfile result;
  result.name = profile.empty() ? variable(environment, "AWS_PROFILE") : profile;
  const bool named = !result.name.empty();
  if (!named) result.name = "default";
  if (named && !files.has(result.name))
    throw Error(ErrorKind::config, fmt::format("no AWS profile '{}'", printable(result.name)))
        .with_hint(suggestion_hint(result.name, files.names(), "profiles"));

  // A profile that the remote names is a choice; the environment's keys are a default.
  Credentials keys{variable(environment, "AWS_ACCESS_KEY_ID"),
                   variable(environment, "AWS_SECRET_ACCESS_KEY"),
                   variable(environment, "AWS_SESSION_TOKEN"), std::nullopt, "the environment"};
  if (keys.access_key.empty() || keys.secret_key.empty() || !profile.empty())
    keys = {files.value(result.name, "aws_access_key_id"),
            files.value(result.name, "aws_secret_access_key"),
            files.value(result.name, "aws_session_token"), std::nullopt,
            fmt::format("profile '{}'", result.name)};
  if (!keys.access_key.empty() && !keys.secret_key.empty()) {
    result.credentials = std::move(keys);
  } else {
    static constexpr std::array<std::string_view, 6> others = {"role_arn",
                                                               "sso_session",
                                                               "sso_start_url",
                                                               "credential_process",
                                                               "web_identity_token_file",
                                                               "credential_source"};
    for (const std::string_view key : others)
      if (result.unsupported.empty() && !files.value(result.name, key).empty())
        result.unsupported = key;
  }

  const auto first = [](std::initializer_list<std::string> values) {
    for (const std::string& value : values)
      if (!value.empty()) return value;
    return std::string();
  };
  result.region =
      first({variable(environment, "AWS_REGION"), variable(environment, "AWS_DEFAULT_REGION"),
             files.value(result.name, "region")});
  result.endpoint =
      first({variable(environment, "AWS_ENDPOINT_URL_S3"),
             variable(environment, "AWS_ENDPOINT_URL"), files.value(result.name, "endpoint_url")});
  result.ca_file = in_home(environment, first({variable(environment, "AWS_CA_BUNDLE"),
                                               files.value(result.name, "ca_bundle")}))
                       .native();
  return result;
}

} // namespace mlp::net
