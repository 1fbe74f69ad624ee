// Records as people see them: golden texts.
#include "cli/output.hpp"
#include "core/base/json.hpp"
#include "core/base/time.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace mlp;

TEST_CASE("a table is aligned, numbers to the right, with units that people read") {
  const Json record = {
      {"datasets",
       {{{"name", "digits"},
         {"files", 60000},
         {"bytes", 1536},
         {"digest", "sha256:0123456789abcdef"}},
        {{"name", "adult"}, {"files", 3}, {"bytes", 20971520}, {"digest", nullptr}}}}};
  const TableView view = {.rows = "datasets",
                          .columns = {{"name", "NAME"},
                                      {"files", "FILES", Format::count},
                                      {"bytes", "SIZE", Format::bytes},
                                      {"digest", "VERSION", Format::digest}}};
  CHECK(render(record, view, false) == "NAME     FILES      SIZE  VERSION\n"
                                       "digits  60,000   1.5 KiB  0123456789ab\n"
                                       "adult        3  20.0 MiB  -\n");
  CHECK(
      render(record, view, true).starts_with("\033[1mNAME     FILES      SIZE  VERSION\033[0m\n"));
}

TEST_CASE("columns stay aligned beside wide, combining and hostile text") {
  const Json record = {{"rows",
                        {{{"a", "漢字"}, {"b", "x"}},
                         {{"a", "e\u0301"}, {"b", "x"}},
                         {{"a", "\x1b[2J"}, {"b", "x"}},
                         {{"a", "\xff"}, {"b", "x"}}}}};
  CHECK(render(record, TableView{.rows = "rows", .columns = {{"a", "A"}, {"b", "B"}}}, false) ==
        "A        B\n"
        "漢字     x\n"
        "e\u0301        x\n"
        "\\x1b[2J  x\n"
        "\\xff     x\n");
}

TEST_CASE("fields have a line each, and absent ones none") {
  const Json record = {{"id", "r1"},       {"metrics", {{"accuracy", 0.8812}}},
                       {"seconds", 250.0}, {"tags", {"a", "b"}},
                       {"clean", true},    {"gone", nullptr}};
  const FieldsView view = {{{"id", "run"},
                            {"metrics.accuracy", "accuracy", Format::percent},
                            {"seconds", "time", Format::duration},
                            {"tags", "tags"},
                            {"clean", "clean"},
                            {"gone", "gone"},
                            {"no.such.key", "none"},
                            {"metrics", "all metrics"}}};
  CHECK(render(record, view, false) == "run:         r1\n"
                                       "accuracy:    88.12 %\n"
                                       "time:        4 min 10 s\n"
                                       "tags:        a, b\n"
                                       "clean:       yes\n"
                                       "all metrics: accuracy=0.8812\n");
}

TEST_CASE("numbers are shown exactly where they are whole, and clamped where they are absurd") {
  const auto shown = [](const Json& value, Format format) {
    return render({{"v", value}}, FieldsView{{{"v", "v", format}}}, false);
  };
  CHECK(shown(9007199254740993, Format::number) == "v: 9007199254740993\n");
  CHECK(shown(UINT64_MAX, Format::bytes) == "v: 16.0 EiB\n");
  CHECK(shown(-5, Format::count) == "v: 0\n");
  CHECK(shown(1e300, Format::bytes) == "v: 16.0 EiB\n");
  CHECK(shown(std::numeric_limits<double>::quiet_NaN(), Format::count) == "v: 0\n");
  CHECK(shown(std::numeric_limits<double>::infinity(), Format::duration) == "v: -\n");
  CHECK(shown(0.000123456, Format::number) == "v: 0.0001235\n");
  CHECK(shown("not a time", Format::age) == "v: not a time\n");
}
