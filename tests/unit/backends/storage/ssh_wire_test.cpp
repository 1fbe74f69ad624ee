// The protocol of ssh: remotes: what is read back, and what hostile ends are told.
#include "backends/storage/ssh/server.hpp"
#include "backends/storage/ssh/wire.hpp"
#include "core/base/fs.hpp"
#include "tests/conformance/memory_storage.hpp"

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <thread>

using namespace mlp;
using namespace mlp::storage;
using data::Bytes;
using data::ByteSpan;

namespace {

bool refused(const auto& body) {
  try {
    body();
  } catch (const Error&) {
    return true;
  }
  return false;
}

const std::vector<WireRequest> some_requests = {
    {.kind = FrameKind::has, .names = {"packs/a", "packs/b"}},
    {.kind = FrameKind::remove, .names = {}},
    {.kind = FrameKind::read, .names = {"packs/a"}, .offset = UINT64_MAX, .size = max_read},
    {.kind = FrameKind::list, .text = "packs/", .after = "packs/a", .size = max_page},
    {.kind = FrameKind::read_ref, .names = {"refs/a"}},
    {.kind = FrameKind::swap, .names = {"refs/a"}, .expected = "", .desired = {}},
    {.kind = FrameKind::clean},
    {.kind = FrameKind::write, .names = {"packs/a"}},
    {.kind = FrameKind::stat_file},
    {.kind = FrameKind::read_file, .text = "1-2", .offset = 3, .size = 4},
};

// A server over a memory storage, and this end of its connection.
class Served {
 public:
  explicit Served(const fs::path& file = "/nonexistent") {
    std::signal(SIGPIPE, SIG_IGN);
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    ours_ = File(ends[0]);
    thread_ = std::thread([this, file, theirs = ends[1]] {
      try {
        serve_storage(storage_, file, "1.2.3", theirs, theirs);
      } catch (const Error& error) {
        thrown_ = error.kind();
      }
      ::close(theirs);
    });
  }
  ~Served() {
    if (thread_.joinable()) end();
  }

