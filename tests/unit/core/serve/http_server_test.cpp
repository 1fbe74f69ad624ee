// The server over real sockets, with limits small enough to reach.
#include "core/base/error.hpp"
#include "core/serve/http_server.hpp"

#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

using namespace mlp;
using namespace mlp::serve;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

// Answers "<method> <path> <body>"; "/hold" is kept until release().
class Echo : public HttpHandler {
 public:
  void handle(HttpRequest request, HttpReply reply) override {
    const std::lock_guard lock(mutex_);
    if (request.path() == "/drop") return;
    if (request.path() == "/throw") throw std::runtime_error("a defect");
    HttpResponse response;
    response.body = request.method + " " + std::string(request.path()) + " " + request.body;
    if (request.path() == "/large") response.body.assign(64u << 20, 'x');
    if (request.path() == "/hold")
      held_.emplace_back(std::move(reply), std::move(response));
    else
      reply.send(std::move(response));
    ++handled;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    for (auto& [reply, response] : held_)
      reply.send(std::move(response));
    held_.clear();
  }
  std::atomic<int> handled{0};

 private:
  std::mutex mutex_;
  std::vector<std::pair<HttpReply, HttpResponse>> held_;
};

class Client {
 public:
  explicit Client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;

  Client& write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) break;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return *this;
  }
  // Until `end` is in what has come, the server closes, or 5 s pass.
  std::string read_until(std::string_view end) {
    std::string text;
    const auto deadline = Clock::now() + 5s;
    char buffer[65536];
    while (text.find(end) == std::string::npos) {
      pollfd waiting{fd_, POLLIN, 0};
      if (Clock::now() > deadline || ::poll(&waiting, 1, 5000) <= 0) return text + "<timeout>";
      const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
      if (n == 0) return text + "<closed>";
      if (n < 0) return text + "<reset>";
      text.append(buffer, static_cast<std::size_t>(n));
    }
    return text;
  }
  std::string read_to_end() { return read_until("<never>"); }
  bool connected = false;

 private:
  int fd_;
};

struct Fixture {
  Echo echo;
  ServerCounters counters;
  std::optional<HttpServer> server;
  std::thread thread;

  void start(HttpServerOptions options = {}) {
    server.emplace(options, echo, counters);
    thread = std::thread([this] { server->run(); });
  }
  void stop() {
    server->stop();
    if (thread.joinable()) thread.join();
  }
  ~Fixture() {
    if (server) stop();
    echo.release();
  }
  std::uint16_t port() const { return server->port(); }
};

