// Tar archives: what is written is read, byte by byte too; nothing damaged is taken for whole.
#include "core/base/error.hpp"
#include "core/base/tar.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

using namespace mlp;
using Catch::Contains;

namespace {

struct Whole {
  TarEntry entry;
  std::string content;
};

std::string written(const std::vector<Whole>& entries) {
  std::string out;
  TarWriter tar([&](std::string_view part) { out += part; });
  for (const Whole& one : entries) {
    TarEntry entry = one.entry;
    entry.size = one.content.size();
    tar.entry(entry);
    for (std::size_t at = 0; at < one.content.size(); at += 100)
      tar.data(std::string_view(one.content).substr(at, 100));
  }
  tar.end();
  return out;
}

std::vector<Whole> read(std::string_view archive, std::size_t step = 1 << 16) {
  TarReader tar(
      [&](std::span<std::byte> data) {
        const std::size_t n = std::min({data.size(), archive.size(), step});
        std::memcpy(data.data(), archive.data(), n);
        archive.remove_prefix(n);
        return n;
      },
      "a.tar");
  std::vector<Whole> out;
  while (const auto entry = tar.next()) {
    out.push_back({*entry, {}});
    std::array<char, 77> buffer{};
    while (const std::size_t n = tar.read(std::as_writable_bytes(std::span(buffer))))
      out.back().content.append(buffer.data(), n);
  }
  return out;
}

// The first header's checksum, made right again after a change.
std::string resealed(std::string archive) {
  std::memset(&archive[148], ' ', 8);
  unsigned sum = 0;
  for (std::size_t i = 0; i < 512; ++i)
    sum += static_cast<unsigned char>(archive[i]);
  archive.replace(148, 7, fmt::format("{:06o}", sum) + std::string(1, '\0'));
  return archive;
}

std::string problem(std::string_view archive) {
  try {
    static_cast<void>(read(archive));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::integrity);
    return error.message();
  }
  return {};
}

using Kind = TarEntry::Kind;

