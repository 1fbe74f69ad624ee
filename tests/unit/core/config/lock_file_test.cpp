// mlp.lock: deterministic text, strict reading, no update lost.
#include "core/base/error.hpp"
#include "core/config/lock_file.hpp"

#include <catch2/catch.hpp>

#include <thread>
#include <vector>

using namespace mlp;
using namespace mlp::config;

namespace {

constexpr const char* good = "# Written by mlp: the versions in use. Keep it in git.\n"
                             "version: 1\n"
                             "datasets:\n"
                             "  a:\n"
                             "    digest: sha256:ba7816bf8f01cfea414140de5dae2223"
                             "b00361a396177a9cb410ff61f20015ad\n"
                             "    files: 3\n"
                             "    bytes: 103104\n"
                             "  \"on\":\n"
                             "    digest: sha256:ba7816bf8f01cfea414140de5dae2223"
                             "b00361a396177a9cb410ff61f20015ad\n"
                             "    files: 1\n"
                             "    bytes: 0\n";

std::string message_of(const std::string& text) {
  try {
    static_cast<void>(parse_lock_file(text));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    CHECK_FALSE(error.hints().empty());
    return error.message();
  }
  return "no error";
}

Project project_in(const TemporaryDirectory& folder) {
  return {fs::canonical(folder.path())};
}

} // namespace

TEST_CASE("mlp.lock: the same versions are the same bytes, and are read back") {
  LockFile lock;
  lock.datasets["on"] = {sha256("abc"), 1, 0};
  lock.datasets["a"] = {sha256("abc"), 3, 103104};
  CHECK(format_lock_file(lock) == good);
  CHECK(parse_lock_file(good) == lock);
  CHECK(parse_lock_file(format_lock_file({})) == LockFile{});
}

TEST_CASE("mlp.lock: what is not exactly right is refused with its place") {
  CHECK(message_of("version: 2\nnew: x\n") ==
        "mlp.lock has version 2, and this mlp knows version 1");
  CHECK(message_of("datasets: {}\n") == "mlp.lock:1:1: key 'version' is missing here");
  CHECK(message_of("version: one\n") == "mlp.lock:1:10: 'version' must be a whole number");
  CHECK(message_of("- a\n") == "mlp.lock:1:1: this file must be a map");
  CHECK(message_of("version: 1\nother: 2\n") == "mlp.lock:2:1: unknown key 'other'");
  CHECK(message_of("version: 1\ndatasets:\n  a: {digest: sha256:12, files: 1, bytes: 1}\n") ==
        "mlp.lock:3:15: 'digest' must be sha256: and 64 hexadecimal digits");
  CHECK(message_of("version: 1\ndatasets:\n  ../a: {}\n") ==
        "mlp.lock:3:3: '../a' is not a valid name");
  CHECK(message_of(std::string(good) + "<<<<<<< HEAD\n").starts_with("mlp.lock:1"));
}

TEST_CASE("mlp.lock: two writers at once lose no update") {
  const TemporaryDirectory folder;
  const Project project = project_in(folder);
  std::vector<std::thread> writers;
  for (int t = 0; t < 4; ++t)
    writers.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i)
        update_lock(project, [&](LockFile& lock) {
          lock.datasets["d" + std::to_string(t) + "-" + std::to_string(i)] = {sha256("x"), 1, 1};
        });
    });
  for (std::thread& writer : writers)
    writer.join();
  CHECK(load_lock_file(project).datasets.size() == 40);
}

TEST_CASE("mlp.lock: a newer file and a failed change are left as they are") {
  const TemporaryDirectory folder;
  const Project project = project_in(folder);
  CHECK(load_lock_file(project) == LockFile{});
  write_file_atomic(project.lock_file(), "version: 9\n");
  CHECK_THROWS_AS(update_lock(project, [](LockFile&) { FAIL("must not run"); }), Error);
  CHECK(read_file(project.lock_file()) == "version: 9\n");
  write_file_atomic(project.lock_file(), good);
  CHECK_THROWS_AS(update_lock(project,
                              [](LockFile& lock) {
                                lock.datasets.clear();
                                throw Error(ErrorKind::failed, "no");
                              }),
                  Error);
  CHECK(read_file(project.lock_file()) == good);
}

TEST_CASE("an image in mlp.lock is read as it was written", "[config]") {
  const Digest one = sha256("1"), two = sha256("2");
  LockFile lock;
  lock.image =
      ImageLock{.system_inputs = one,
                .python_inputs = two,
                .environment = one,
                .bases = {{"docker.io/library/debian:12", two}},
                .system_packages = {{"libc6", "2:1.0-1", "http://d.test/libc6.deb", one, 7}},
                .python_packages = {{"a", "1.0", "https://p.test/a%20b.whl", two, 0}}};
  const std::string text = format_lock_file(lock);
  CHECK(parse_lock_file(text) == lock);
  lock.image->environment.reset();
  lock.image->bases.clear();
  lock.image->system_packages.clear();
  CHECK(parse_lock_file(format_lock_file(lock)) == lock);
  const auto without = [&](std::string_view part) {
    std::string damaged = text;
    damaged.erase(damaged.find(part), part.size());
    return damaged;
  };
  CHECK_THROWS_AS(parse_lock_file(without("sha256:")), Error);
  CHECK_THROWS_AS(parse_lock_file(without("      bytes: 7\n")), Error);
  CHECK_THROWS_AS(parse_lock_file(text + "  more: 1\n"), Error);
}
