// Downloads that break off, change and lie.
#include "core/net/download.hpp"
#include "tests/unit/core/net/scripted_server.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::net;
using namespace std::chrono_literals;
using test::Peer;
using test::quick;
using test::ScriptedServer;

namespace {

std::string some_text() {
  std::string text;
  for (int i = 0; i < 50000; ++i)
    text += std::to_string(i * 7919 % 10007) + " ";
  return text;
}

// Answers with `text`, or with what is asked of it if the ETag matches, and breaks off after
// `most` bytes.
void serve(Peer& peer, const std::string& text, const std::string& etag, std::size_t most) {
  const std::string request = peer.request();
  std::size_t from = 0;
  if (request.find("If-Range: " + etag) != std::string::npos)
    if (const auto at = request.find("Range: bytes="); at != std::string::npos)
      from = std::stoul(request.substr(at + 13));
  const std::string body = text.substr(from);
  std::string head = fmt::format("HTTP/1.1 {}\r\nETag: {}\r\nContent-Length: {}\r\n",
                                 from > 0 ? "206 Partial Content" : "200 OK", etag, body.size());
  if (from > 0)
    head += fmt::format("Content-Range: bytes {}-{}/{}\r\n", from, text.size() - 1, text.size());
  peer.send(head + "\r\n" + body.substr(0, most));
}

} // namespace

TEST_CASE("a download that breaks off goes on where it stopped") {
  const std::string text = some_text();
  ScriptedServer server(
      [&](Peer& peer, int) { serve(peer, text, "\"one\"", text.size() / 4 + 1); });
  TemporaryDirectory folder;
  const fs::path target = folder.path() / "file";
  const Downloaded got =
      download(server.url() + "/x", target, sha256(text), quick(), no_progress());
  CHECK(got.bytes == text.size());
  CHECK(read_file(target) == text);
  CHECK(server.connections() >= 4);
  CHECK_FALSE(fs::exists(folder.path() / "file.part"));
  CHECK_FALSE(fs::exists(folder.path() / "file.part.etag"));
}

TEST_CASE("a later call takes up what is there, unless the file is another one now") {
  const std::string text = some_text();
  for (const bool changed : {false, true}) {
    std::atomic<bool> good = false;
    ScriptedServer server([&](Peer& peer, int) {
      if (!good) return serve(peer, text, "\"one\"", good ? text.size() : 1000);
      serve(peer, changed ? text + "!" : text, changed ? "\"two\"" : "\"one\"", text.size() + 1);
    });
    TemporaryDirectory folder;
    const fs::path target = folder.path() / "file";
    HttpOptions once = quick();
    once.retry.attempts = 1;
    once.retry.total = 0ms;
    CHECK_THROWS_AS(download(server.url() + "/x", target, {}, once, no_progress()), Error);
    CHECK_FALSE(fs::exists(target));
    good = true;
    const Downloaded got = download(server.url() + "/x", target, {}, quick(), no_progress());
    CHECK(got.resumed_at > 0);
    CHECK(read_file(target) == (changed ? text + "!" : text));
  }
}

TEST_CASE("a download of other bytes than expected leaves nothing") {
  ScriptedServer server([](Peer& peer, int) {
    static_cast<void>(peer.request());
    peer.answer(200, "not this");
  });
  TemporaryDirectory folder;
  const fs::path target = folder.path() / "file";
  CHECK_THROWS_WITH(download(server.url() + "/x", target, sha256("this"), quick(), no_progress()),
                    Catch::Contains("is not what was expected"));
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("what a server refuses is told by kind, without the path of the URL") {
  std::atomic<unsigned> status = 404;
  ScriptedServer server([&](Peer& peer, int) {
    static_cast<void>(peer.request());
    peer.answer(status, "no");
  });
  TemporaryDirectory folder;
  const auto kind = [&](unsigned code) {
    status = code;
    try {
      download(server.url() + "/secret", folder.path() / "f", {}, quick(), no_progress());
    } catch (const Error& error) {
      CHECK(error.message().find("secret") == std::string::npos);
      return error.kind();
    }
    return ErrorKind::config;
  };
  CHECK(kind(404) == ErrorKind::not_found);
  CHECK(kind(403) == ErrorKind::denied);
  CHECK(kind(400) == ErrorKind::failed);
  CHECK(kind(503) == ErrorKind::unreachable);
}

TEST_CASE("an empty file is a file") {
  ScriptedServer server([](Peer& peer, int) {
    static_cast<void>(peer.request());
    peer.answer(200, "");
  });
  TemporaryDirectory folder;
  CHECK(download(server.url() + "/x", folder.path() / "f", {}, quick(), no_progress()).bytes == 0);
  CHECK(read_file(folder.path() / "f").empty());
}