  // Ends the input; what the server threw.
  std::optional<ErrorKind> end() {
    ::shutdown(ours_.fd(), SHUT_WR);
    drain();
    thread_.join();
    return thrown_;
  }
  ServerHello greet(std::uint32_t version = wire_version) {
    CHECK(take(wire_magic.size()) == wire_magic);
    send(FrameKind::hello, 0, encode_hello(ClientHello{.version = version, .alive_ms = 60'000}));
    CHECK(next().kind == FrameKind::hello);
    return decode_server_hello(payload());
  }
  void send(FrameKind kind, std::uint32_t id, ByteSpan payload) {
    raw(encode_header(
        {.size = static_cast<std::uint32_t>(payload.size()), .id = id, .kind = kind}));
    raw(payload);
  }
  void send(std::uint32_t id, const WireRequest& request) {
    send(request.kind, id, encode_request(request));
  }
  void raw(ByteSpan bytes) { (void)::send(ours_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // The next frame, its payload in payload().
  FrameHeader next() {
    const std::string raw_header = take(frame_header_size);
    if (raw_header.size() < frame_header_size) return {.id = 99};
    FrameReader reader;
    ByteSpan bytes = data::bytes_of(raw_header);
    const auto empty = reader.next(bytes);
    if (empty) {
      payload_.clear();
      return empty->header;
    }
    const auto size = data::ByteReader(data::bytes_of(raw_header), "test").u32();
    payload_ = take(size);
    bytes = data::bytes_of(payload_);
    return reader.next(bytes)->header;
  }
  [[nodiscard]] ByteSpan payload() const { return data::bytes_of(payload_); }
  [[nodiscard]] const std::string& text() const { return payload_; }
  data::Storage& storage() { return storage_; }

 private:
  std::string take(std::size_t size) {
    std::string text(size, '\0');
    std::size_t done = 0;
    while (done < size) {
      const ssize_t n = ::recv(ours_.fd(), text.data() + done, size - done, 0);
      if (n <= 0) break;
      done += static_cast<std::size_t>(n);
    }
    text.resize(done);
    return text;
  }
  void drain() {
    char scrap[4096];
    while (::recv(ours_.fd(), scrap, sizeof scrap, 0) > 0) {
    }
  }

  test::MemoryStorage storage_;
  File ours_;
  std::optional<ErrorKind> thrown_;
  std::string payload_;
  std::thread thread_;
};

} // namespace

TEST_CASE("requests and answers of the ssh protocol are read back as they were sent") {
  for (const WireRequest& request : some_requests) {
    INFO(static_cast<int>(request.kind));
    CHECK(decode_request(request.kind, encode_request(request)) == request);
  }
  const std::vector<std::optional<std::uint64_t>> sizes = {0, std::nullopt, UINT64_MAX};
  CHECK(decode_sizes(encode_sizes(sizes), 3) == sizes);
  const data::ListPage page{.objects = {{"a/b", 1}, {"a/c", 2}}, .more = true};
  const data::ListPage again = decode_page(encode_page(page), "a/", "a/a", 2);
  CHECK(again.more);
  CHECK(again.objects.at(1).name == "a/c");
  CHECK(decode_ref(encode_ref("x")) == "x");
  CHECK_FALSE(decode_ref(encode_ref(std::nullopt)));
  CHECK(decode_swap(encode_swap({true, "y"})).current == "y");
  CHECK(decode_count(encode_count(300)) == 300);
  CHECK(decode_file_state(encode_file_state({7, "s"})).state == "s");
  const Error error = decode_error(encode_error(
      Error(ErrorKind::denied, "no\x1b[2J").with_context("while x").with_hint("do y")));
  CHECK(error.kind() == ErrorKind::denied);
  CHECK(error.message() == "no\\x1b[2J");
  CHECK(error.contexts() == std::vector<std::string>{"while x"});
  CHECK(error.hints() == std::vector<std::string>{"do y"});
  // A host cannot say that the user has interrupted it, or typed something wrong.
  CHECK(decode_error(encode_error(Error(ErrorKind::interrupted, "x"))).kind() == ErrorKind::failed);
}

TEST_CASE("frames are cut out of a stream however it is chopped") {
  Bytes stream;
  for (std::uint32_t id = 1; id <= 3; ++id) {
    const Bytes payload(id == 2 ? 0 : 20, static_cast<std::byte>(id));
    const auto header = encode_header(
        {.size = static_cast<std::uint32_t>(payload.size()), .id = id, .kind = FrameKind::data});
    stream.insert(stream.end(), header.begin(), header.end());
    stream.insert(stream.end(), payload.begin(), payload.end());
  }
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    FrameReader reader;
    std::vector<std::size_t> got(4);
    unsigned ends = 0;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      ByteSpan bytes = ByteSpan(stream).subspan(at, std::min(step, stream.size() - at));
      while (const auto piece = reader.next(bytes)) {
        got[piece->header.id] += piece->bytes.size();
        ends += piece->last ? 1 : 0;
      }
      CHECK(bytes.empty());
    }
    CHECK(got == std::vector<std::size_t>{0, 20, 0, 20});
    CHECK(ends == 3);
    CHECK_FALSE(reader.in_frame());
  }
}

TEST_CASE("what breaks the ssh protocol is refused wherever it is read") {
  for (const WireRequest& request : some_requests) {
    Bytes bytes = encode_request(request);
    bytes.push_back(std::byte{0});
    CHECK(refused([&] { (void)decode_request(request.kind, bytes); }));
    bytes.pop_back();
    if (bytes.empty()) continue;
    bytes.pop_back();
    CHECK(refused([&] { (void)decode_request(request.kind, bytes); }));
  }
  const auto request = [](const WireRequest& bad) {
    return refused([&] { (void)decode_request(bad.kind, encode_request(bad)); });
  };
  CHECK(request({.kind = FrameKind::read, .names = {"a"}, .size = max_read + 1}));
  CHECK(request({.kind = FrameKind::read, .names = {std::string(513, 'a')}}));
  CHECK(request({.kind = FrameKind::list, .size = 0}));
  CHECK(request({.kind = FrameKind::list, .size = max_page + 1}));
  CHECK(request({.kind = FrameKind::has, .names = std::vector<std::string>(max_names + 1, "a")}));
  CHECK(request({.kind = FrameKind::swap, .names = {"a"}, .desired = std::string(65537, 'x')}));
  CHECK(refused([&] { (void)decode_request(FrameKind::data, {}); }));
  CHECK(refused([&] { (void)decode_request(FrameKind::done, {}); }));

  const auto page = [](const data::ListPage& bad, std::size_t limit = 10) {
    return refused([&] { (void)decode_page(encode_page(bad), "a/", "a/b", limit); });
  };
  CHECK_FALSE(page({.objects = {{"a/c", 1}}}));
  CHECK(page({.objects = {{"a/b", 1}}}));
  CHECK(page({.objects = {{"b/c", 1}}}));
  CHECK(page({.objects = {{"a/d", 1}, {"a/c", 1}}}));
  CHECK(page({.objects = {{"a/../c", 1}}}));
  CHECK(page({.objects = {{"a/c", 1}, {"a/d", 1}}}, 1));
  CHECK(page({.objects = {}, .more = true}));

  FrameReader reader;
  const auto large = encode_header({.size = max_frame + 1, .id = 1, .kind = FrameKind::part});
  ByteSpan bytes = large;
  CHECK(refused([&] { (void)reader.next(bytes); }));
  FrameReader other;
  const auto unknown = encode_header({.kind = static_cast<FrameKind>(40)});
  bytes = unknown;
  CHECK(refused([&] { (void)other.next(bytes); }));
}

TEST_CASE("a server answers several requests of one connection, and ends with its input") {
  Served served;
  served.greet();
  served.send(7, {.kind = FrameKind::write, .names = {"packs/a"}});
  served.send(FrameKind::data, 7, data::bytes_of("hello "));
  served.send(FrameKind::data, 7, data::bytes_of("there"));
  served.send(FrameKind::commit, 7, {});
  auto header = served.next();
  CHECK(header.kind == FrameKind::done);
  CHECK(header.id == 7);
  served.send(8, {.kind = FrameKind::read, .names = {"packs/a"}, .offset = 6, .size = 100});
  CHECK(served.next().kind == FrameKind::done);
  CHECK(served.text() == "there");
  served.send(9, {.kind = FrameKind::read, .names = {"packs/none"}, .size = 1});
  header = served.next();
  CHECK(header.kind == FrameKind::error);
  CHECK(header.id == 9);
  CHECK(decode_error(served.payload()).kind() == ErrorKind::not_found);
  served.send(10, {.kind = FrameKind::stat_file});
  CHECK(served.next().kind == FrameKind::error);
  // Names are the storage's to refuse, and a refused write swallows what was sent after it.
  served.send(11, {.kind = FrameKind::write, .names = {"../x"}});
  served.send(FrameKind::data, 11, data::bytes_of("x"));
  served.send(FrameKind::commit, 11, {});
  CHECK(served.next().id == 11);
  served.send(12, {.kind = FrameKind::clean});
  CHECK(served.next().id == 12);
  // An object that was abandoned, and one whose connection ended, are not there.
  served.send(13, {.kind = FrameKind::write, .names = {"packs/b"}});
  served.send(FrameKind::abandon, 13, {});
  served.send(14, {.kind = FrameKind::write, .names = {"packs/c"}});
  served.send(FrameKind::data, 14, data::bytes_of("x"));
  CHECK_FALSE(served.end());
  const std::vector<std::string> names = {"packs/b", "packs/c"};
  CHECK_FALSE(served.storage().has(names)[0]);
  CHECK_FALSE(served.storage().has(names)[1]);
}

TEST_CASE("a server reads the one file that it was given, in the state that was asked for") {
  const TemporaryDirectory folder;
  const fs::path file = folder.path() / "a file";
  write_file_atomic(file, "0123456789");
  Served served(file);
  served.greet();
  served.send(1, {.kind = FrameKind::stat_file});
  CHECK(served.next().kind == FrameKind::done);
  const FileState state = decode_file_state(served.payload());
  CHECK(state.size == 10);
  served.send(2, {.kind = FrameKind::read_file, .text = state.state, .offset = 4, .size = 100});
  CHECK(served.next().kind == FrameKind::done);
  CHECK(served.text() == "456789");
  served.send(
      3, {.kind = FrameKind::read_file, .text = state.state, .offset = UINT64_MAX, .size = 100});
  CHECK(served.next().kind == FrameKind::done);
  CHECK(served.text().empty());
  write_file_atomic(file, "9876543210");
  served.send(4, {.kind = FrameKind::read_file, .text = state.state, .offset = 4, .size = 100});
  CHECK(served.next().kind == FrameKind::error);
  CHECK(decode_error(served.payload()).kind() == ErrorKind::conflict);
}

TEST_CASE("a server tells a client that breaks the protocol, and ends") {
  const auto ends_with = [](const auto& body, bool greeted = true) {
    Served served;
    if (greeted) served.greet();
    body(served);
    return served.end();
  };
  CHECK(ends_with([](Served& s) { s.raw(data::bytes_of("GET / HTTP/1.1\r\n\r\n")); }, false) ==
        ErrorKind::integrity);
  CHECK(ends_with([](Served& s) { s.send(1, {.kind = FrameKind::clean}); }, false) ==
        ErrorKind::integrity);
  CHECK(ends_with([](Served& s) { s.send(FrameKind::read, 1, data::bytes_of("\xff\xff")); }) ==
        ErrorKind::integrity);
  CHECK(ends_with([](Served& s) { s.send(0, {.kind = FrameKind::clean}); }) ==
        ErrorKind::integrity);
  CHECK(ends_with([](Served& s) { s.send(FrameKind::done, 1, {}); }) == ErrorKind::integrity);
  CHECK(ends_with([](Served& s) {
          s.send(1, {.kind = FrameKind::write, .names = {"packs/a"}});
          s.send(1, {.kind = FrameKind::clean});
        }) == ErrorKind::integrity);
  CHECK(ends_with([](Served& s) {
          for (std::uint32_t id = 1; id <= max_streams + 1; ++id)
            s.send(id, {.kind = FrameKind::write, .names = {"packs/a"}});
        }) == ErrorKind::integrity);
  CHECK(ends_with([](Served& s) {
          s.raw(encode_header({.size = max_frame + 1, .id = 1, .kind = FrameKind::has}));
        }) == ErrorKind::integrity);
  // Half a request is no request; input that ends is no offence.
  CHECK_FALSE(ends_with(
      [](Served& s) { s.raw(encode_header({.size = 100, .id = 1, .kind = FrameKind::has})); }));
  Served served;
  served.greet();
  served.send(FrameKind::done, 1, {});
  const FrameHeader header = served.next();
  CHECK(header.kind == FrameKind::error);
  CHECK(header.id == 0);
}

TEST_CASE("a server agrees on the lower version of the protocol") {
  Served newer;
  CHECK(newer.greet(wire_version + 7).version == wire_version);
  Served older;
  const ServerHello hello = older.greet(0);
  CHECK(hello.version == 0);
  CHECK(hello.software == "1.2.3");
}
