// The store's ways of taking and giving many objects at once.
#include "core/base/error.hpp"
#include "core/data/pack_reader.hpp"
#include "core/data/pack_writer.hpp"
#include "core/data/seal.hpp"
#include "core/data/store.hpp"
#include "tests/unit/core/data/testing.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

using namespace mlp;
using namespace mlp::data;

namespace {

Bytes object(std::uint64_t number) {
  const std::size_t size = 1 + number * 7919 % 90000;
  if (number % 3 == 0) return Bytes(size, static_cast<std::byte>(number));
  return test::noise(size, number);
}

void flip(const fs::path& path, std::uint64_t at) {
  ::chmod(path.c_str(), 0644);
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  char byte = 0;
  REQUIRE(::pread(fd, &byte, 1, static_cast<off_t>(at)) == 1);
  byte = static_cast<char>(byte ^ 4);
  REQUIRE(::pwrite(fd, &byte, 1, static_cast<off_t>(at)) == 1);
  ::close(fd);
  ::chmod(path.c_str(), 0444);
}

} // namespace

TEST_CASE("objects that several threads put together are given back together") {
  const TemporaryDirectory folder;
  constexpr std::uint64_t count = 1200, threads = 4, step = 50;
  {
    ObjectStore store(folder.path());
    std::vector<std::thread> adders;
    for (std::uint64_t t = 0; t < threads; ++t) {
      adders.emplace_back([&store, t] {
        // Overlapping ranges: most objects are put twice, at about the same time.
        for (std::uint64_t first = t / 2 * step; first + step <= count;
             first += threads / 2 * step) {
          std::vector<Bytes> objects;
          std::vector<ByteSpan> views;
          for (std::uint64_t i = first; i < first + step; ++i)
            objects.push_back(object(i));
          views.assign(objects.begin(), objects.end());
          (void)store.put_each(PackKind::data, views);
        }
      });
    }
    for (auto& adder : adders)
      adder.join();
    store.flush();
    CHECK(store.stats().new_objects == count);
  }
  ObjectStore store(folder.path());
  for (const auto& [pack, kind] : store.packs()) {
    const File file = File::open_read(store.pack_path(pack));
    CHECK(is_sealed(file, pack.hex()));
    CHECK(check_pack([&](std::uint64_t offset,
                         std::span<std::byte> into) { return file.read_at(into, offset); },
                     file.size(), pack, [](std::uint64_t) {})
              .empty());
  }
  std::vector<Location> locations;
  std::vector<PackEntry> entries;
  for (std::uint64_t i = 0; i < count; ++i) {
    locations.push_back(store.locate(sha256(object(i))));
    entries.push_back(locations.back().entry);
  }
  ObjectBatch batch;
  for (std::size_t first = 0, some = 0; first < count; first += some) {
    some = one_batch(std::span(entries).subspan(first));
    store.read_each(std::span(locations).subspan(first, some), batch);
    REQUIRE(batch.plain.size() == some);
    REQUIRE(batch.stored.size() == some);
    for (std::size_t i = 0; i < some; ++i) {
      const Bytes expected = object(first + i);
      REQUIRE(std::equal(expected.begin(), expected.end(), batch.plain[i].begin(),
                         batch.plain[i].end()));
      REQUIRE(batch.stored[i].size() == entries[first + i].stored_size);
    }
  }
  CHECK_THROWS_AS(store.locate(sha256("nothing")), Error);
}

TEST_CASE("a damaged object among many is named, and what was touched has lost its seal") {
  const TemporaryDirectory folder;
  std::vector<Bytes> objects;
  for (std::uint64_t i = 1; i < 40; ++i)
    objects.push_back(object(i));
  std::vector<Digest> ids;
  {
    ObjectStore store(folder.path());
    ids = store.put_each(PackKind::data, std::vector<ByteSpan>(objects.begin(), objects.end()));
    store.flush();
  }
  ObjectStore store(folder.path());
  std::vector<Location> locations;
  for (const Digest& id : ids)
    locations.push_back(store.locate(id));
  const Location& victim = locations[20];
  const fs::path path = store.pack_path(victim.pack);
  CHECK(is_sealed(File::open_read(path), victim.pack.hex()));
  flip(path, victim.entry.offset + entry_header_size + 5);
  CHECK_FALSE(is_sealed(File::open_read(path), victim.pack.hex()));
  CHECK_FALSE(read_own_pack(File::open_read(path), victim.pack, [](std::uint64_t) {}));
  ObjectBatch batch;
  try {
    store.read_each(locations, batch);
    FAIL("a damaged object was given out");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::integrity);
    CHECK_THAT(error.message(), Catch::Contains(victim.entry.id.short_hex()));
  }
  const auto damages = check_pack(
      [&](std::uint64_t offset, std::span<std::byte> into) {
        return File::open_read(path).read_at(into, offset);
      },
      fs::file_size(path), victim.pack, [](std::uint64_t) {});
  REQUIRE(damages.size() == 1);
  CHECK(damages[0].object == victim.entry.id);
}

