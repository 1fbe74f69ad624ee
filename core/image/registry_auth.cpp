// A registry is asked without a name first; its challenge says how it wants to be asked.
#include "core/image/registry_auth.hpp"

#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/net/url.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::image {

namespace {

using Clock = std::chrono::steady_clock;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// The words of a challenge.
class Words {
 public:
  explicit Words(std::string_view text) : text_(text) {}

  void skip(std::string_view characters) {
    text_.remove_prefix(std::min(text_.find_first_not_of(characters), text_.size()));
  }
  [[nodiscard]] bool at_end() const { return text_.empty(); }
  std::string_view token() {
    const auto end = std::min(text_.find_first_of(" \t,=\""), text_.size());
    const std::string_view out = text_.substr(0, end);
    text_.remove_prefix(end);
    return out;
  }
  bool take(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::string value() {
    if (!take('"')) return std::string(token());
    std::string out;
    while (!text_.empty() && !take('"')) {
      take('\\');
      if (text_.empty()) break;
      out += text_.front();
      text_.remove_prefix(1);
    }
    return out;
  }

 private:
  std::string_view text_;
};

std::vector<std::string> scopes_of(const Scope& scope) {
  std::vector<std::string> out;
  out.push_back(
      fmt::format("repository:{}:{}", scope.repository, scope.push ? "pull,push" : "pull"));
  if (!scope.mount_from.empty()) out.push_back(fmt::format("repository:{}:pull", scope.mount_from));
  return out;
}

std::string basic(const Credentials& credentials) {
  return "Basic " + encode_base64(credentials.user + ":" + credentials.password);
}

} // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> out;
  Words words(header);
  while (true) {
    words.skip(" \t,");
    if (words.at_end()) return out;
    const std::string name = lower(words.token());
    if (name.empty()) { // no token begins here
      words.value();
      words.take('=');
      continue;
    }
    words.skip(" \t");
    if (!words.take('=')) {
      out.push_back({.scheme = name, .parameters = {}});
      continue;
    }
    words.skip(" \t");
    std::string value = words.value();
    if (!out.empty()) out.back().parameters.insert_or_assign(name, std::move(value));
  }
}

bool is_loopback(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, host.find(']') + 1) == "[::1]";
  const std::string name = lower(host.substr(0, host.find(':')));
  if (name == "localhost" || name.ends_with(".localhost")) return true;
  const std::vector<std::string> parts = split(name, '.');
  return parts.size() == 4 && parts[0] == "127" &&
         std::ranges::all_of(parts, [](const std::string& part) {
           return !part.empty() && part.size() <= 3 &&
                  part.find_first_not_of("0123456789") == std::string::npos;
         });
}

const std::optional<Credentials>& RegistryAuth::credentials(const std::string& repository) {
  const auto found = credentials_.find(repository);
  if (found != credentials_.end()) return found->second;
  std::optional<Credentials> now =
      find_credentials(options_.credential_files, options_.host, repository);
  if (now && !options_.is_private) {
    withheld_ = true;
    now.reset();
  }
  return credentials_.emplace(repository, std::move(now)).first->second;
}

std::string RegistryAuth::authorization(const Scope& scope) {
  const std::lock_guard lock(mutex_);
  if (!challenge_) return {};
  if (challenge_->scheme == "basic") {
    const std::optional<Credentials>& known = credentials(scope.repository);
    return known && !known->user.empty() ? basic(*known) : std::string();
  }
  return "Bearer " + token(scope).text;
}

bool RegistryAuth::challenged(const net::HttpResponse& response, const Scope& scope,
                              const std::string& used) {
  std::vector<Challenge> challenges;
  for (const auto& [name, value] : response.headers)
    if (name == "www-authenticate")
      for (Challenge& challenge : parse_challenges(value))
        challenges.push_back(std::move(challenge));
  const auto of = [&](std::string_view scheme) {
    return std::ranges::find_if(challenges, [&](const Challenge& c) { return c.scheme == scheme; });
  };
  auto chosen = of("bearer");
  if (chosen == challenges.end()) chosen = of("basic");
  if (chosen == challenges.end()) return false;

  const std::lock_guard lock(mutex_);
  challenge_ = std::move(*chosen);
  if (challenge_->scheme == "basic") {
    const std::optional<Credentials>& known = credentials(scope.repository);
    return used.empty() && known && !known->user.empty();
  }
  // A token that was kept has expired, or been withdrawn; perhaps another thread has a new one.
  const auto held = tokens_.find(join(scopes_of(scope), " "));
  if (held != tokens_.end() && "Bearer " + held->second.text == used) tokens_.erase(held);
  return true;
}

