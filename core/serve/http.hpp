// HTTP as the parts of a server hand it to each other: a request, a response, who answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlp::serve {

struct HttpHeader {
  std::string name;
  std::string value;
};

struct HttpRequest {
  std::string method; // "GET"
  std::string target; // as sent: "/v2/models/a?b=c"
  int minor = 1;      // HTTP/1.<minor>
  bool keep_alive = true;
  std::vector<HttpHeader> headers;
  std::string body;
  std::chrono::steady_clock::time_point received; // when its last byte came

  // Without regard to case; empty if it is not there. The first one counts.
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
  // The target without its query.
  [[nodiscard]] std::string_view path() const noexcept;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string_view content_type = "application/json"; // of static storage
  std::vector<HttpHeader> headers = {};               // more than the server writes by itself
};

// {"error": message}, as the V2 protocol has it.
[[nodiscard]] HttpResponse error_response(int status, std::string_view message);
// "Not Found"
[[nodiscard]] std::string_view status_reason(int status) noexcept;

// The status line and headers of a response, with Content-Length, Date and Connection.
void append_response_head(std::string& out, const HttpResponse& response,
                          const HttpRequest& request, bool keep_alive);

// %41 -> A; false if the text has a broken escape or a NUL.
[[nodiscard]] bool percent_decode(std::string_view text, std::string& out);
[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

// Takes the answer to one request. send() may be called from any thread, once.
class HttpReplySink {
 public:
  virtual ~HttpReplySink() = default;
  virtual void send(HttpResponse response) noexcept = 0;
};

// The one answer that a handler owes. Moves; if it is dropped unsent, the client is told 500.
class HttpReply {
 public:
  explicit HttpReply(std::shared_ptr<HttpReplySink> sink) noexcept : sink_(std::move(sink)) {}
  ~HttpReply();
  HttpReply(HttpReply&&) noexcept = default;
  HttpReply& operator=(HttpReply&&) = delete;

  void send(HttpResponse response) noexcept;

 private:
  std::shared_ptr<HttpReplySink> sink_;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // Called on the server's own thread: must not block, so longer work goes to another thread
  // together with `reply`.
  virtual void handle(HttpRequest request, HttpReply reply) = 0;
};

} // namespace mlp::serve
