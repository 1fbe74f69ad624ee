// Journals: order, torn lines, many writers.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/track/journal.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <thread>

using namespace mlp;
using namespace mlp::track;

namespace {
std::vector<Json> read_all(const fs::path& path, JournalEnd* end = nullptr) {
  std::vector<Json> records;
  const JournalEnd stop =
      read_journal(path, 0, [&](const Json& record) { records.push_back(record); });
  if (end != nullptr) *end = stop;
  return records;
}
} // namespace

TEST_CASE("records come back in the order they were appended", "[track]") {
  TemporaryDirectory folder;
  const fs::path path = folder.path() / "events.jsonl";
  CHECK(read_all(path).empty());
  {
    JournalWriter writer(path);
    writer.append({{"n", 1}, {"text", "line\nbreak"}});
    writer.append({{"n", 2}});
  }
  JournalWriter(path).append({{"n", 3}});
  const auto records = read_all(path);
  REQUIRE(records.size() == 3);
  CHECK(records[0]["text"] == "line\nbreak");
  CHECK(records[2]["n"] == 3);
}

TEST_CASE("a torn last line is dropped, and the next record starts a new one", "[track]") {
  TemporaryDirectory folder;
  const fs::path path = folder.path() / "events.jsonl";
  JournalWriter(path).append({{"n", 1}});
  File::open_append(path).write(std::string_view(R"({"n": 2, "half)"));
  JournalEnd end;
  CHECK(read_all(path, &end).size() == 1);
  CHECK(end.damaged == 0); // it may still be being written
  CHECK(end.offset == 8);
  JournalWriter(path).append({{"n", 3}});
  const auto records = read_all(path, &end);
  REQUIRE(records.size() == 2);
  CHECK(records[1]["n"] == 3);
  CHECK(end.damaged == 1);
}

TEST_CASE("a journal cut at any byte gives its whole lines", "[track]") {
  TemporaryDirectory folder;
  const fs::path path = folder.path() / "events.jsonl";
  {
    JournalWriter writer(path);
    for (int i = 0; i < 5; ++i)
      writer.append({{"n", i}, {"reason", "because"}});
  }
  const std::string whole = read_file(path);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    write_file_atomic(path, whole.substr(0, size));
    const auto lines = std::count(whole.begin(), whole.begin() + static_cast<long>(size), '\n');
    CHECK(read_all(path).size() == static_cast<std::size_t>(lines));
  }
}

TEST_CASE("lines that are no records are counted and skipped", "[track]") {
  TemporaryDirectory folder;
  const fs::path path = folder.path() / "metrics.jsonl";
  std::string text = "{\"n\":1}\n\nnot json\n[1]\n";
  text += std::string(70, '[') + "\n";                 // too deep
  text += std::string(3 * max_line_bytes, 'x') + "\n"; // too long, over several reads
  text += std::string("{\"a\":\"\0\"}\n", 10) + "{\"n\":2}\n";
  write_file_atomic(path, text);
  JournalEnd end;
  const auto records = read_all(path, &end);
  REQUIRE(records.size() == 2);
  CHECK(records[1]["n"] == 2);
  CHECK(end.damaged == 5);
  CHECK(end.offset == text.size());
}

TEST_CASE("reading goes on from where it ended", "[track]") {
  TemporaryDirectory folder;
  const fs::path path = folder.path() / "events.jsonl";
  JournalWriter writer(path);
  std::uint64_t offset = 0;
  int next = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < round; ++i)
      writer.append({{"n", round * 100 + i}, {"fill", std::string(5000, 'x')}});
    int seen = 0;
    offset = read_journal(path, offset, [&](const Json& record) {
               CHECK(record["n"] == round * 100 + seen++);
             }).offset;
    next += seen;
  }
  CHECK(next == 190);
}

TEST_CASE("a long journal is read in slices of whole lines", "[track]") {
  TemporaryDirectory folder;
  const fs::path path = folder.path() / "metrics.jsonl";
  JournalWriter writer(path);
  for (int i = 0; i < 10'000; ++i)
    writer.append({{"n", i}});
  int next = 0;
  JournalEnd end{0, 0, true};
  std::size_t slices = 0;
  while (end.more) {
    const std::uint64_t before = end.offset;
    end = read_journal(
        path, end.offset, [&](const Json& record) { CHECK(record["n"] == next++); }, 1000);
    CHECK(end.offset - before <= 1020);
    ++slices;
  }
  CHECK(next == 10'000);
  CHECK(slices > 50);
}

TEST_CASE("appends of several writers do not mix", "[track]") {
  TemporaryDirectory folder;
  const fs::path path = folder.path() / "events.jsonl";
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        JournalWriter writer(path);
        for (int i = 0; i < 200; ++i)
          writer.append({{"t", t}, {"i", i}, {"fill", std::string(300, 'x')}});
      });
  }
  JournalEnd end;
  const auto records = read_all(path, &end);
  CHECK(records.size() == 800);
  CHECK(end.damaged == 0);
  std::vector<int> next(4, 0);
  for (const Json& record : records)
    CHECK(record["i"] == next[record["t"].get<std::size_t>()]++);
}

TEST_CASE("a record that no reader would take is refused", "[track]") {
  TemporaryDirectory folder;
  JournalWriter writer(folder.path() / "events.jsonl");
  CHECK_THROWS_AS(writer.append({{"x", std::string(max_line_bytes, 'x')}}), Error);
  CHECK(fs::file_size(folder.path() / "events.jsonl") == 0);
}
