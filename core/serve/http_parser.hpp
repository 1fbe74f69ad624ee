// Bytes of a connection into requests, a piece at a time, with limits. No sockets.
#pragma once

#include "core/serve/http.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace mlp::serve {

struct HttpParserLimits {
  std::size_t max_header = 8u << 10; // of the request line and the headers, in bytes
  std::uint64_t max_body = 16u << 20;
};

// Parses one request after another. Memory: the body as it comes, never what a header promises.
// Not thread-safe.
class HttpParser {
 public:
  enum class State {
    need_more, // of the head
    body,      // the head is complete, the body is not
    done,      // take() it
    failed,    // see status() and message(); the connection cannot go on
  };

  explicit HttpParser(HttpParserLimits limits);
  ~HttpParser();

  // How many bytes were taken from the front of `bytes`: what is left has to be offered again, with
  // what follows it. After a complete head it stops once, in state body or done, so that the caller
  // may look at the head before the body.
  std::size_t feed(std::string_view bytes);
  [[nodiscard]] State state() const noexcept { return state_; }
  // True once bytes of a request have come.
  [[nodiscard]] bool started() const noexcept { return started_; }

  // In state body.
  [[nodiscard]] bool expects_continue() const; // "Expect: 100-continue"
  [[nodiscard]] bool unknown_expectation() const;
  [[nodiscard]] std::size_t body_size() const noexcept; // received so far

  // In state failed.
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] std::string_view message() const noexcept { return message_; }

  // In state done: the request. The parser then begins the next one.
  [[nodiscard]] HttpRequest take();

 private:
  struct Impl;
  void fail(int status, std::string_view message);
  void check_head();

  HttpParserLimits limits_;
  std::unique_ptr<Impl> impl_;
  State state_ = State::need_more;
  bool started_ = false;
  int status_ = 0;
  std::string message_;
};

} // namespace mlp::serve
