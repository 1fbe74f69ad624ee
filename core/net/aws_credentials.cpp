// The endpoints answer JSON with keys that end. Container: an address in the environment. Machine
// (IMDSv2): a token first, then the role's name, then its keys.
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/net/aws.hpp"

#include <fmt/format.h>

namespace mlp::net {

namespace {

using std::chrono::milliseconds;

constexpr std::chrono::minutes renew_before{5};
constexpr milliseconds machine_wait{1000}; // it is one hop away, or not there
constexpr milliseconds container_wait{2000};
constexpr std::size_t max_answer = 64 * 1024;

std::optional<Credentials> parse_keys(const std::string& text, std::string source) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto value = [&](const char* key) {
    const auto at = json.find(key);
    return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  Credentials keys{value("AccessKeyId"), value("SecretAccessKey"), value("Token"), std::nullopt,
                   std::move(source)};
  if (keys.access_key.empty() || keys.secret_key.empty()) return std::nullopt;
  std::string expires = value("Expiration"); // "2026-01-31T12:00:00Z"
  keys.expires = parse_time(expires);
  if (!keys.expires && expires.size() == 20) keys.expires = parse_time(expires.insert(19, ".000"));
  return keys;
}

// The token goes in the clear: only TLS, or this machine and the link-local addresses of AWS.
bool is_safe_address(const std::string& url) {
  if (url.starts_with("https://")) return true;
  for (const char* host : {"http://127.", "http://localhost:", "http://localhost/",
                           "http://169.254.170.2/", "http://169.254.170.23/", "http://[::1]"})
    if (url.starts_with(host)) return true;
  return false;
}

} // namespace

CredentialSource::CredentialSource(AwsProfile profile, EnvironmentOf environment,
                                   HttpClient& client)
    : profile_(std::move(profile)), environment_(std::move(environment)), client_(client) {}

std::optional<Credentials> CredentialSource::from_container() {
  const auto variable = [&](const char* name) {
    const char* value = environment_(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::string url = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (const auto relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); !relative.empty())
    url = "http://169.254.170.2" + relative;
  if (url.empty()) return std::nullopt;
  if (!is_safe_address(url))
    throw Error(ErrorKind::config,
                "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https: nor an address of this host");
  std::string token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const auto file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty())
    token = std::string(trim(read_file(file, max_answer)));
  HttpRequest request{.url = url,
                      .max_body = max_answer,
                      .no_proxy = true,
                      .connect_timeout = container_wait,
                      .stall_timeout = container_wait};
  if (!token.empty()) request.headers.emplace_back("Authorization", token);
  for (Retry retry({.attempts = 3}, client_.options().stop);;) {
    const HttpResponse response = client_.send(request);
    if (response.ok()) {
      if (auto keys = parse_keys(response.body, "the container's endpoint")) return keys;
      throw Error(ErrorKind::denied,
                  fmt::format("the container's credentials endpoint '{}' answers without keys",
                              url_origin(url)));
    }
    if (retry.again()) continue;
    throw Error(ErrorKind::denied,
                fmt::format("no credentials from the container's endpoint: {}",
                            response.failure ? response.failure->message()
                                             : fmt::format("'{}' answered {}", url_origin(url),
                                                           response.status)));
  }
}

std::optional<Credentials> CredentialSource::from_machine() {
  const char* off = environment_("AWS_EC2_METADATA_DISABLED");
  if (off != nullptr && std::string_view(off) == "true") return std::nullopt;
  const char* endpoint = environment_("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  std::string base = endpoint != nullptr && *endpoint != '\0' ? endpoint : "http://169.254.169.254";
  while (base.ends_with('/'))
    base.pop_back();
  const auto ask = [&](std::string method, const std::string& path, HttpHeaders headers) {
    return client_.send({.method = std::move(method),
                         .url = base + path,
                         .headers = std::move(headers),
                         .max_body = max_answer,
                         .no_proxy = true,
                         .connect_timeout = machine_wait,
                         .stall_timeout = machine_wait});
  };
  const auto token =
      ask("PUT", "/latest/api/token", {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}});
  if (!token.ok()) return std::nullopt;
  const HttpHeaders headers = {{"X-aws-ec2-metadata-token", token.body}};
  const std::string path = "/latest/meta-data/iam/security-credentials/";
  const auto role = ask("GET", path, headers);
  if (!role.ok()) return std::nullopt;
  const auto name = trim(std::string_view(role.body).substr(0, role.body.find('\n')));
  if (name.empty()) return std::nullopt;
  const auto keys = ask("GET", path + std::string(name), headers);
  return keys.ok() ? parse_keys(keys.body, "the machine's role") : std::nullopt;
}

Credentials CredentialSource::get() {
  if (profile_.credentials) return *profile_.credentials;
  const std::lock_guard lock(mutex_);
  if (cached_ && (!cached_->expires || *cached_->expires - wall_now() > renew_before))
    return *cached_;
  if (!profile_.unsupported.empty())
    throw Error(ErrorKind::denied,
                fmt::format("profile '{}' gets its credentials by '{}', which is "
                            "not supported",
                            printable(profile_.name), profile_.unsupported))
        .with_hint("put them into the environment: eval \"$(aws configure export-credentials "
                   "--format env)\"");
  std::optional<Credentials> fresh = from_container();
  if (!fresh) fresh = from_machine();
  if (fresh) {
    cached_ = fresh;
    return *fresh;
  }
  // What is left of the old ones is better than nothing.
  if (cached_ && *cached_->expires > wall_now()) return *cached_;
  throw Error(ErrorKind::denied, "no S3 credentials")
      .with_hint(
          "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write them to "
          "~/.aws/credentials; for a public bucket add '?anonymous=true' to the remote's URL");
}

bool CredentialSource::renew(const Credentials& used) {
  if (profile_.credentials) return false;
  const std::lock_guard lock(mutex_);
  if (cached_ && cached_->access_key == used.access_key) cached_.reset();
  return true;
}

} // namespace mlp::net
