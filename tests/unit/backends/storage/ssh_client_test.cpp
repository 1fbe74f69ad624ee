// This end of an ssh: remote against other ends that lie, hang and break off. In place of ssh a
// shell sends prepared bytes; the real one is in the conformance and integration tests.
#include "backends/storage/ssh/ssh_storage.hpp"
#include "backends/storage/ssh/wire.hpp"
#include "core/base/fs.hpp"
#include "tests/conformance/storage_words.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <thread>

using namespace mlp;
using namespace mlp::storage;
using namespace std::chrono_literals;
using data::Bytes;
using test::get;
using test::kind_of;

namespace {

using Clock = std::chrono::steady_clock;

void add_frame(Bytes& stream, FrameKind kind, std::uint32_t id, data::ByteSpan payload) {
  const auto header =
      encode_header({.size = static_cast<std::uint32_t>(payload.size()), .id = id, .kind = kind});
  stream.insert(stream.end(), header.begin(), header.end());
  stream.insert(stream.end(), payload.begin(), payload.end());
}

Bytes greeting(std::uint32_t version = wire_version) {
  const auto magic = data::bytes_of(wire_magic);
  Bytes stream(magic.begin(), magic.end());
  add_frame(stream, FrameKind::hello, 0,
            encode_hello(ServerHello{.version = version, .software = "9.9"}));
  return stream;
}

// An other end that greets, sends bytes when it is asked for something, and then does what a shell
// says, "exec sleep 60" for instance. `frames` may begin with the greeting.
class FakeEnd {
 public:
  explicit FakeEnd(const Bytes& frames, const std::string& then = "exec sleep 60",
                   std::chrono::milliseconds stall = 20s)
      : options_{.stall_timeout = stall, .retry = {.attempts = 1}} {
    const auto size = std::min(frames.size(), greeting().size());
    write_file_atomic(folder_.path() / "greeting",
                      data::text_of(data::ByteSpan(frames).first(size)));
    write_file_atomic(folder_.path() / "answer",
                      data::text_of(data::ByteSpan(frames).subspan(size)));
    // A hello is 17 bytes, and a request 9 and more.
    options_.command =
        fmt::format("sh -c 'cd {}; cat greeting; {} {}'", folder_.path().native(),
                    size < frames.size() ? "head -c 26 >asked; cat answer;" : "", then);
  }
  [[nodiscard]] std::unique_ptr<data::Storage> open() const {
    return open_ssh_storage(net::parse_url("ssh://gpu1/srv"), options_);
  }
  SshOptions& options() { return options_; }
  [[nodiscard]] const fs::path& folder() const { return folder_.path(); }

