// Credentials and settings of S3 as other tools of AWS find them: environment, shared files with
// profiles, a container's and a machine's own endpoints. Source: "AWS SDKs and Tools Reference
// Guide", standardized credential providers.
#pragma once

#include "core/base/time.hpp"
#include "core/net/http.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace mlp::net {

// The value of an environment variable, or nullptr.
using EnvironmentOf = std::function<const char*(const char* name)>;

struct Credentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;       // empty: none
  std::optional<WallTime> expires; // absent: never
  std::string source;              // where they come from, for errors: "environment", "profile 'x'"
};

// What environment and files say, each once read.
struct AwsProfile {
  std::string name;
  std::optional<Credentials> credentials;
  std::string region;   // empty: not said
  std::string endpoint; // endpoint_url, for S3 if there is one for it
  std::string ca_file;
  std::string unsupported; // how the profile gets credentials, if in a way that is not known here
};

// `profile` overrides AWS_PROFILE; "" is that, or "default". Reads AWS_SHARED_CREDENTIALS_FILE and
// AWS_CONFIG_FILE, or ~/.aws/credentials and ~/.aws/config. What the environment sets comes first,
// unless `profile` is given. Throws Error(config): a file that cannot be understood, or a profile
// that was asked for and is in neither file.
[[nodiscard]] AwsProfile load_aws_profile(const EnvironmentOf& environment,
                                          const std::string& profile = {});

// Credentials that renew themselves. Thread-safe.
class CredentialSource {
 public:
  // `client` outlives it, and is used for the endpoints only.
  CredentialSource(AwsProfile profile, EnvironmentOf environment, HttpClient& client);

  // Blocks, on the network, only when there are none or when they end within five minutes; an
  // endpoint that does not answer is given up after seconds. Throws Error(denied) where there are
  // none, with what can be done about it.
  [[nodiscard]] Credentials get();
  // The ones of `used` were refused: the next get() asks again. False if that cannot help, since
  // they are fixed.
  bool renew(const Credentials& used);

 private:
  [[nodiscard]] std::optional<Credentials> from_container();
  [[nodiscard]] std::optional<Credentials> from_machine();

  AwsProfile profile_;
  EnvironmentOf environment_;
  HttpClient& client_;
  std::mutex mutex_;
  std::optional<Credentials> cached_;
};

} // namespace mlp::net
