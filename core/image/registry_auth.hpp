// How a registry is told who asks: WWW-Authenticate with Basic or Bearer, and tokens of a token
// server, kept for each scope until they expire.
// Sources: RFC 9110, section 11; RFC 7617 (Basic); RFC 6750 (Bearer); the CNCF distribution
// project's "Token Authentication Specification" and "Oauth2 Token Authentication".
#pragma once

#include "core/image/docker_config.hpp"
#include "core/net/http.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

// What a request is about, as tokens are given for it.
struct Scope {
  std::string repository; // "library/debian"
  bool push = false;
  std::string mount_from = {}; // another repository that is read too
};

struct Challenge {
  std::string scheme;                                         // in lower case: "basic", "bearer"
  std::map<std::string, std::string, std::less<>> parameters; // names in lower case
};

// One header may hold several. What cannot be understood is passed over.
[[nodiscard]] std::vector<Challenge> parse_challenges(std::string_view header);

// "localhost", a name below it, or an address of the loopback network, with or without a port.
[[nodiscard]] bool is_loopback(std::string_view host);

// Thread-safe. Threads that need a token at once wait for one request.
class RegistryAuth {
 public:
  struct Options {
    std::string host; // of the registry
    std::vector<fs::path> credential_files;
    // Whether the registry is reached so that a secret may be sent: by TLS, or on this machine.
    bool is_private = false;
    // Sends a request to a token server, which may be another host than the registry.
    std::function<net::HttpResponse(net::HttpRequest)> send;
  };
  explicit RegistryAuth(Options options) : options_(std::move(options)) {}

  // The value of Authorization, "" if none is needed as far as is known. Blocks for a token.
  // Throws Error: denied if the token server refuses, config for wrong files, unreachable.
  [[nodiscard]] std::string authorization(const Scope& scope);

  // After an answer 401 to a request with the value `used`: true if another attempt can do better.
  [[nodiscard]] bool challenged(const net::HttpResponse& response, const Scope& scope,
                                const std::string& used);

  // What a user can do about an answer 401 or 403.
  [[nodiscard]] std::string hint();

 private:
  struct Token {
    std::string text;
    std::chrono::steady_clock::time_point expires;
  };
  const std::optional<Credentials>& credentials(const std::string& repository);
  const Token& token(const Scope& scope);
  Token fetch(const Scope& scope);

  Options options_;
  std::mutex mutex_; // over all below
  std::optional<Challenge> challenge_;
  std::map<std::string, Token, std::less<>> tokens_; // by scope
  std::map<std::string, std::optional<Credentials>, std::less<>> credentials_;
  bool withheld_ = false; // credentials that there are were not sent
};

} // namespace mlp::image