std::string request(std::string_view path, std::string_view more = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: h\r\n" + std::string(more) + "\r\n";
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE_METHOD(Fixture, "a connection is kept, and requests sent ahead are answered in order") {
  start();
  Client client(port());
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += request("/" + std::to_string(i));
  client.write(all + request("/last", "Connection: close\r\n"));
  const std::string answers = client.read_to_end();
  std::size_t position = 0;
  for (int i = 0; i < 50; ++i) {
    position = answers.find("GET /" + std::to_string(i) + " ", position);
    REQUIRE(position != std::string::npos);
  }
  CHECK(has(answers, "Connection: close\r\n\r\nGET /last <closed>"));
}

TEST_CASE_METHOD(Fixture, "HEAD, HTTP/1.0 and 100-continue are answered as HTTP says") {
  start();
  CHECK(Client(port())
            .write("HEAD /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            .read_to_end()
            .ends_with("Content-Length: 8\r\nConnection: close\r\n\r\n<closed>"));
  CHECK(has(Client(port()).write("GET /a HTTP/1.0\r\n\r\n").read_to_end(), "GET /a <closed>"));
  CHECK(has(Client(port())
                .write("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                .read_until("GET /a "),
            "Connection: keep-alive"));
  Client client(port());
  client.write("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(has(client.write("ok").read_until("ok"), "200 OK"));
  CHECK(has(Client(port())
                .write("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: tea\r\n\r\n")
                .read_to_end(),
            "417 Expectation Failed"));
}

TEST_CASE_METHOD(Fixture, "a body over the limit gets its answer while the client still sends") {
  start({.max_body = 1000});
  const std::string answer =
      Client(port())
          .write("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" +
                 std::string(1'000'000, 'x'))
          .read_to_end();
  CHECK(has(answer, "413 Content Too Large"));
  CHECK(has(answer, "the body is larger than 1000 B"));
  CHECK(echo.handled == 0);
}

TEST_CASE_METHOD(Fixture, "all bodies together stay within their limit") {
  start({.max_body = 1u << 20, .max_buffered = 1500});
  Client holding(port());
  holding.write("POST /hold HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" +
                std::string(1000, 'x'));
  while (echo.handled == 0)
    std::this_thread::sleep_for(1ms);
  const std::string more =
      "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x');
  CHECK(has(Client(port()).write(more).read_to_end(), "503 Service Unavailable"));
  echo.release();
  holding.read_until("xxx");
  std::this_thread::sleep_for(20ms);
  CHECK(has(Client(port()).write(more).read_until("xxx"), "200 OK"));
}

TEST_CASE_METHOD(Fixture, "a client that is slow to send is told 408 and dropped") {
  start({.head_timeout = 200ms, .body_timeout = 300ms, .idle_timeout = 400ms});
  Client head(port());
  Client body(port());
  Client idle(port());
  std::atomic<bool> dripping{true};
  std::thread drip([&] { // one byte now and then does not buy more time
    for (const char c : request("/" + std::string(200, 'a'))) {
      if (!dripping) return;
      head.write({&c, 1});
      std::this_thread::sleep_for(20ms);
    }
  });
  body.write("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nab");
  CHECK(has(head.read_to_end(), "408 Request Timeout"));
  dripping = false;
  drip.join();
  CHECK(has(body.read_to_end(), "408 Request Timeout"));
  CHECK(idle.read_to_end() == "<closed>");
  CHECK(echo.handled == 0);
}

TEST_CASE_METHOD(Fixture, "a client that does not read its answer is dropped") {
  start({.body_timeout = 300ms});
  Client client(port());
  client.write(request("/large"));
  for (int i = 0; i < 300 && (i == 0 || counters.connections > 0); ++i)
    std::this_thread::sleep_for(10ms);
  CHECK(counters.connections == 0);
}

TEST_CASE_METHOD(Fixture, "connections over the limit are told 503, and the others go on") {
  start({.max_connections = 3});
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<Client>(port()));
    CHECK(has(clients.back()->write(request("/a")).read_until("/a"), "200 OK"));
  }
  CHECK(has(Client(port()).write(request("/b")).read_to_end(), "503 Service Unavailable"));
  CHECK(has(clients[0]->write(request("/c")).read_until("/c"), "200 OK"));
  CHECK(counters.connections_refused == 1);
  clients.pop_back();
  for (int i = 0; i < 100; ++i) {
    if (has(Client(port()).write(request("/d", "Connection: close\r\n")).read_to_end(), "200 OK"))
      return;
    std::this_thread::sleep_for(10ms);
  }
  FAIL("a connection that closed made no room");
}

TEST_CASE_METHOD(Fixture, "a stop answers what has begun, then the address is free") {
  start();
  Client holding(port());
  holding.write(request("/hold"));
  Client half(port());
  half.write("GET /half HTTP/1.1\r\n");
  Client idle(port());
  while (echo.handled == 0)
    std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(50ms);
  server->stop();
  server->stop();
  std::this_thread::sleep_for(50ms);
  CHECK_FALSE(Client(port()).connected);
  half.write("Host: h\r\n\r\n");
  CHECK(has(half.read_to_end(), "Connection: close\r\n\r\nGET /half <closed>"));
  CHECK(idle.read_to_end() == "<closed>");
  echo.release();
  CHECK(has(holding.read_to_end(), "Connection: close\r\n\r\nGET /hold <closed>"));
  thread.join();
  Echo other;
  const HttpServer again({.port = port()}, other, counters);
  CHECK(again.port() == port());
}

TEST_CASE_METHOD(Fixture, "a stop does not wait longer than the grace period") {
  start({.grace = 200ms});
  Client holding(port());
  holding.write(request("/hold"));
  while (echo.handled == 0)
    std::this_thread::sleep_for(1ms);
  const auto began = Clock::now();
  stop();
  CHECK(Clock::now() - began < 2s);
  CHECK(holding.read_to_end().ends_with("<closed>"));
  echo.release(); // an answer that comes too late goes nowhere
}

TEST_CASE_METHOD(Fixture, "a handler that drops its reply or throws costs one 500") {
  start();
  CHECK(has(Client(port()).write(request("/drop")).read_until("}"), "500 Internal Server Error"));
  CHECK(has(Client(port()).write(request("/throw")).read_until("}"), "500 Internal Server Error"));
  CHECK(has(Client(port()).write(request("/a")).read_until("/a"), "200 OK"));
}

TEST_CASE_METHOD(Fixture, "an address that cannot be listened on is an error that says so") {
  start();
  try {
    const HttpServer second({.port = port()}, echo, counters);
    FAIL("bound twice");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::conflict);
    CHECK(has(error.message(), "cannot listen on '127.0.0.1' port " + std::to_string(port())));
  }
  CHECK_THROWS_AS(HttpServer({.host = "198.51.100.1"}, echo, counters), Error);
  CHECK_THROWS_AS(HttpServer({.host = "no such host"}, echo, counters), Error);
  CHECK(server->url() == "http://127.0.0.1:" + std::to_string(port()));
}
