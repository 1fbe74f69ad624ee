// Times as journals hold them and as people read them.
#include "core/base/time.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace mlp;
using namespace std::chrono_literals;

TEST_CASE("a time survives its text, to the millisecond, over leap days and before 1970") {
  for (const char* text : {"2026-01-31T12:00:00.250Z", "2024-02-29T23:59:59.999Z",
                           "1969-12-31T23:59:59.001Z", "0001-01-01T00:00:00.000Z"}) {
    const auto time = parse_time(text);
    REQUIRE(time);
    CHECK(format_time(*time) == text);
  }
  CHECK(parse_time("1970-01-01T00:00:01.500Z")->time_since_epoch() == 1500ms);
}

TEST_CASE("what is not a time in UTC is not read as one") {
  for (const char* text : {"", "2026-01-31", "2026-02-29T00:00:00.000Z", "2026-13-01T00:00:00.000Z",
                           "2026-01-31T24:00:00.000Z", "2026-01-31T12:00:00.250+01:00",
                           "2026-01-31T12:00:00.250Z ", "2o26-01-31T12:00:00.250Z"})
    CHECK_FALSE(parse_time(text));
}

TEST_CASE("ages are in the unit that a person would use") {
  const WallTime now = *parse_time("2026-01-31T12:00:00.000Z");
  CHECK(format_age(now - 3s, now) == "just now");
  CHECK(format_age(now + 1h, now) == "just now"); // another machine's clock
  CHECK(format_age(now - 59s, now) == "59 s ago");
  CHECK(format_age(now - 5min, now) == "5 min ago");
  CHECK(format_age(now - 26h, now) == "26 h ago");
  CHECK(format_age(now - 72h, now) == "3 d ago");
}

TEST_CASE("a duration never reads as 60 of its unit") {
  const auto text = [](double s) { return format_duration(std::chrono::duration<double>(s)); };
  CHECK(text(0.85) == "850 ms");
  CHECK(text(0.9999) == "1.0 s");
  CHECK(text(12.34) == "12.3 s");
  CHECK(text(59.99) == "1 min 0 s");
  CHECK(text(250) == "4 min 10 s");
  CHECK(text(7500) == "2 h 5 min");
  CHECK(text(3.2 * 86400) == "3 d 4 h");
}

TEST_CASE("a duration that is no number has a text too") {
  CHECK(format_duration(std::chrono::duration<double>(std::numeric_limits<double>::infinity())) ==
        "-");
  CHECK(format_duration(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())) ==
        "-");
  CHECK(format_duration(std::chrono::duration<double>(1e30)) == "-");
}
