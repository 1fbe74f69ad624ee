// How the S3 backend answers refusals that it can mend, and stores that are not what they should
// be, told by a scripted server.
#include "backends/storage/s3/s3_storage.hpp"
#include "core/base/error.hpp"
#include "core/base/time.hpp"
#include "tests/unit/core/net/scripted_server.hpp"

#include <catch2/catch.hpp>

#include <map>

using namespace mlp;
using namespace std::chrono_literals;
using test::Guarded;
using test::Peer;
using test::ScriptedServer;

namespace {

using Script = std::function<void(Peer&, const std::string& request, int number)>;

// Each request of any connection, numbered from 1.
struct Store {
  std::atomic<int> requests = 0;
  ScriptedServer server;
  std::map<std::string, std::string> variables = {{"AWS_ACCESS_KEY_ID", "AK"},
                                                  {"AWS_SECRET_ACCESS_KEY", "hunter2"}};

  explicit Store(const Script& script)
      : server([this, script](Peer& peer, int) {
          for (std::string request; !(request = peer.request()).empty();)
            script(peer, request, ++requests);
        }) {}

  [[nodiscard]] std::unique_ptr<data::Storage> open(const std::string& parameters = {}) const {
    net::HttpOptions options;
    options.stall_timeout = 1s;
    options.retry = {.attempts = 3, .first = 1ms, .longest = 5ms, .total = 5s};
    return storage::open_s3_storage(
        net::parse_url("s3://team/p?endpoint=" + server.url() + parameters), options,
        [this](const char* name) -> const char* {
          const auto at = variables.find(name);
          return at == variables.end() ? nullptr : at->second.c_str();
        });
  }
};

std::string header_of(const std::string& request, const std::string& name) {
  const auto at = request.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  const auto begin = at + name.size() + 4;
  return request.substr(begin, request.find("\r\n", begin) - begin);
}

std::string fault(const std::string& code, const std::string& more = {}) {
  return "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>m</Message>" + more +
         "</Error>";
}

void put(data::Storage& storage, std::string_view name, std::string_view content) {
  auto writer = storage.write(name);
  writer->append(std::as_bytes(std::span(content)));
  writer->commit();
}

Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (Error& error) {
    return std::move(error);
  }
  FAIL("no error was thrown");
  return {ErrorKind::failed, ""};
}

} // namespace

TEST_CASE("S3: a clock that is wrong is set once by the store's date") {
  Guarded<std::vector<std::string>> dates;
  Store store([&](Peer& peer, const std::string& request, int number) {
    dates.with([&](auto& all) { all.push_back(header_of(request, "x-amz-date")); });
    if (number == 1)
      peer.answer(403, fault("RequestTimeTooSkewed"), "Date: Thu, 01 Jan 2093 12:00:00 GMT\r\n");
    else
      peer.answer(200, "");
  });
  put(*store.open(), "packs/a", "x");
  const auto seen = dates.get();
  REQUIRE(seen.size() == 2);
  CHECK(seen[1].starts_with("20930101T1200"));

  Store stubborn([&](Peer& peer, const std::string&, int) {
    peer.answer(403, fault("RequestTimeTooSkewed"), "Date: Thu, 01 Jan 2093 12:00:00 GMT\r\n");
  });
  const Error error = error_of([&] { put(*stubborn.open(), "packs/a", "x"); });
  CHECK(error.message().find("clock") != std::string::npos);
  CHECK(stubborn.requests == 2);
}

TEST_CASE("S3: a bucket in another region is asked there") {
  Store store([&](Peer& peer, const std::string& request, int) {
    if (header_of(request, "Authorization").find("/eu-west-1/s3/") != std::string::npos)
      peer.answer(200, "");
    else
      peer.answer(400, fault("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"));
  });
  const auto storage = store.open();
  put(*storage, "packs/a", "x");
  put(*storage, "packs/b", "x");
  CHECK(store.requests == 3);
}

