// Requests to one registry: how it is reached, who asks, where its redirects lead, what its errors
// say.
#pragma once

#include "core/image/registry_auth.hpp"
#include "core/net/http.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace mlp::image {

struct RegistryOptions {
  net::HttpOptions http;
  // Talk HTTP without TLS to hosts other than this machine too. Nothing secret is sent then.
  bool plain_http = false;
  std::vector<fs::path> credential_files = image::credential_files();
  // Folders with HOST[:PORT]/ca.crt (or any *.crt), the certificates that a host may have instead
  // of the system's.
  std::vector<fs::path> certificate_folders = default_certificate_folders();

  // ~/.config/containers/certs.d, /etc/containers/certs.d, /etc/docker/certs.d.
  [[nodiscard]] static std::vector<fs::path> default_certificate_folders();
};

// Thread-safe.
class RegistryHttp {
 public:
  RegistryHttp(std::string host, RegistryOptions options);

  [[nodiscard]] const std::string& host() const noexcept { return host_; }
  [[nodiscard]] const RegistryOptions& options() const noexcept { return options_; }

  // "https://HOST". Blocks when it is first asked for a host of this machine, which may have TLS or
  // not.
  [[nodiscard]] const std::string& base();

  // With authorization for the registry itself, and none for other hosts; once more after 401 where
  // that helps. Follows redirects of GET and HEAD, never to less safety. Attempts as the options
  // say, or only one; `restart` is called before each. Failures that pass are thrown after the last
  // attempt: Error(unreachable).
  enum class Repeat { yes, no };
  [[nodiscard]] net::HttpResponse send(net::HttpRequest request, const Scope& scope,
                                       Repeat repeat = Repeat::yes,
                                       const std::function<void()>& restart = {});

  // Where a Location header leads, seen from `from`. Throws Error(denied) if it is less safe.
  [[nodiscard]] std::string resolve(const std::string& from, const std::string& location) const;

  // What an answer that is no success means. `doing`: "cannot pull 'x'".
  [[nodiscard]] Error error(const net::HttpResponse& response, std::string_view doing);

 private:
  // Each host has its own certificates, and so its own client.
  net::HttpClient& client(const std::string& origin);
  [[nodiscard]] std::string find_base();

  std::string host_;
  RegistryOptions options_;
  std::mutex mutex_; // over base_, auth_, clients_
  std::string base_;
  std::unique_ptr<RegistryAuth> auth_;
  std::map<std::string, std::unique_ptr<net::HttpClient>, std::less<>> clients_; // by host
};

// The code of the first error in an answer's body, as the specification lists them
// ("MANIFEST_BLOB_UNKNOWN"); "" if there is none.
[[nodiscard]] std::string registry_error_code(const net::HttpResponse& response);

} // namespace mlp::image
