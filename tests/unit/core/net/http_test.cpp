// The HTTP client against a server that misbehaves as told.
#include "core/base/fs.hpp"
#include "core/net/http.hpp"
#include "tests/unit/core/net/scripted_server.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::net;
using namespace std::chrono_literals;
using test::Guarded;
using test::Peer;
using test::quick;
using test::ScriptedServer;

namespace {

std::string message_of(const HttpResponse& response) {
  return response.failure ? response.failure->message() : "";
}

} // namespace

TEST_CASE("a request and its answer, with headers and body") {
  Guarded<std::string> seen;
  ScriptedServer server([&](Peer& peer, int) {
    const std::string request = peer.request();
    seen.with([&](auto& text) { text = request; });
    peer.answer(200, "hello", "X-One: 1\r\nx-two:  b \r\n");
  });
  HttpClient client(quick());
  const auto response =
      client.send({.url = server.url() + "/a/../b%20c?q=1", .headers = {{"X-Mine", "v"}}});
  CHECK(response.status == 200);
  CHECK(response.body == "hello");
  REQUIRE(response.header("x-one") != nullptr);
  CHECK(*response.header("x-one") == "1");
  CHECK(*response.header("x-two") == "b");
  CHECK(response.header("x-three") == nullptr);
  CHECK(seen.get().starts_with("GET /a/../b%20c?q=1 HTTP/1.1\r\n"));
  CHECK(seen.get().find("X-Mine: v\r\n") != std::string::npos);
}

TEST_CASE("a kept connection serves one request after the other") {
  ScriptedServer server([](Peer& peer, int) {
    while (!peer.request().empty())
      peer.answer(200, "x");
  });
  HttpClient client(quick());
  for (int i = 0; i < 20; ++i)
    REQUIRE(client.send({.url = server.url() + "/"}).ok());
  CHECK(server.connections() == 1);
}

TEST_CASE("threads send at once, each over a connection of its own") {
  ScriptedServer server([](Peer& peer, int) {
    for (std::string request; !(request = peer.request()).empty();)
      peer.answer(200, request.substr(4, request.find(' ', 4) - 4));
  });
  HttpClient client(quick());
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < 50; ++i) {
          const auto path = fmt::format("/{}/{}", t, i);
          if (client.send({.url = server.url() + path}).body != path) ++wrong;
        }
      });
  }
  CHECK(wrong == 0);
  CHECK(server.connections() <= 6);
}

TEST_CASE("bodies are streamed both ways") {
  std::string body(3u << 20, '\0');
  for (std::size_t i = 0; i < body.size(); ++i)
    body[i] = static_cast<char>(i * 7 + i / 256);
  ScriptedServer server([&](Peer& peer, int) {
    const std::string request = peer.request();
    peer.answer(request.ends_with(body) ? 200 : 400, body);
  });
  HttpClient client(quick());
  std::string back;
  std::size_t largest = 0;
  const auto response =
      client.send({.method = "PUT",
                   .url = server.url() + "/x",
                   .body = HttpBody::of(std::as_bytes(std::span(body))),
                   .sink = [&](const auto&, std::span<const std::byte> part) {
                     largest = std::max(largest, part.size());
                     back.append(reinterpret_cast<const char*>(part.data()), part.size());
                     return true;
                   }});
  CHECK(message_of(response).empty());
  CHECK(response.status == 200);
  CHECK(back == body);
  CHECK(largest <= 512 * 1024);
}

TEST_CASE("a sink that has enough ends the transfer without an error; what it throws comes out") {
  ScriptedServer server([](Peer& peer, int) {
    (void)peer.request();
    peer.answer(200, std::string(4u << 20, 'x'));
  });
  HttpClient client(quick());
  std::size_t got = 0;
  const auto response = client.send({.url = server.url(), .sink = [&](const auto&, auto part) {
                                       got += part.size();
                                       return got < 1000;
                                     }});
  CHECK(response.ok());
  CHECK(got < (1u << 20));
  CHECK_THROWS_AS(client.send({.url = server.url(),
                               .sink = [](const auto&, auto) -> bool {
                                 throw Error(ErrorKind::failed, "full");
                               }}),
                  Error);
}

TEST_CASE("an answer that is cut off, reset or empty is a failure that may pass") {
  ScriptedServer server([](Peer& peer, int) {
    const std::string request = peer.request();
    if (request.find("/cut") != std::string::npos)
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    else if (request.find("/chunk") != std::string::npos)
      peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this");
    else if (request.find("/reset") != std::string::npos)
      peer.reset();
  });
  HttpClient client(quick());
  for (const char* path : {"/cut", "/chunk", "/reset", "/nothing"}) {
    INFO(path);
    const auto response = client.send({.url = server.url() + path});
    CHECK(response.status == 0);
    CHECK(response.transient);
    REQUIRE(response.failure);
    CHECK(response.failure->kind() == ErrorKind::unreachable);
  }
}

