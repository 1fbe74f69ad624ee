// An HTTP/1.1 client: one request, one answer, bodies streamed both ways. Connections are kept and
// used again; TLS is verified. libcurl underneath, loaded when the first request is made.
//
// Nothing here follows a redirect or tries again: that is for callers, who know what may be
// repeated (see send_again() and retry.hpp). Headers, queries and bodies never get into an error or
// a log.
#pragma once

#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/net/retry.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlp::net {

struct HttpOptions {
  fs::path ca_file; // certificates to trust instead of the system's; empty: the system's
  std::chrono::milliseconds connect_timeout{10'000}; // for name, connection and TLS together
  // A transfer that moves less than stall_bytes in this time has failed.
  std::chrono::milliseconds stall_timeout{30'000};
  std::uint64_t stall_bytes = 256;
  RetryPolicy retry;
  std::stop_token stop; // a request in progress ends at once with Error(interrupted)
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// A body to be sent, which may be read again from any offset, as a repeated request needs it.
struct HttpBody {
  std::uint64_t size = 0;
  // Fills all of `into`, which does not go beyond the size. What it throws leaves send().
  std::function<void(std::uint64_t offset, std::span<std::byte> into)> read;

  // Over bytes that the caller keeps.
  [[nodiscard]] static HttpBody of(std::span<const std::byte> bytes);
};

struct HttpResponse {
  unsigned status = 0; // 0: no answer came, or not all of it; then there is a failure
  HttpHeaders headers; // names in lower case
  std::string body;
  std::optional<Error> failure;
  bool transient = false; // the failure may pass: worth another attempt

  [[nodiscard]] bool ok() const noexcept { return status >= 200 && status < 300; }
  // The first of that name (lower case), or nullptr.
  [[nodiscard]] const std::string* header(std::string_view name) const noexcept;
};

struct HttpRequest {
  std::string method = "GET"; // GET, HEAD, PUT, POST, PATCH or DELETE
  std::string url;            // http: or https:, percent-encoded, without user and password
  HttpHeaders headers;        // beside Host, Content-Length and what else HTTP itself needs
  std::optional<HttpBody> body;
  // Takes the body of a 2xx answer as it comes, with status and headers; false: enough, the rest is
  // not fetched. What it throws leaves send(). Without it the body is kept in the answer.
  std::function<bool(const HttpResponse& head, std::span<const std::byte> data)> sink;
  std::size_t max_body = 1u << 20; // kept in the answer; more is an error
  bool no_proxy = false;           // for addresses of this machine's own network
  bool unstoppable = false;        // goes on after a stop, to clean up: give it short timeouts
  bool netrc = false;              // user and password of this host from ~/.netrc
  std::optional<std::chrono::milliseconds> connect_timeout,
      stall_timeout; // other than the client's
};

class HttpClient {
 public:
  explicit HttpClient(HttpOptions options = {});
  ~HttpClient();
  HttpClient(HttpClient&&) = delete;

  [[nodiscard]] const HttpOptions& options() const noexcept;

  // One attempt. Thread-safe: each thread gets a connection of its own. Blocks, never without
  // bound. Throws Error(interrupted), Error(not_found) where libcurl is missing, and what the
  // request's own functions throw; all other failures are in the answer.
  [[nodiscard]] HttpResponse send(const HttpRequest& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The same with further attempts after failures that may pass. Throws the failure of the last one.
// Follows up to five redirects of GET and HEAD within the same scheme, host and port, or elsewhere
// (never from https: to http:) if the request brings no credentials. Only for requests that may be
// repeated, and whose sink, if any, takes a body from its beginning again: `restart` is called
// before each attempt.
[[nodiscard]] HttpResponse send_again(HttpClient& client, HttpRequest request,
                                      const std::function<void()>& restart = {});

// 408, 429, 500, 502, 503, 504.
[[nodiscard]] bool is_transient_status(unsigned status) noexcept;
// What Retry-After asks for, in seconds or as a date, at most a minute.
[[nodiscard]] std::optional<std::chrono::milliseconds> retry_after(const HttpResponse& response);
// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, IMF-fixdate).
[[nodiscard]] std::optional<std::chrono::system_clock::time_point>
parse_http_date(std::string_view text);

// "https://host:port": what an error may name of a URL. The rest may hold secrets.
[[nodiscard]] std::string url_origin(std::string_view url);

} // namespace mlp::net
