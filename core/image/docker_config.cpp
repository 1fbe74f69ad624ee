// Files first name a helper for the host, then hold the secret themselves, then name a helper for
// all hosts: Docker's order.
#include "core/image/docker_config.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <array>

namespace mlp::image {

namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// The keys under which a host's secret may stand, the nearest first. podman also keeps secrets of
// parts of a registry: "quay.io/team".
std::vector<std::string> keys_of(std::string_view host, std::string_view repository) {
  std::vector<std::string> out;
  for (std::string_view path = repository; !path.empty();) {
    out.push_back(fmt::format("{}/{}", host, path));
    const auto slash = path.rfind('/');
    path = slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
  }
  out.emplace_back(host);
  if (host == "docker.io")
    for (const char* key :
         {"https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io"})
      out.emplace_back(key);
  return out;
}

// "https://registry.example.com/v1/" as older versions of Docker wrote it.
std::string bare_host(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"})
    if (key.starts_with(scheme))
      return std::string(key.substr(scheme.size()).substr(0, key.substr(scheme.size()).find('/')));
  return std::string(key);
}

const Json* find_object(const Json& parent, std::string_view key) {
  const auto found = parent.find(key);
  return found != parent.end() && found->is_object() ? &*found : nullptr;
}

std::string text_of(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const Json* entry_of(const Json& auths, const std::vector<std::string>& keys) {
  for (const std::string& key : keys)
    if (const Json* const entry = find_object(auths, key)) return entry;
  for (const std::string& key : keys)
    for (const auto& [name, entry] : auths.items())
      if (entry.is_object() && name != key && bare_host(name) == key) return &entry;
  return nullptr;
}

std::optional<Credentials> read_entry(const Json& entry, const fs::path& path) {
  Credentials out{.user = text_of(entry, "username"),
                  .password = text_of(entry, "password"),
                  .identity_token = text_of(entry, "identitytoken")};
  if (const std::string coded = text_of(entry, "auth"); !coded.empty()) {
    const auto plain = decode_base64(coded);
    const auto colon = plain ? plain->find(':') : std::string::npos;
    if (colon == std::string::npos)
      throw Error(
          ErrorKind::config,
          fmt::format("'{}': a value of 'auth' is not the base64 of USER:PASSWORD", path.native()))
          .with_hint("log in again: docker login or podman login writes the file anew");
    out.user = plain->substr(0, colon);
    out.password = plain->substr(colon + 1);
    while (out.password.ends_with('\0'))
      out.password.pop_back();
  }
  if (out.user.empty() && out.identity_token.empty()) return std::nullopt;
  return out;
}

std::optional<Credentials> find_in(const Json& config, const fs::path& path,
                                   const std::vector<std::string>& keys) {
  if (const Json* const helpers = find_object(config, "credHelpers"))
    for (const std::string& key : keys)
      if (const std::string helper = text_of(*helpers, key); !helper.empty())
        return ask_credential_helper(helper, key);
  if (const Json* const auths = find_object(config, "auths"))
    if (const Json* const entry = entry_of(*auths, keys))
      if (auto found = read_entry(*entry, path)) return found;
  if (const std::string helper = text_of(config, "credsStore"); !helper.empty())
    for (const std::string& key : keys)
      // Helpers of all hosts know none of podman's parts of a registry.
      if (key.find('/') == std::string::npos || key.starts_with("https://"))
        if (auto found = ask_credential_helper(helper, key)) return found;
  return std::nullopt;
}

} // namespace

std::vector<fs::path> credential_files() {
  const auto value = [](const char* name) { return get_env(name).value_or(""); };
  if (const std::string file = value("REGISTRY_AUTH_FILE"); !file.empty()) return {file};
  std::vector<fs::path> out;
  if (const std::string folder = value("XDG_RUNTIME_DIR"); !folder.empty())
    out.push_back(fs::path(folder) / "containers" / "auth.json");
  if (const std::string folder = value("DOCKER_CONFIG"); !folder.empty())
    out.push_back(fs::path(folder) / "config.json");
  else if (const std::string home = value("HOME"); !home.empty())
    out.push_back(fs::path(home) / ".docker" / "config.json");
  return out;
}

std::optional<Credentials> find_credentials(const std::vector<fs::path>& files,
                                            std::string_view host, std::string_view repository) {
  const std::vector<std::string> keys = keys_of(host, repository);
  for (const fs::path& path : files) {
    const std::optional<std::string> text = read_file_if_exists(path, 4u << 20);
    if (!text || trim(*text).empty()) continue;
    const Json config = parse_json(*text, fmt::format("'{}'", path.native()));
    if (!config.is_object())
      throw Error(ErrorKind::config, fmt::format("'{}' is no JSON object", path.native()));
    if (auto found = find_in(config, path, keys)) return found;
  }
  return std::nullopt;
}

std::optional<std::string> decode_base64(std::string_view text) {
  std::string out;
  unsigned bits = 0, held = 0;
  while (text.ends_with('='))
    text.remove_suffix(1);
  for (const char c : text) {
    const auto value = alphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    held = (held << 6) | static_cast<unsigned>(value);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>((held >> bits) & 0xff);
  }
  if (bits >= 6) return std::nullopt; // a lone character
  return out;
}

std::string encode_base64(std::string_view bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::array<unsigned, 3> part{};
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < n; ++k)
      part[k] = static_cast<unsigned char>(bytes[i + k]);
    const unsigned held = part[0] << 16 | part[1] << 8 | part[2];
    for (std::size_t k = 0; k < 4; ++k)
      out += k <= n ? alphabet[(held >> (18 - 6 * k)) & 0x3f] : '=';
  }
  return out;
}

} // namespace mlp::image