TEST_CASE("a server that says nothing, or drips, is given up after the stall time") {
  ScriptedServer server([](Peer& peer, int) {
    const std::string request = peer.request();
    if (request.find("/drip") != std::string::npos) {
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
      for (int i = 0; i < 40; ++i) {
        peer.send("x");
        std::this_thread::sleep_for(20ms);
      }
    }
    peer.wait_for_close();
  });
  HttpClient client(quick());
  for (const char* path : {"/silent", "/drip"}) {
    INFO(path);
    const auto begin = std::chrono::steady_clock::now();
    const auto response = client.send({.url = server.url() + path});
    const auto took = std::chrono::steady_clock::now() - begin;
    CHECK(response.transient);
    CHECK(message_of(response).find("neither sent nor took data") != std::string::npos);
    CHECK(took >= 290ms);
    CHECK(took < 2s);
  }
}

TEST_CASE("a server that takes no more of an upload is given up too") {
  ScriptedServer server([](Peer&, int) { std::this_thread::sleep_for(1500ms); });
  HttpClient client(quick());
  const std::string body(16u << 20, 'x');
  const auto response = client.send({.method = "PUT",
                                     .url = server.url(),
                                     .headers = {{"Expect", ""}},
                                     .body = HttpBody::of(std::as_bytes(std::span(body)))});
  CHECK(response.transient);
  CHECK(message_of(response).find("neither sent nor took data") != std::string::npos);
}

TEST_CASE("a stop ends a waiting request at once") {
  ScriptedServer server([](Peer& peer, int) { peer.wait_for_close(); });
  std::stop_source source;
  HttpOptions options = quick();
  options.stall_timeout = 60s;
  options.stop = source.get_token();
  HttpClient client(options);
  std::jthread stopper([&] {
    std::this_thread::sleep_for(100ms);
    source.request_stop();
  });
  const auto begin = std::chrono::steady_clock::now();
  try {
    (void)client.send({.url = server.url()});
    FAIL("it was not interrupted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::interrupted);
  }
  CHECK(std::chrono::steady_clock::now() - begin < 1s);
}

TEST_CASE("headers and bodies of an answer have limits") {
  ScriptedServer server([](Peer& peer, int) {
    const std::string request = peer.request();
    if (request.find("/headers") != std::string::npos) {
      peer.send("HTTP/1.1 200 OK\r\n");
      for (int i = 0; i < 20000; ++i)
        peer.send("X-Header: some value that is long enough\r\n");
      peer.send("\r\n");
    } else {
      peer.answer(request.find("/error") != std::string::npos ? 400 : 200,
                  std::string(100000, 'x'));
    }
  });
  HttpClient client(quick());
  CHECK(message_of(client.send({.url = server.url() + "/headers"})).find("256 KiB") !=
        std::string::npos);
  const auto large = client.send({.url = server.url() + "/body", .max_body = 1000});
  CHECK(message_of(large).find("larger than 1000 B") != std::string::npos);
  CHECK_FALSE(large.transient);
  const auto refused = client.send({.url = server.url() + "/error", .max_body = 1000});
  CHECK(refused.status == 400);
  CHECK(refused.body.size() == 1000);
}

TEST_CASE("an error names the server and none of the request's secrets") {
  HttpClient client(quick());
  int port = 0;
  {
    ScriptedServer gone([](Peer&, int) {});
    port = std::stoi(gone.url().substr(gone.url().rfind(':') + 1));
  }
  const auto response =
      client.send({.url = fmt::format("http://127.0.0.1:{}/p?token=hunter2", port),
                   .headers = {{"Authorization", "Bearer hunter3"}}});
  REQUIRE(response.failure);
  const std::string text = message_of(response);
  CHECK(text.find(fmt::format("127.0.0.1:{}", port)) != std::string::npos);
  CHECK(text.find("hunter") == std::string::npos);
  CHECK(response.transient);
  CHECK(url_origin("https://user:secret@host:1/path?q") == "https://host:1");
}

TEST_CASE("other schemes, and headers that would break out of their line, are refused") {
  HttpClient client(quick());
  const TemporaryDirectory folder;
  write_file_atomic(folder.path() / "f", "secret");
  const auto response = client.send({.url = "file://" + (folder.path() / "f").native()});
  CHECK(response.failure);
  CHECK(response.body.empty());
  CHECK_THROWS_AS(client.send({.url = "http://127.0.0.1:1/", .headers = {{"X", "a\r\nY: b"}}}),
                  Error);
}

TEST_CASE("what may pass is tried again with growing waits, and only so often") {
  Guarded<std::vector<std::chrono::steady_clock::time_point>> arrivals;
  ScriptedServer server([&](Peer& peer, int) {
    (void)peer.request();
    const auto count = arrivals.with([](auto& times) {
      times.push_back(std::chrono::steady_clock::now());
      return times.size();
    });
    if (count < 3)
      peer.answer(503, "busy", "Connection: close\r\n");
    else
      peer.answer(200, "at last");
  });
  HttpClient client(quick());
  CHECK(send_again(client, {.url = server.url()}).body == "at last");
  const auto times = arrivals.get();
  REQUIRE(times.size() == 3);
  CHECK(times[1] - times[0] >= 2ms);

  ScriptedServer broken([](Peer& peer, int) {
    while (!peer.request().empty())
      peer.answer(500, "no");
  });
  try {
    (void)send_again(client, {.url = broken.url()});
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::unreachable);
    CHECK(error.message().find("answered 500 3 times") != std::string::npos);
  }
}