std::string RegistryAuth::hint() {
  const std::lock_guard lock(mutex_);
  if (withheld_)
    return fmt::format("there are credentials for '{}', but they are sent over TLS only",
                       options_.host);
  return fmt::format("if it needs a user: docker login {}, podman login {} or skopeo login {}",
                     options_.host, options_.host, options_.host);
}

const RegistryAuth::Token& RegistryAuth::token(const Scope& scope) {
  const std::string key = join(scopes_of(scope), " ");
  if (const auto held = tokens_.find(key); held != tokens_.end()) {
    if (Clock::now() < held->second.expires) return held->second;
    tokens_.erase(held);
  }
  return tokens_.emplace(key, fetch(scope)).first->second;
}

RegistryAuth::Token RegistryAuth::fetch(const Scope& scope) {
  const auto parameter = [&](std::string_view name) {
    const auto found = challenge_->parameters.find(name);
    return found == challenge_->parameters.end() ? std::string() : found->second;
  };
  const std::string realm = parameter("realm"), service = parameter("service");
  const std::string place = net::url_origin(realm);
  const bool tls = place.starts_with("https://");
  const bool here = place.starts_with("http://") && is_loopback(place.substr(7));
  // In the clear only where the registry itself is asked in the clear, and then nothing secret.
  if (!tls && !here && (options_.is_private || !place.starts_with("http://")))
    throw Error(ErrorKind::denied, fmt::format("'{}' names a token server that is not safe: '{}'",
                                               options_.host, printable(place)));
  const std::optional<Credentials>& known = credentials(scope.repository);

  std::string query;
  const auto add = [&](std::string_view name, std::string_view value) {
    query += fmt::format("{}{}={}", query.empty() ? "" : "&", name, net::percent_encode(value));
  };
  if (!service.empty()) add("service", service);
  net::HttpRequest request{.headers = {{"Accept", "application/json"}}};
  if (known && !known->identity_token.empty()) {
    add("grant_type", "refresh_token");
    add("client_id", "mlp");
    add("refresh_token", known->identity_token);
    add("scope", join(scopes_of(scope), " "));
    request.method = "POST";
    request.url = realm;
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    request.body = net::HttpBody::of(std::as_bytes(std::span(query)));
  } else {
    for (const std::string& text : scopes_of(scope))
      add("scope", text);
    if (known) {
      add("account", known->user);
      request.headers.emplace_back("Authorization", basic(*known));
    }
    request.url =
        fmt::format("{}{}{}", realm, realm.find('?') == std::string::npos ? "?" : "&", query);
  }
  const net::HttpResponse response = options_.send(std::move(request));
  if (!response.ok()) {
    const bool refused = response.status >= 400 && response.status < 404;
    throw Error(refused ? ErrorKind::denied : ErrorKind::failed,
                fmt::format("the token server '{}' answered {}{}", printable(place),
                            response.status, known ? " to your credentials" : ""))
        .with_hint(fmt::format("log in again: docker login {} or podman login {}", options_.host,
                               options_.host));
  }
  const std::string what = fmt::format("the answer of the token server '{}'", printable(place));
  std::string text;
  long long seconds = 60; // the specification's, where the answer does not say
  try {
    const Json json = parse_json(response.body, what);
    text = json_string(json, json.contains("token") ? "token" : "access_token", what);
    if (json.contains("expires_in")) seconds = json_int(json, "expires_in", what);
  } catch (const Error&) { // its message may quote the answer
    throw Error(ErrorKind::failed, fmt::format("{} holds no token", what));
  }
  if (text.empty() || text.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
    throw Error(ErrorKind::failed, fmt::format("{} holds no token", what));
  // A tenth early, so that none expires on its way.
  return {.text = std::move(text),
          .expires = Clock::now() +
                     std::chrono::milliseconds(std::clamp(seconds, 1LL, 24LL * 3600) * 900)};
}

} // namespace mlp::image
