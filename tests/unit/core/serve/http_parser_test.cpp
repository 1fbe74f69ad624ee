// HTTP/1.1 requests, whole, cut into pieces, and hostile.
#include "core/serve/http_parser.hpp"

#include <catch2/catch.hpp>

using namespace mlp::serve;
using State = HttpParser::State;

namespace {

// Feeds `text` in pieces of `step` bytes, as a connection does; stops at done or failed.
State feed(HttpParser& parser, std::string text, std::size_t step, std::string* rest = nullptr) {
  std::string pending;
  std::size_t position = 0;
  while (parser.state() != State::done && parser.state() != State::failed) {
    const std::size_t taken = parser.feed(pending);
    pending.erase(0, taken);
    if (parser.state() == State::done || parser.state() == State::failed) break;
    if (taken > 0 && !pending.empty()) continue;
    if (position == text.size()) break;
    pending += text.substr(position, step);
    position += std::min(step, text.size() - position);
  }
  if (rest != nullptr) *rest = pending + text.substr(position);
  return parser.state();
}

int status_of(const std::string& text, HttpParserLimits limits = {}) {
  HttpParser parser(limits);
  return feed(parser, text, text.size()) == State::failed ? parser.status() : 0;
}

} // namespace

TEST_CASE("a request parses the same however its bytes are cut") {
  const std::string text = "POST /v2/models/m/infer?a=b HTTP/1.1\r\nHost: h\r\n"
                           "Content-Type: application/json\r\nContent-Length: 5\r\n\r\nhello";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    HttpParser parser({});
    REQUIRE(feed(parser, text, step) == State::done);
    const HttpRequest request = parser.take();
    CHECK(request.method == "POST");
    CHECK(request.target == "/v2/models/m/infer?a=b");
    CHECK(request.path() == "/v2/models/m/infer");
    CHECK(request.header("content-TYPE") == "application/json");
    CHECK(request.body == "hello");
    CHECK(request.keep_alive);
    CHECK(parser.state() == State::need_more);
  }
}

TEST_CASE("requests that follow each other in one piece are taken one by one") {
  HttpParser parser({});
  std::string rest = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n\r\n"
                     "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3\r\nabc\r\n0\r\n\r\n"
                     "GET /c HTTP/1.0\r\n\r\n";
  std::vector<std::string> seen;
  while (feed(parser, rest, rest.size(), &rest) == State::done) {
    const HttpRequest request = parser.take();
    seen.push_back(request.target + " " + request.body + (request.keep_alive ? "" : " close"));
  }
  CHECK(seen == std::vector<std::string>{"/a ", "/b abc", "/c  close"});
}

TEST_CASE("a request that breaks a rule or a limit is refused with the right status") {
  CHECK(status_of("GET / HTTP/1.1\r\n\r\n") == 400); // no Host
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") == 400);
  CHECK(status_of("\x16\x03\x01 a TLS hello") == 400);
  CHECK(status_of("GET / HTTP/2.0\r\nHost: h\r\n\r\n") == 505);
  CHECK(status_of("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n") != 0);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: h\r\nbad header\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(9000, 'x') + "\r\n\r\n") == 431);
  CHECK(status_of("GET /" + std::string(20000, 'x')) == 431);
  CHECK(status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n",
                  {.max_header = 8192, .max_body = 10}) == 413);
  CHECK(status_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n"
                  "01234567890\r\n0\r\n\r\n",
                  {.max_header = 8192, .max_body = 10}) == 413);
  // What lets one server see two requests where another sees one.
  CHECK(status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n") ==
        400);
  CHECK(status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n") == 400);
  CHECK(status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n") ==
        400);
}

TEST_CASE("the head is shown before the body, so that 100-continue can be answered") {
  HttpParser parser({});
  const std::string head =
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  CHECK(parser.feed(head + "ok") == head.size());
  CHECK(parser.state() == State::body);
  CHECK(parser.expects_continue());
  CHECK_FALSE(parser.unknown_expectation());
  CHECK(parser.feed("ok") == 2);
  CHECK(parser.state() == State::done);
}

TEST_CASE("a large Content-Length takes no memory before its bytes come") {
  HttpParser parser({.max_header = 8192, .max_body = std::uint64_t{1} << 40});
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000000\r\n\r\n";
  CHECK(parser.feed(head) == head.size());
  CHECK(parser.feed("abc") == 3);
  CHECK(parser.body_size() == 3);
}