TEST_CASE("objects are found where a garbage collection has moved them") {
  const TemporaryDirectory folder;
  const std::vector<Bytes> objects = {object(1), object(2), object(4)};
  const std::vector<ByteSpan> views(objects.begin(), objects.end());
  ObjectStore writer(folder.path());
  const std::vector<Digest> ids = writer.put_each(PackKind::data, views);
  writer.flush();
  ObjectStore reader(folder.path());
  std::vector<Location> locations;
  for (const Digest& id : ids)
    locations.push_back(reader.locate(id));
  const fs::path old = reader.pack_path(locations[0].pack);
  PackWriter moved(folder.path(), PackKind::data);
  for (std::size_t i = ids.size(); i-- > 0;) {
    PackEntry entry = locations[i].entry;
    Bytes stored, plain;
    reader.read_stored(locations[i], stored, plain);
    moved.append(entry, stored);
  }
  CHECK(moved.finish() != locations[0].pack);
  ObjectStore late(folder.path());
  REQUIRE(::unlink(old.c_str()) == 0);
  ObjectBatch batch;
  late.read_each(locations, batch);
  for (std::size_t i = 0; i < objects.size(); ++i)
    CHECK(std::equal(objects[i].begin(), objects[i].end(), batch.plain[i].begin(),
                     batch.plain[i].end()));
}

namespace {

// No file of this process may become longer.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : ignored_(::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &old_) == 0);
    struct rlimit small = old_;
    small.rlim_cur = bytes;
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  }
  FileSizeLimit(FileSizeLimit&&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, ignored_);
  }

 private:
  struct rlimit old_ {};
  void (*ignored_)(int);
};

} // namespace

TEST_CASE("a pack that could not be written whole takes no more, and is not finished") {
  const TemporaryDirectory folder;
  fs::create_directories(folder.path() / "tmp");
  fs::create_directories(folder.path() / "packs");
  const bool direct = GENERATE(true, false); // past the buffer, or through it
  PackWriter writer(folder.path(), PackKind::data);
  const Bytes large = test::noise(direct ? 300000 : 100000, 3);
  const ByteSpan view(large);
  PackEntry entry{.id = sha256(large),
                  .stored_size = static_cast<std::uint32_t>(large.size()),
                  .plain_size = static_cast<std::uint32_t>(large.size()),
                  .crc = crc32(large)};
  {
    const FileSizeLimit limit(4096);
    const auto fill = [&] {
      for (int i = 0; i < 20; ++i)
        writer.append(entry, view);
    };
    CHECK_THROWS_AS(fill(), Error);
  }
  // There is room again.
  const auto has_cause = Catch::Matchers::Predicate<Error>(
      [](const Error& error) { return error.message().find("too large") != std::string::npos; });
  CHECK_THROWS_MATCHES(writer.append(entry, view), Error, has_cause);
  CHECK_THROWS_MATCHES(writer.finish(), Error, has_cause);
  CHECK(fs::is_empty(folder.path() / "packs"));
}

TEST_CASE("who may read a pack is left to the umask") {
  const TemporaryDirectory folder;
  ObjectStore store(folder.path());
  const mode_t old = ::umask(077);
  const Bytes content = object(1);
  const ByteSpan view(content);
  (void)store.put_each(PackKind::data, {&view, 1});
  store.flush();
  ::umask(old);
  for (const auto& [pack, kind] : store.packs()) {
    struct stat info {};
    REQUIRE(::stat(store.pack_path(pack).c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0400);
    CHECK(is_sealed(File::open_read(store.pack_path(pack)), pack.hex()));
  }
}

TEST_CASE("the seal of another user's pack is not believed, nor its checksums") {
  if (::geteuid() != 0) return; // only root can give files away
  const TemporaryDirectory folder;
  const Bytes content = test::noise(5000, 1);
  const ByteSpan view(content);
  Location location;
  fs::path path;
  {
    ObjectStore store(folder.path());
    const Digest id = store.put_each(PackKind::data, {&view, 1}).front();
    store.flush();
    location = store.locate(id);
    path = store.pack_path(location.pack);
  }
  flip(path, location.entry.offset + entry_header_size + 5);
  REQUIRE(seal(File::open_read(path), location.pack.hex()));
  const auto read = [&] {
    return read_own_pack(File::open_read(path), location.pack, [](std::uint64_t) {});
  };
  CHECK(read()); // what a mark is for
  REQUIRE(::chown(path.c_str(), 65534, 65534) == 0);
  CHECK_FALSE(read());

  // With a checksum that fits what it holds now.
  ObjectStore store(folder.path());
  store.adopt(location.pack, PackKind::data, {&location.entry, 1});
  Bytes stored(location.entry.stored_size);
  REQUIRE(File::open_read(path).read_at(stored, location.entry.offset + entry_header_size) ==
          stored.size());
  location.entry.crc = crc32(stored);
  ObjectBatch batch;
  CHECK_THROWS_AS(store.read_each({&location, 1}, batch), Error);
}

TEST_CASE("a check reads every byte of a pack once") {
  const TemporaryDirectory folder;
  std::vector<Bytes> objects;
  for (std::uint64_t i = 0; i < 300; ++i) { // half of it can be compressed
    objects.push_back(test::noise(64 * 1024, i));
    std::fill_n(objects.back().begin(), 32 * 1024, std::byte{1});
  }
  ObjectStore store(folder.path());
  (void)store.put_each(PackKind::data, std::vector<ByteSpan>(objects.begin(), objects.end()));
  store.flush();
  const Digest pack = store.packs().begin()->first;
  const File file = File::open_read(store.pack_path(pack));
  std::uint64_t seen = 0;
  CHECK(check_pack([&](std::uint64_t offset,
                       std::span<std::byte> into) { return file.read_at(into, offset); },
                   file.size(), pack, [&](std::uint64_t bytes) { seen += bytes; })
            .empty());
  CHECK(seen > file.size() / 2);
  CHECK(seen <= file.size());
}