TEST_CASE("S3: credentials that have ended are renewed once, fixed ones are refused by name") {
  ScriptedServer keys([count = std::make_shared<std::atomic<int>>(0)](Peer& peer, int) {
    while (!peer.request().empty())
      peer.answer(200, fmt::format(R"({{"AccessKeyId":"AK{}","SecretAccessKey":"s","Token":"t{}",)"
                                   R"("Expiration":"2093-01-01T00:00:00Z"}})",
                                   count->load() + 1, ++*count));
  });
  Store store([&](Peer& peer, const std::string& request, int) {
    if (header_of(request, "x-amz-security-token") == "t1")
      peer.answer(400, fault("ExpiredToken"));
    else
      peer.answer(200, "");
  });
  store.variables = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", keys.url()}};
  put(*store.open(), "packs/a", "x");
  CHECK(store.requests == 2);

  Store fixed(
      [&](Peer& peer, const std::string&, int) { peer.answer(400, fault("ExpiredToken")); });
  const Error error = error_of([&] { put(*fixed.open(), "packs/a", "x"); });
  CHECK(error.kind() == ErrorKind::denied);
  CHECK(error.message() == "the credentials of the environment have expired");
  CHECK(fixed.requests == 1);
}

TEST_CASE("S3: what may pass is tried again, what cannot is not") {
  Store slow([&](Peer& peer, const std::string&, int number) {
    if (number < 3)
      peer.answer(503, fault("SlowDown"));
    else
      peer.answer(200, "");
  });
  put(*slow.open(), "packs/a", "x");
  CHECK(slow.requests == 3);

  Store broken(
      [&](Peer& peer, const std::string&, int) { peer.answer(500, fault("InternalError")); });
  const Error error = error_of([&] { put(*broken.open(), "packs/a", "x"); });
  CHECK(error.kind() == ErrorKind::unreachable);
  CHECK(error.message().find("500 InternalError 3 times") != std::string::npos);
  REQUIRE_FALSE(error.contexts().empty());
  CHECK(error.contexts()[0].find("object 'packs/a' at 's3://team/p") != std::string::npos);

  Store denied(
      [&](Peer& peer, const std::string&, int) { peer.answer(403, fault("AccessDenied")); });
  const Error refusal = error_of([&] { put(*denied.open(), "packs/a", "x"); });
  CHECK(refusal.kind() == ErrorKind::denied);
  REQUIRE_FALSE(refusal.hints().empty());
  CHECK(refusal.hints()[0].find("s3:PutObject") != std::string::npos);
  CHECK(denied.requests == 1);
}

TEST_CASE("S3: a store that ignores conditions on writes is refused, not used") {
  Store lax([&](Peer& peer, const std::string& request, int) {
    if (request.starts_with("PUT "))
      peer.answer(200, "", "ETag: \"x\"\r\n");
    else
      peer.answer(404, fault("NoSuchKey"));
  });
  const auto storage = lax.open();
  const Error error =
      error_of([&] { (void)storage->compare_and_swap("refs/a", std::nullopt, "one"); });
  CHECK(error.message().find("does not support conditional writes") != std::string::npos);

  Store without(
      [&](Peer& peer, const std::string&, int) { peer.answer(501, fault("NotImplemented")); });
  CHECK_THROWS_AS(without.open()->compare_and_swap("refs/a", std::nullopt, "one"), Error);
}

