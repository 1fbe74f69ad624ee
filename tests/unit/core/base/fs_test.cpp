// Files: whole or not at all, errors that name the path, locks, paths that stay inside.
#include "core/base/error.hpp"
#include "core/base/fs.hpp"

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <thread>

using namespace mlp;
using namespace std::chrono_literals;
using Catch::Contains;

namespace {

std::size_t entries(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator{}));
}

unsigned mode_of(const fs::path& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 07777u;
}

template <class Body>
Error caught(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

} // namespace

TEST_CASE("a write that fails leaves the old content and no trace") {
  const TemporaryDirectory folder;
  const fs::path path = folder.path() / "mlp.yaml";
  write_file_atomic(path, "old");
  // A limit on the size of files fails as a full disk does.
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 1000;
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  const Error error = caught([&] { write_file_atomic(path, std::string(5000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  CHECK_THAT(error.message(), Contains("cannot write '" + path.string() + "'"));
  CHECK(read_file(path) == "old");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("a file is not there before commit, and not after an abandoned write") {
  const TemporaryDirectory folder;
  const fs::path path = folder.path() / "object";
  {
    AtomicFile file(path);
    file.file().write("half");
    CHECK_FALSE(fs::exists(path));
  }
  CHECK(entries(folder.path()) == 0);
  AtomicFile file(path);
  file.file().write("whole");
  file.commit();
  CHECK(read_file(path) == "whole");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("a new file has the mode asked for, else what the umask leaves") {
  const TemporaryDirectory folder;
  const mode_t before = ::umask(077);
  write_file_atomic(folder.path() / "plain", "");
  write_file_atomic(folder.path() / "exact", "", 0755);
  ::umask(before);
  CHECK(mode_of(folder.path() / "plain") == 0600);
  CHECK(mode_of(folder.path() / "exact") == 0755);
}

TEST_CASE("the longest name that a file may have can be written atomically") {
  const TemporaryDirectory folder;
  const fs::path path = folder.path() / std::string(255, 'n');
  write_file_atomic(path, "x");
  CHECK(read_file(path) == "x");
}

TEST_CASE("errors name the path, at open and later") {
  const TemporaryDirectory folder;
  const fs::path path = folder.path() / "data.csv";
  CHECK(caught([&] { (void)read_file(path); }).kind() == ErrorKind::not_found);
  write_file_atomic(path, "x");
  File file = File::open_read(path);
  CHECK(caught([&] { file.write("y"); }).message() ==
        "cannot write '" + path.string() + "': Bad file descriptor");
  File moved = std::move(file);
  CHECK(moved.name() == path);
  CHECK(File(7777, "").name() == "descriptor 7777");
  CHECK_THAT(caught([&] { (void)read_file(folder.path()); }).message(), Contains("directory"));
  CHECK_THAT(caught([&] { write_file_atomic(folder.path() / "no/such/folder", "x"); }).message(),
             Contains("no/such/folder"));
}

TEST_CASE("a read is limited, also where the size is not known before") {
  const TemporaryDirectory folder;
  const fs::path path = folder.path() / "big";
  write_file_atomic(path, std::string(100'000, 'x'));
  CHECK(read_file(path, 100'000).size() == 100'000);
  CHECK_THAT(caught([&] { (void)read_file(path, 99'999); }).message(),
             Contains("larger than 99999 bytes"));
  CHECK_FALSE(read_file("/proc/self/status").empty());
  CHECK_THAT(caught([&] { (void)read_file("/proc/self/status", 10); }).message(),
             Contains("larger than 10 bytes"));
}

TEST_CASE("reading a pipe as a file is an error, not a wait for its writer") {
  const TemporaryDirectory folder;
  const fs::path path = folder.path() / "pipe";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  CHECK_THAT(caught([&] { (void)read_file(path); }).message(), Contains("not a regular file"));
}

TEST_CASE("no such file is an answer where it is asked for, other failures are not") {
  const TemporaryDirectory folder;
  CHECK_FALSE(read_file_if_exists(folder.path() / "none"));
  CHECK_THROWS_AS(read_file_if_exists(folder.path()), Error);
}

TEST_CASE("a lock excludes, says who is in the way, and ends with its holder") {
  const TemporaryDirectory folder;
  const fs::path path = folder.path() / "lock";
  {
    const FileLock lock(path, "the project", 0ms);
    CHECK_FALSE(FileLock::try_lock(path));
    const auto start = std::chrono::steady_clock::now();
    const Error error = caught([&] { const FileLock second(path, "the project", 60ms); });
    CHECK(std::chrono::steady_clock::now() - start >= 60ms);
    CHECK(error.kind() == ErrorKind::conflict);
    CHECK(error.message() == "the project is in use by another mlp command");
    CHECK(error.hints().size() == 1);
  }
  CHECK(FileLock::try_lock(path));
}

TEST_CASE("a waiting lock gets its turn") {
  const TemporaryDirectory folder;
  const fs::path path = folder.path() / "lock";
  auto held = FileLock::try_lock(path);
  REQUIRE(held);
  std::jthread other([&] { const FileLock lock(path, "it", 10s); });
  std::this_thread::sleep_for(30ms);
  held.reset();
  other.join();
  CHECK(FileLock::try_lock(path));
}

TEST_CASE("a path from outside cannot leave its root") {
  for (const char* good : {"a", "a/b.csv", "..a/b..", "déjà/漢", "a b", "...", "-x"})
    CHECK_FALSE(unsafe_path_reason(good));
  for (const char* bad :
       {"", "/etc/passwd", "..", "a/..", "../a", "a/../../b", ".", "./a", "a//b", "a/", "a\\b"})
    CHECK(unsafe_path_reason(bad));
  CHECK(unsafe_path_reason(std::string_view("a\0b", 3)));
  CHECK(unsafe_path_reason(std::string(256, 'a')));
  CHECK(unsafe_path_reason(std::string(5000, 'a')));
}

TEST_CASE("removing a tree does not follow its symlinks") {
  const TemporaryDirectory folder;
  make_directories(folder.path() / "keep");
  write_file_atomic(folder.path() / "keep/file", "x");
  make_directories(folder.path() / "tree/deep");
  fs::create_directory_symlink(folder.path() / "keep", folder.path() / "tree/deep/link");
  CHECK(mlp::remove_all(folder.path() / "tree"));
  CHECK(fs::exists(folder.path() / "keep/file"));
  CHECK_FALSE(mlp::remove_all(folder.path() / "tree"));
}

TEST_CASE("a temporary folder is gone with its content") {
  fs::path path;
  {
    const TemporaryDirectory folder("mlp-test-");
    path = folder.path();
    write_file_atomic(path / "x", "x");
    CHECK(mode_of(path) == 0700);
  }
  CHECK_FALSE(fs::exists(path));
}