TEST_CASE("Retry-After is obeyed, within bounds") {
  Guarded<std::vector<std::chrono::steady_clock::time_point>> arrivals;
  ScriptedServer server([&](Peer& peer, int) {
    while (!peer.request().empty()) {
      const auto count = arrivals.with([](auto& times) {
        times.push_back(std::chrono::steady_clock::now());
        return times.size();
      });
      if (count == 1)
        peer.answer(429, "", "Retry-After: 1\r\n");
      else
        peer.answer(200, "ok");
    }
  });
  HttpClient client(quick());
  CHECK(send_again(client, {.url = server.url()}).ok());
  const auto times = arrivals.get();
  REQUIRE(times.size() == 2);
  CHECK(times[1] - times[0] >= 1s);
  const auto wait = [](const char* value) {
    return retry_after({.status = 503, .headers = {{"retry-after", value}}});
  };
  CHECK(wait("7") == 7000ms);
  CHECK(wait("86400") == 60000ms);
  CHECK(wait("Sun, 06 Nov 1994 08:49:37 GMT") == 0ms);
  CHECK(wait("Fri, 06 Nov 2093 08:49:37 GMT") == 60000ms);
  CHECK_FALSE(wait("soon"));
  CHECK_FALSE(wait("-1"));
}

TEST_CASE("a redirect is followed on the same server, and never takes credentials elsewhere") {
  Guarded<int> elsewhere_saw;
  ScriptedServer elsewhere([&](Peer& peer, int) {
    (void)peer.request();
    elsewhere_saw.with([](int& count) { ++count; });
    peer.answer(200, "elsewhere");
  });
  ScriptedServer server([&](Peer& peer, int) {
    for (std::string request; !(request = peer.request()).empty();) {
      if (request.starts_with("GET /here "))
        peer.answer(302, "", "Location: /there\r\n");
      else if (request.starts_with("GET /away "))
        peer.answer(301, "", fmt::format("Location: {}/x\r\n", elsewhere.url()));
      else if (request.starts_with("GET /circle "))
        peer.answer(302, "", "Location: /circle\r\n");
      else if (request.starts_with("GET /file "))
        peer.answer(302, "", "Location: file:///etc/passwd\r\n");
      else
        peer.answer(200, "there");
    }
  });
  HttpClient client(quick());
  CHECK(send_again(client, {.url = server.url() + "/here"}).body == "there");
  CHECK(send_again(client, {.url = server.url() + "/away"}).body == "elsewhere");
  CHECK_THROWS_AS(send_again(client, {.url = server.url() + "/away",
                                      .headers = {{"Authorization", "Basic eA=="}}}),
                  Error);
  CHECK(elsewhere_saw.get() == 1);
  CHECK_THROWS_AS(send_again(client, {.url = server.url() + "/circle"}), Error);
  CHECK_THROWS_AS(send_again(client, {.url = server.url() + "/file"}), Error);
}

TEST_CASE("a wait before another attempt ends when stopped, and none begins too late") {
  std::stop_source source;
  Retry retry({.attempts = 10, .first = 60s, .longest = 60s, .total = 600s}, source.get_token());
  std::jthread stopper([&] {
    std::this_thread::sleep_for(50ms);
    source.request_stop();
  });
  CHECK_THROWS_AS(retry.again(), Error);
  Retry late({.attempts = 10, .first = 5ms, .longest = 5ms, .total = 100ms});
  CHECK_FALSE(late.again(200ms));
  CHECK(late.again());
  CHECK(late.attempt() == 2);
}

TEST_CASE("HTTP dates are read, others refused") {
  const auto date = parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT");
  REQUIRE(date);
  CHECK(std::chrono::system_clock::to_time_t(*date) == 784111777);
  for (const char* bad : {"", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Feb 1994 08:49:37 GMT",
                          "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 28:49:37 GMT"})
    CHECK_FALSE(parse_http_date(bad));
}
