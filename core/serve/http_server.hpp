// An HTTP/1.1 server for many connections on one thread; handlers do the work elsewhere. Keeps to
// limits of header, body, memory, connections and time, so that no client can starve the others.
#pragma once

#include "core/serve/http.hpp"
#include "core/serve/metrics.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace mlp::serve {

struct HttpServerOptions {
  std::string host = "127.0.0.1"; // an address or a name, with all addresses of the name; "::1"
  std::uint16_t port = 0;         // 0: any free one
  std::size_t max_header = 8u << 10;
  std::uint64_t max_body = 16u << 20;
  std::uint64_t max_buffered = 0; // all bodies together; 0: 4 of the largest, at least 256 MiB
  int max_connections = 1024;     // more are told 503
  std::chrono::milliseconds head_timeout{10'000}; // for a request's head to be complete
  // For a body to come: this long, and a second more for every 16 KiB that came. For a client that
  // takes nothing of its answer.
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds idle_timeout{60'000}; // between requests of a connection
  std::chrono::milliseconds grace{10'000};        // to finish requests after stop()
  bool access_log = false;                        // a line a request through log_info()
};

class HttpServer {
 public:
  // Binds and listens: from here on clients can connect. `handler` and `counters` outlive the
  // server and every reply. Throws Error: conflict (the address is in use), denied, usage (no such
  // address).
  HttpServer(HttpServerOptions options, HttpHandler& handler, ServerCounters& counters);
  ~HttpServer();
  HttpServer(HttpServer&&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept;
  // "http://127.0.0.1:8080", "http://[::1]:8080"
  [[nodiscard]] std::string url() const;

  // Serves on this thread until stop(): then takes what has already connected, refuses the rest,
  // answers the requests that have begun, each with "Connection: close", and returns when all are
  // answered or the grace period is over. Once. Throws Error only for want of memory or descriptors
  // of its own.
  void run();
  // Thread-safe; idempotent; before run() too. Not for signal handlers.
  void stop() noexcept;

 private:
  struct Impl;
  class Connection;
  std::shared_ptr<Impl> impl_;
};

} // namespace mlp::serve
