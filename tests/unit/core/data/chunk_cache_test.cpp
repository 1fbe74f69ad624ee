// The cache on disk: what is kept, for how long, and what of it is believed.
#include "core/base/error.hpp"
#include "core/data/chunk_cache.hpp"
#include "tests/unit/core/data/testing.hpp"

#include <catch2/catch.hpp>

#include <thread>

using namespace mlp;
using namespace mlp::data;

namespace {

struct Stored {
  PackEntry entry;
  Bytes plain, bytes;
};
Stored object(std::size_t size, std::uint64_t seed) {
  Stored made;
  made.plain = test::noise(size, seed);
  made.entry.id = sha256(made.plain);
  Bytes room(stored_bound(size));
  const StoredForm form = compress(made.plain, 1, room);
  made.entry.codec = form.codec;
  made.bytes.assign(form.bytes.begin(), form.bytes.end());
  made.entry.stored_size = static_cast<std::uint32_t>(made.bytes.size());
  made.entry.plain_size = static_cast<std::uint32_t>(size);
  made.entry.crc = crc32(made.bytes);
  return made;
}

std::uint64_t bytes_in(const fs::path& folder) {
  std::uint64_t sum = 0;
  for (const auto& item : fs::directory_iterator(folder))
    sum += item.file_size();
  return sum;
}

} // namespace

TEST_CASE("the cache gives back what it was given, also to the next process") {
  const TemporaryDirectory folder("mlp-cache-");
  {
    ChunkCache cache(folder.path(), 1u << 30);
    for (std::uint64_t i = 0; i < 200; ++i) {
      const Stored one = object(1000 + 100 * i, i);
      cache.add(one.entry, one.bytes);
      cache.add(one.entry, one.bytes);
    }
  }
  ChunkCache cache(folder.path(), 1u << 30);
  Bytes plain;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const Stored one = object(1000 + 100 * i, i);
    REQUIRE(cache.read(one.entry.id, plain));
    REQUIRE(plain == one.plain);
  }
  REQUIRE_FALSE(cache.read(object(10, 999).entry.id, plain));
  REQUIRE(bytes_in(folder.path()) < 3'000'000);
}

TEST_CASE("the cache keeps to its limit and lets the oldest go first") {
  const TemporaryDirectory folder("mlp-cache-");
  constexpr std::uint64_t limit = 32u << 20;
  ChunkCache cache(folder.path(), limit);
  Bytes plain;
  for (std::uint64_t i = 0; i < 800; ++i) { // 80 MB
    const Stored one = object(100'000, i);
    cache.add(one.entry, one.bytes);
    if (i % 50 == 0) REQUIRE(bytes_in(folder.path()) <= limit);
  }
  REQUIRE(bytes_in(folder.path()) > limit / 2);
  REQUIRE_FALSE(cache.read(object(100'000, 0).entry.id, plain));
  REQUIRE(cache.read(object(100'000, 799).entry.id, plain));
  REQUIRE(cache.read(object(100'000, 600).entry.id, plain));
  ChunkCache smaller(folder.path(), limit / 4);
  REQUIRE(bytes_in(folder.path()) <= limit / 4);
  ChunkCache none(folder.path(), 0);
  REQUIRE(bytes_in(folder.path()) == 0);
  none.add(object(10, 1).entry, object(10, 1).bytes);
  REQUIRE_FALSE(none.has(object(10, 1).entry.id));
}

TEST_CASE("a small cache keeps to its limit too, with several threads, and still keeps something") {
  for (const std::uint64_t limit : {50'000u, 300'000u, 3u << 20}) {
    const TemporaryDirectory folder("mlp-cache-");
    ChunkCache cache(folder.path(), limit);
    {
      std::vector<std::jthread> threads;
      for (std::uint64_t t = 0; t < 4; ++t)
        threads.emplace_back([&cache, t] {
          for (std::uint64_t i = 0; i < 60; ++i) {
            const Stored one = object(20'000 + 1000 * (i % 60), 100 * t + i);
            cache.add(one.entry, one.bytes);
          }
        });
      for (int i = 0; i < 100; ++i)
        CHECK(bytes_in(folder.path()) <= limit);
    }
    CHECK(bytes_in(folder.path()) <= limit);
    const Stored last = object(30'000, 5000);
    cache.add(last.entry, last.bytes);
    CHECK(bytes_in(folder.path()) <= limit);
    Bytes plain;
    CHECK(cache.read(last.entry.id, plain));
    if (limit > 1'000'000) CHECK(bytes_in(folder.path()) > limit / 2);
  }
}

TEST_CASE("a file of the cache holds only so many objects, however small they are") {
  const TemporaryDirectory folder("mlp-cache-");
  ChunkCache cache(folder.path(), 1u << 30);
  Stored one = object(1, 1);
  for (std::uint32_t i = 0; i < 70'000; ++i) {
    one.entry.id.bytes[0] = static_cast<std::uint8_t>(i);
    one.entry.id.bytes[1] = static_cast<std::uint8_t>(i >> 8);
    one.entry.id.bytes[2] = static_cast<std::uint8_t>(i >> 16);
    cache.add(one.entry, one.bytes);
  }
  const auto files = std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator());
  REQUIRE(files == 2);
}

TEST_CASE("no damage of the cache's files is ever served") {
  const TemporaryDirectory folder("mlp-cache-");
  {
    ChunkCache cache(folder.path(), 1u << 30);
    for (std::uint64_t i = 0; i < 40; ++i) {
      const Stored one = object(3000, i);
      cache.add(one.entry, one.bytes);
    }
  }
  const fs::path file = fs::directory_iterator(folder.path())->path();
  const std::string whole = read_file(file);
  std::uint64_t served = 0;
  for (std::size_t at = 0; at < whole.size(); at += 997) {
    std::string damaged = whole;
    if (at % 2 == 0)
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    else
      damaged.resize(at); // torn
    write_file_atomic(file, damaged);
    ChunkCache cache(folder.path(), 1u << 30);
    Bytes plain;
    for (std::uint64_t i = 0; i < 40; ++i) {
      const Stored one = object(3000, i);
      if (!cache.read(one.entry.id, plain)) continue;
      ++served;
      REQUIRE(plain == one.plain);
    }
  }
  REQUIRE(served > 1000);
}

TEST_CASE("several threads and two processes' worth of caches share a folder") {
  const TemporaryDirectory folder("mlp-cache-");
  constexpr std::uint64_t limit = 16u << 20;
  ChunkCache one(folder.path(), limit), two(folder.path(), limit);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      ChunkCache& cache = t % 2 == 0 ? one : two;
      Bytes plain;
      for (std::uint64_t i = 0; i < 200; ++i) {
        const Stored made = object(50'000, i);
        cache.add(made.entry, made.bytes);
        if (cache.read(object(50'000, i / 2).entry.id, plain) &&
            sha256(plain) != object(50'000, i / 2).entry.id)
          ++wrong;
      }
    });
  for (auto& thread : threads)
    thread.join();
  REQUIRE(wrong == 0);
  REQUIRE(bytes_in(folder.path()) <= 2 * limit);
}
