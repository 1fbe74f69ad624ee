// Points of metrics as lines of a journal.
#include "core/base/json.hpp"
#include "core/job/metric_lines.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <cmath>
#include <limits>

using namespace mlp;
using namespace mlp::job;

namespace {

struct Fixture {
  TemporaryDirectory folder;
  fs::path path = folder.path() / "metrics.jsonl";

  [[nodiscard]] std::vector<Json> records() const {
    std::vector<Json> out;
    const track::JournalEnd end =
        track::read_journal(path, 0, [&](const Json& record) { out.push_back(record); });
    CHECK(end.damaged == 0);
    return out;
  }
};

constexpr std::int64_t moment = 1'700'000'000'000;

} // namespace

TEST_CASE("points of one time and step share a line, in whichever names they have", "[job]") {
  const Fixture f;
  MetricLines lines(f.path, nullptr);
  lines.add({"a", 0.1, moment, 3});
  lines.add({"say \"hi\"\n\xc3\xa4", 1e300, moment, 3});
  lines.add({"time", std::numeric_limits<double>::infinity(), moment, 3});
  lines.add({"a", 2, moment, 4});
  lines.add({"b", 3, moment + 1, 4});
  lines.add({"b", 4, moment + 1, std::nullopt});
  lines.add_line(R"({"tags":{"x":""}})");
  lines.flush();
  const auto records = f.records();
  REQUIRE(records.size() == 5);
  CHECK(dump_json(records[0]) == "{\"a\":0.1,\"say \\\"hi\\\"\\n\xc3\xa4\":1e+300,\"step\":3,"
                                 "\"time\":\"2023-11-14T22:13:20.000Z\",\"time_value\":null}");
  CHECK(records[1]["a"] == 2);
  CHECK(records[2]["time"] == "2023-11-14T22:13:20.001Z");
  CHECK_FALSE(records[3].contains("step"));
  CHECK(dump_json(records[4]) == R"({"tags":{"x":""}})");
}

TEST_CASE("a time that is none is now, and bytes that are no text are replaced", "[job]") {
  const Fixture f;
  MetricLines lines(f.path, nullptr);
  for (const std::int64_t time :
       {std::int64_t{0}, std::int64_t{-5}, std::numeric_limits<std::int64_t>::max(),
        std::numeric_limits<std::int64_t>::min()})
    lines.add({"bad \xff", 1, time, 0});
  lines.flush();
  for (const Json& record : f.records())
    CHECK(record["time"].get<std::string>() > "2024");
}

TEST_CASE("many names of one step are several lines, each short enough to be read", "[job]") {
  const Fixture f;
  MetricLines lines(f.path, nullptr);
  const std::string padding(240, 'n');
  for (int i = 0; i < 5'000; ++i)
    lines.add({fmt::format("{}{}", padding, i), 1.0, moment, 1});
  lines.flush();
  std::size_t names = 0;
  for (const Json& record : f.records())
    names += record.size() - 2;
  CHECK(names == 5'000);
}

TEST_CASE("what a full disk does not take is counted, and nothing fails", "[job]") {
  MetricLines lines("/dev/full", nullptr);
  for (int i = 0; i < 10; ++i)
    lines.add({"a", 1, moment, i});
  lines.flush();
  CHECK(lines.lost() == 10);
  CHECK_FALSE(lines.first_loss().empty());
}