TEST_CASE("S3: a swap whose answer was lost is known again by its writer") {
  // The ref is written, and then 500 in place of the answer; the next attempt finds it there.
  for (const bool ours : {true, false}) {
    INFO(ours);
    Guarded<std::string> writer;
    Store store([&, ours](Peer& peer, const std::string& request, int) {
      if (request.find("/.mlp-conditional-writes ") != std::string::npos) {
        peer.answer(412, fault("PreconditionFailed"));
      } else if (request.starts_with("PUT ")) {
        const bool first = writer.get().empty();
        if (first)
          writer.with([&](auto& w) {
            w = ours ? header_of(request, "x-amz-meta-mlp-writer") : "somebody";
          });
        if (first)
          peer.answer(500, fault("InternalError"));
        else
          peer.answer(412, fault("PreconditionFailed"));
      } else if (writer.get().empty()) {
        peer.answer(404, fault("NoSuchKey"));
      } else {
        peer.answer(200, "one", "ETag: \"e\"\r\nx-amz-meta-mlp-writer: " + writer.get() + "\r\n");
      }
    });
    const auto result = store.open()->compare_and_swap("refs/a", std::nullopt, "one");
    CHECK(result.swapped == ours);
    CHECK(result.current == "one");
  }
}

TEST_CASE("S3: an upload in parts that was completed though its answer was lost counts as done") {
  Store store([&](Peer& peer, const std::string& request, int) {
    static std::atomic<int> completions = 0;
    if (request.starts_with("POST ") && request.find("?uploads=") != std::string::npos)
      peer.answer(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
                       "</InitiateMultipartUploadResult>");
    else if (request.starts_with("POST "))
      peer.answer(completions++ == 0 ? 500 : 404,
                  fault(completions == 1 ? "InternalError" : "NoSuchUpload"));
    else if (request.starts_with("PUT "))
      peer.answer(200, "", "ETag: \"e\"\r\n");
    else // HEAD
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n");
  });
  CHECK_NOTHROW(put(*store.open(), "packs/a", std::string(20000000, 'x')));
}

TEST_CASE("S3: an abandoned upload in parts is removed from the store") {
  std::atomic<int> aborted = 0;
  Store store([&](Peer& peer, const std::string& request, int) {
    if (request.starts_with("POST "))
      peer.answer(200, "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
                       "</InitiateMultipartUploadResult>");
    else if (request.starts_with("DELETE ") && request.find("uploadId=u ") != std::string::npos)
      ++aborted, peer.answer(204, "");
    else
      peer.answer(200, "", "ETag: \"e\"\r\n");
  });
  const auto storage = store.open();
  {
    auto writer = storage->write("packs/a");
    const std::string content(20000000, 'x');
    writer->append(std::as_bytes(std::span(content)));
  }
  CHECK(aborted == 1);
}

TEST_CASE("S3: lists and ranges that are not what was asked for are errors") {
  const auto list = [](const std::string& contents) {
    return "<ListBucketResult><IsTruncated>true</IsTruncated>" + contents + "</ListBucketResult>";
  };
  Store store([&](Peer& peer, const std::string& request, int) {
    if (request.find("prefix=p%2Fhtml") != std::string::npos)
      peer.answer(200, "<html/>");
    else if (request.find("list-type") != std::string::npos) // the same again and again
      peer.answer(200, list("<Contents><Key>p/x</Key><Size>1</Size></Contents>"));
    else if (request.find("/other ") != std::string::npos)
      peer.answer(206, "abcd", "Content-Range: bytes 6-9/10\r\n");
    else
      peer.answer(206, "ab", "Content-Range: bytes 5-6/10\r\n");
  });
  const auto storage = store.open();
  CHECK_THROWS_AS(storage->list("html", "", 10), Error);
  CHECK_THROWS_AS(storage->list("", "", 10), Error);
  std::array<std::byte, 4> into{};
  CHECK_THROWS_AS(storage->read("packs/other", 5, into), Error);
  CHECK_THROWS_AS(storage->read("packs/short", 5, into), Error);
}

TEST_CASE("S3: an anonymous remote signs nothing") {
  Guarded<std::string> seen;
  Store store([&](Peer& peer, const std::string& request, int) {
    seen.with([&](auto& text) { text = request; });
    peer.answer(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>");
  });
  store.variables.clear();
  CHECK(store.open("&anonymous=true")->list("", "", 1).objects.empty());
  CHECK(header_of(seen.get(), "Authorization").empty());
}