 private:
  TemporaryDirectory folder_;
  SshOptions options_;
};

// What a read of 10 bytes is told when the other end answers its request, of id 1, so.
Error read_error(const Bytes& stream, const std::string& then = "exec sleep 60") {
  const FakeEnd end(stream, then);
  const auto storage = end.open();
  try {
    (void)get(*storage, "packs/a", 0, 10);
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error was thrown");
  return {ErrorKind::failed, ""};
}

bool says(const Error& error, std::string_view part) {
  return error.message().find(part) != std::string::npos;
}

Bytes answer(FrameKind kind, std::uint32_t id, std::string_view payload) {
  Bytes stream = greeting();
  add_frame(stream, kind, id, data::bytes_of(payload));
  return stream;
}

} // namespace

TEST_CASE("an answer over ssh fills what was asked for, in parts and with its end") {
  Bytes stream = answer(FrameKind::part, 1, "0123");
  add_frame(stream, FrameKind::alive, 0, {});
  add_frame(stream, FrameKind::part, 1, {});
  add_frame(stream, FrameKind::done, 1, data::bytes_of("456"));
  const FakeEnd end(stream);
  const auto storage = end.open();
  CHECK(get(*storage, "packs/a", 0, 10) == "0123456");
}

TEST_CASE("an other end of ssh that breaks the protocol is refused, with its host's name") {
  const std::string_view breach = "host 'gpu1' does not keep to the protocol";
  CHECK(says(read_error(answer(FrameKind::done, 1, "0123456789x")), breach)); // longer than asked
  CHECK(says(read_error(answer(FrameKind::done, 9, "x")), breach));
  CHECK(says(read_error(answer(FrameKind::done, 0, "x")), breach));
  CHECK(says(read_error(answer(FrameKind::read, 1, "x")), breach));
  CHECK(says(read_error(answer(FrameKind::alive, 0, "x")), breach));
  CHECK(says(read_error(answer(FrameKind::error, 1, "x")), breach));
  CHECK(says(read_error(answer(static_cast<FrameKind>(50), 1, "x")), breach));
  Bytes unfinished = greeting();
  const auto header = encode_header({.size = max_frame + 1, .id = 1, .kind = FrameKind::part});
  unfinished.insert(unfinished.end(), header.begin(), header.end());
  CHECK(says(read_error(unfinished), breach));
  CHECK(says(read_error(greeting(wire_version + 1)), "mlp 9.9 at host 'gpu1' speaks version 2"));
  const auto noise = data::bytes_of("Welcome to gpu1!\nmlp storage\n");
  CHECK(says(read_error({noise.begin(), noise.end()}), "sent 'Welcome to gpu1!' in place of"));
  // An error that it sends is its word, made harmless.
  const Bytes refusal = encode_error(Error(ErrorKind::denied, "no\x1b[2J"));
  const Error error = read_error(answer(FrameKind::error, 1, data::text_of(refusal)));
  CHECK(error.kind() == ErrorKind::denied);
  CHECK(error.message() == "no\\x1b[2J");
  CHECK(error.contexts().back() == "while reading object 'packs/a' at 'ssh://gpu1/srv'");
}

TEST_CASE("an answer over ssh that has no end is bounded") {
  Bytes stream = greeting();
  const Bytes payload(max_frame, std::byte{'x'});
  for (std::size_t i = 0; i <= max_answer / max_frame; ++i)
    add_frame(stream, FrameKind::part, 1, payload);
  const FakeEnd end(stream);
  const auto storage = end.open();
  CHECK(kind_of([&] { (void)storage->list("", "", 10); }) == ErrorKind::failed);
}

TEST_CASE("an other end of ssh that falls silent is given up in time") {
  for (const bool greets : {false, true}) {
    const FakeEnd end(greets ? greeting() : Bytes(), "exec sleep 60", 200ms);
    if (!greets && ::access("/dev/tty", R_OK) == 0) continue; // somebody may type a password
    const auto storage = end.open();
    const auto begin = Clock::now();
    CHECK(kind_of([&] { (void)storage->read_ref("refs/a"); }) == ErrorKind::unreachable);
    CHECK(Clock::now() - begin < 10s);
  }
}

TEST_CASE("a writer over ssh is not stuck in an other end that takes nothing") {
  const FakeEnd end(greeting(), "exec sleep 60", 200ms);
  const auto storage = end.open();
  auto writer = storage->write("packs/a");
  const std::string block(4u << 20, 'x');
  CHECK(kind_of([&] {
          for (int i = 0; i < 4; ++i)
            writer->append(test::bytes_of(block));
        }) == ErrorKind::unreachable);
}

TEST_CASE("signs of life keep a slow answer over ssh alive") {
  Bytes alive;
  add_frame(alive, FrameKind::alive, 0, {});
  FakeEnd end(
      greeting(),
      "head -c 26 >asked; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; cat alive; done; cat rest; "
      "exec sleep 60",
      400ms);
  write_file_atomic(end.folder() / "alive", data::text_of(alive));
  Bytes rest;
  add_frame(rest, FrameKind::done, 1, data::bytes_of("late"));
  write_file_atomic(end.folder() / "rest", data::text_of(rest));
  const auto storage = end.open();
  CHECK(get(*storage, "packs/a", 0, 10) == "late");
}

TEST_CASE("a stop ends every wait for ssh at once") {
  std::stop_source stop;
  FakeEnd end(greeting());
  end.options().stop = stop.get_token();
  const auto storage = end.open();
  std::jthread stopper([&] {
    std::this_thread::sleep_for(100ms);
    stop.request_stop();
  });
  const auto begin = Clock::now();
  CHECK(kind_of([&] { (void)storage->read_ref("refs/a"); }) == ErrorKind::interrupted);
  CHECK(kind_of([&] { (void)storage->read_ref("refs/a"); }) == ErrorKind::interrupted);
  CHECK(Clock::now() - begin < 5s);
}

TEST_CASE("a read whose ssh connection is lost is asked again over another, a swap is not") {
  Bytes ref;
  add_frame(ref, FrameKind::done, 1, encode_ref("text"));
  // The first connection ends after its greeting.
  FakeEnd end(greeting(),
              "if mkdir second; then exit 255; fi; head -c 26 >asked; cat ref; exec sleep 60");
  write_file_atomic(end.folder() / "ref", data::text_of(ref));
  end.options().retry = {.attempts = 3, .first = 10ms};
  CHECK(end.open()->read_ref("refs/a") == "text");

  const FakeEnd breaks(greeting(), "sleep 0.3; exit 255");
  const auto storage = breaks.open();
  CHECK(kind_of([&] { (void)storage->compare_and_swap("refs/a", "x", "y"); }) ==
        ErrorKind::unreachable);
}

TEST_CASE("names and texts that no remote takes are refused before ssh is started") {
  const FakeEnd end({}, "exit 1");
  const auto storage = end.open();
  CHECK(kind_of([&] { (void)storage->read_ref("refs/../x"); }) == ErrorKind::failed);
  CHECK(kind_of([&] {
          (void)storage->compare_and_swap("refs/a", std::nullopt, std::string(65537, 'x'));
        }) == ErrorKind::failed);
  CHECK(storage->list(std::string(600, 'a'), "", 10).objects.empty());
  CHECK(storage->location() == "ssh://gpu1/srv");
}