std::vector<Whole> some_entries() {
  const std::string deep = "run/" + std::string(90, 'd') + "/" + std::string(90, 'e');
  return {
      {{.kind = Kind::folder, .path = "run", .mode = 0755}, ""},
      {{.path = "run/empty", .modified = 1'700'000'000}, ""},
      {{.path = "run/tool", .mode = 04755, .uid = 1000, .gid = 3'000'000}, std::string(512, 'x')},
      {{.kind = Kind::hard_link, .path = "run/twin", .target = "run/tool"}, ""},
      {{.kind = Kind::fifo, .path = "run/pipe", .mode = 0600}, ""},
      {{.kind = Kind::character_device, .path = "run/.gone", .device_major = 1, .device_minor = 5},
       ""},
      {{.kind = Kind::block_device, .path = "run/disk", .device_major = 259}, ""},
      {{.path = "run/labelled",
        .attributes = {{"security.capability", std::string("\1\0=\n", 4)}, {"user.a", ""}}},
       "x"},
      {{.path = "run/large"}, std::string(100'001, 'y')},
      {{.kind = Kind::link, .path = "run/latest", .target = "a/weights"}, ""},
      {{.path = deep + "/é\nname"}, "deep"},
      {{.kind = Kind::link, .path = deep, .target = deep}, ""},
      {{.path = std::string(100, 'p')}, "exactly as long as the field"}};
}

} // namespace

TEST_CASE("an archive gives back what was written, however it is read", "[tar]") {
  const std::vector<Whole> entries = some_entries();
  const std::string archive = written(entries);
  CHECK(archive.size() % 512 == 0);
  CHECK(archive == written(entries));
  for (const std::size_t step : {1u, 511u, 1u << 16}) {
    const std::vector<Whole> back = read(archive, step);
    REQUIRE(back.size() == entries.size());
    for (std::size_t i = 0; i < back.size(); ++i) {
      INFO(entries[i].entry.path);
      CHECK(back[i].entry.kind == entries[i].entry.kind);
      CHECK(back[i].entry.path == entries[i].entry.path);
      CHECK(back[i].entry.target == entries[i].entry.target);
      CHECK(back[i].entry.modified == entries[i].entry.modified);
      CHECK(back[i].entry.mode == entries[i].entry.mode);
      CHECK(back[i].entry.uid == entries[i].entry.uid);
      CHECK(back[i].entry.gid == entries[i].entry.gid);
      CHECK(back[i].entry.device_major == entries[i].entry.device_major);
      CHECK(back[i].entry.device_minor == entries[i].entry.device_minor);
      CHECK(back[i].entry.attributes == entries[i].entry.attributes);
      CHECK_FALSE(back[i].entry.sparse);
      CHECK(back[i].content == entries[i].content);
    }
  }
}

TEST_CASE("content that is not read is skipped", "[tar]") {
  std::string archive = written(some_entries());
  std::string_view rest = archive;
  TarReader tar(
      [&](std::span<std::byte> data) {
        const std::size_t n = std::min(data.size(), rest.size());
        std::memcpy(data.data(), rest.data(), n);
        rest.remove_prefix(n);
        return n;
      },
      "a.tar");
  std::size_t entries = 0;
  while (tar.next())
    ++entries;
  CHECK(entries == some_entries().size());
}

TEST_CASE("an archive that is cut off or damaged is never taken for whole", "[tar]") {
  const std::string archive = written(some_entries());
  for (std::size_t size = 0; size + 1024 < archive.size(); size += 97)
    CHECK_THAT(problem(std::string_view(archive).substr(0, size)), Contains("'a.tar'"));
  for (std::size_t at = 0; at < 512; ++at) { // of the first header
    std::string damaged = archive;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    const std::string said = problem(damaged);
    // The checksum's own last bytes are not part of the number.
    if (at < 148 || at > 153) CHECK_THAT(said, Contains("damaged"));
  }
  CHECK_FALSE(problem(std::string(5000, 'x')).empty());
  CHECK(problem(std::string(1024, '\0')).empty());
}

TEST_CASE("hostile headers are refused", "[tar]") {
  // A header of our own with one field changed and its checksum made right again.
  const auto with = [](std::size_t at, std::string_view bytes) {
    std::string archive = written({{{.path = "x"}, "content"}});
    archive.replace(at, bytes.size(), bytes);
    return resealed(std::move(archive));
  };
  CHECK(problem(with(0, "y")).empty());
  for (const char* type : {"8", "M", "V", "D", "\x1b"})
    CHECK_THAT(problem(with(156, type)), Contains("which is not taken"));
  CHECK_THAT(problem(with(156, "\x1b")), !Contains("\x1b"));
  CHECK_THAT(problem(with(124, "99999999999")), Contains("no number"));
  CHECK_THAT(problem(with(124, "-0000000007")), Contains("no number"));
  CHECK_THAT(problem(with(124, std::string(12, '\xff'))), Contains("no number"));
  CHECK_THAT(problem(with(124, "\x80\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")),
             Contains("no number"));
  // Records without end or sense.
  const auto record = [&](const std::string& records) {
    std::string archive = written({{{.path = "x"}, records}});
    archive[156] = 'x';
    return problem(resealed(std::move(archive)));
  };
  for (const char* bad :
       {"x", "5 a\n", "99 path=a\n", "0 \n", "18446744073709551616 path=a\n", "9 path=ab",
        "12 size=-1\nxx", "12 size=abc\nx", "-5 path=a\n", "11 mtime=-\n", "9 uid=x1\n",
        "19 SCHILY.xattr.=1\n", "19 GNU.sparse.map=a\n"})
    CHECK_THAT(record(bad), Contains("damaged record"));
  CHECK_THAT(record(std::string(100'000, 'x')), Contains("64 KiB"));
}

TEST_CASE("a writer that is used wrongly says so", "[tar]") {
  TarWriter tar([](std::string_view) {});
  tar.entry({.path = "x", .size = 5});
  CHECK_THROWS_AS(tar.end(), std::logic_error);
  CHECK_THROWS_AS(tar.entry({.path = "y"}), std::logic_error);
  CHECK_THROWS_AS(tar.data("123456"), std::logic_error);
  tar.data("12345");
  tar.end();
}

TEST_CASE("sizes and times beyond the fields of a header are records", "[tar]") {
  std::string header;
  TarWriter tar([&](std::string_view part) { header += part; });
  constexpr std::uint64_t size = std::uint64_t{9} << 30;
  tar.entry({.path = "x", .size = size, .modified = -5});
  CHECK_THAT(header, Contains("19 size=9663676416\n"));
  std::string_view rest = header;
  TarReader reader(
      [&](std::span<std::byte> data) {
        const std::size_t n = std::min(data.size(), rest.size());
        std::memcpy(data.data(), rest.data(), n);
        rest.remove_prefix(n);
        return n;
      },
      "a.tar");
  const auto entry = reader.next();
  REQUIRE(entry);
  CHECK(entry->size == size);
  CHECK(entry->modified == 0);
}

namespace {

std::string pax(std::string_view key, std::string_view value) {
  std::size_t length = key.size() + value.size() + 3;
  while (fmt::formatted_size("{}", length) + key.size() + value.size() + 3 != length)
    length = fmt::formatted_size("{}", length) + key.size() + value.size() + 3;
  return fmt::format("{} {}={}\n", length, key, value);
}

// An archive of one file with records before it.
std::string with_records(const std::string& records, const std::string& stored) {
  std::string first = written({{{.path = "x"}, records}});
  first.resize(first.size() - 1024);
  first[156] = 'x';
  return resealed(std::move(first)) +
         written({{{.path = "GNUSparseFile.0/s", .modified = 7}, stored}});
}

} // namespace

TEST_CASE("sparse files are read with their holes", "[tar]") {
  const std::string holes =
      std::string(1000, '\0') + "abc" + std::string(497, '\0') + "de" + std::string(498, '\0');
  const auto check = [&](const std::string& archive) {
    for (const std::size_t step : {1u, 100u, 1u << 16}) {
      const std::vector<Whole> back = read(archive, step);
      REQUIRE(back.size() == 1);
      CHECK(back[0].entry.path == "s");
      CHECK(back[0].entry.size == holes.size());
      CHECK(back[0].entry.sparse);
      CHECK(back[0].content == holes);
    }
  };
  const std::string named = pax("GNU.sparse.name", "s");
  check(with_records(
      named + pax("GNU.sparse.size", "2000") + pax("GNU.sparse.map", "1000,3,1500,2"), "abcde"));
  check(with_records(named + pax("GNU.sparse.size", "2000") + pax("GNU.sparse.offset", "1000") +
                         pax("GNU.sparse.numbytes", "3") + pax("GNU.sparse.offset", "1500") +
                         pax("GNU.sparse.numbytes", "2"),
                     "abcde"));
  std::string map = "2\n1000\n3\n1500\n2\n";
  map.resize(512, '\0');
  const std::string version1 = named + pax("GNU.sparse.major", "1") + pax("GNU.sparse.minor", "0") +
                               pax("GNU.sparse.realsize", "2000");
  check(with_records(version1, map + "abcde"));

  // Maps that lie: beyond the end, out of order, more or less than is stored, without end.
  for (const char* bad : {"1000,3,1999,2", "1500,3,1000,2", "1000,3,1500,3", "1000,3", "1000"})
    CHECK_THAT(problem(with_records(
                   named + pax("GNU.sparse.size", "2000") + pax("GNU.sparse.map", bad), "abcde")),
               Contains("sparse"));
  for (const char* bad : {"2\n1000\n", "x", "9999999999999999999\n", "1\n\n3\n"})
    CHECK_THAT(problem(with_records(version1, bad)), Contains("sparse"));
  std::string endless = "70000\n";
  for (int i = 0; i < 70'000; ++i)
    endless += fmt::format("{}\n1\n", i);
  CHECK_THAT(problem(with_records(version1, endless)), Contains("65,536"));
}
