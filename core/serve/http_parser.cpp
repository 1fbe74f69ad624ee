// Boost.Beast's parser, driven by hand: it only sees bytes, so that sockets, timers and limits stay
// in http_server.cpp, and a fuzzer can reach all of it. The only file that includes Beast.
#include "core/serve/http_parser.hpp"

#include "core/base/text.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <fmt/format.h>

#include <optional>
#include <utility>

namespace mlp::serve {

namespace {

namespace http = boost::beast::http;

constexpr std::size_t body_slack = 64; // spare room at its end, which the JSON parser asks for

// Beast's string_body, but for one thing: it grows as bytes come, whatever Content-Length says.
struct GrowingBody {
  using value_type = std::string;

  class reader {
   public:
    template <bool isRequest, class Fields>
    reader(http::header<isRequest, Fields>&, value_type& body) : body_(body) {}

    void init(const boost::optional<std::uint64_t>& length, boost::beast::error_code& ec) {
      if (length && *length <= 64u << 10)
        body_.reserve(static_cast<std::size_t>(*length) + body_slack);
      ec = {};
    }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::beast::error_code& ec) {
      std::size_t total = 0;
      for (auto it = boost::asio::buffer_sequence_begin(buffers);
           it != boost::asio::buffer_sequence_end(buffers); ++it) {
        const boost::asio::const_buffer buffer = *it;
        body_.append(static_cast<const char*>(buffer.data()), buffer.size());
        total += buffer.size();
      }
      ec = {};
      return total;
    }
    void finish(boost::beast::error_code& ec) { ec = {}; }

   private:
    value_type& body_;
  };
};

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

} // namespace

struct HttpParser::Impl {
  std::optional<http::request_parser<GrowingBody>> parser;
};

HttpParser::HttpParser(HttpParserLimits limits)
    : limits_(limits), impl_(std::make_unique<Impl>()) {}
HttpParser::~HttpParser() = default;

void HttpParser::fail(int status, std::string_view message) {
  state_ = State::failed;
  status_ = status;
  message_ = message;
}

std::size_t HttpParser::feed(std::string_view bytes) {
  std::size_t taken = 0;
  if (!started_) {
    // RFC 9112, 2.2: empty lines before a request are skipped.
    while (taken < bytes.size() && (bytes[taken] == '\r' || bytes[taken] == '\n'))
      ++taken;
    if (taken == bytes.size()) return taken;
    // A TLS handshake or another protocol gets its answer now, not after the timeout.
    const char first = bytes[taken];
    started_ = true;
    if (first < 'A' || first > 'z') {
      fail(400, "this is not an HTTP request; this server does not speak TLS");
      return taken;
    }
    impl_->parser.emplace();
    impl_->parser->header_limit(static_cast<std::uint32_t>(limits_.max_header));
    impl_->parser->body_limit(limits_.max_body);
  }
  auto& parser = *impl_->parser;
  const bool had_head = parser.is_header_done();
  parser.eager(had_head);
  while (taken < bytes.size() && !parser.is_done()) {
    boost::beast::error_code error;
    const std::size_t n =
        parser.put(boost::asio::buffer(bytes.data() + taken, bytes.size() - taken), error);
    taken += n;
    if (error == http::error::need_more) break;
    if (error == http::error::header_limit)
      fail(431, fmt::format("the headers are larger than {}", format_bytes(limits_.max_header)));
    else if (error == http::error::body_limit)
      fail(413, fmt::format("the body is larger than {}", format_bytes(limits_.max_body)));
    else if (error == http::error::bad_version)
      fail(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    else if (error)
      fail(400, fmt::format("not a valid HTTP request: {}", error.message()));
    if (error) return taken;
    if (!had_head && parser.is_header_done()) break;
    if (n == 0) break;
  }
  if (parser.is_header_done()) state_ = parser.is_done() ? State::done : State::body;
  if (!had_head && parser.is_header_done()) check_head();
  return taken;
}

void HttpParser::check_head() {
  const auto& head = impl_->parser->get();
  if (head.version() / 10 != 1) return fail(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  const auto hosts = head.equal_range(http::field::host);
  if (head.version() == 11 && std::distance(hosts.first, hosts.second) != 1)
    fail(400, "not a valid HTTP request: it needs one Host header");
}

bool HttpParser::expects_continue() const {
  const auto& head = impl_->parser->get();
  return head.version() == 11 &&
         equal_ignoring_case(view(head[http::field::expect]), "100-continue");
}

bool HttpParser::unknown_expectation() const {
  const auto& head = impl_->parser->get();
  return head.version() == 11 && !head[http::field::expect].empty() && !expects_continue();
}

std::size_t HttpParser::body_size() const noexcept {
  return impl_->parser ? impl_->parser->get().body().size() : 0;
}

HttpRequest HttpParser::take() {
  auto message = impl_->parser->release();
  HttpRequest request;
  request.method = view(message.method_string());
  request.target = view(message.target());
  request.minor = static_cast<int>(message.version() % 10);
  request.keep_alive = message.keep_alive();
  for (const auto& field : message)
    request.headers.push_back(
        {std::string(view(field.name_string())), std::string(view(field.value()))});
  request.body = std::move(message.body());
  request.received = std::chrono::steady_clock::now();
  impl_->parser.reset();
  state_ = State::need_more;
  started_ = false;
  return request;
}

} // namespace mlp::serve
