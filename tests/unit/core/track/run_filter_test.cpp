// Filters and orders of runs as a person writes them: what they mean, and how mistakes are shown.
#include "core/base/error.hpp"
#include "core/track/run_filter.hpp"
#include "core/track/run_index.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace mlp;
using namespace mlp::track;

namespace {

const WallTime now = *parse_time("2026-03-10T12:00:00.000Z");

RunRow sample() {
  RunRow row;
  row.id = "20260309-120000-k3f9qx";
  row.task = "train";
  row.state = RunState::failed;
  row.created = *parse_time("2026-03-09T12:00:00.000Z");
  row.started = row.created;
  row.ended = row.created + std::chrono::seconds(90);
  row.exit_code = 3;
  row.user = "ada";
  row.tags = {"keep", "paper-2"};
  row.note = "it's odd";
  row.params = {
      {"lr", "0.05"}, {"optimizer", "\"adam\""}, {"my key", "\"a\\\"b\""}, {"deep", "true"}};
  row.metrics = {{"acc", 0.93}, {"loss", 0.2}};
  return row;
}

bool matches(std::string_view text) {
  return RunExpression::parse(text, now).matches(sample());
}

// "message / context / hint"
std::string mistake(std::string_view text) {
  try {
    static_cast<void>(RunExpression::parse(text, now));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::usage);
    return fmt::format("{} / {} / {}", error.message(), error.contexts().at(0),
                       error.hints().empty() ? "" : error.hints().front());
  }
  return "none";
}

} // namespace

TEST_CASE("a filter compares params and metrics as the numbers or words that they are", "[track]") {
  CHECK(matches("params.lr<0.1 and metrics.acc>0.9"));
  CHECK_FALSE(matches("params.lr<0.05 and metrics.acc>0.9"));
  CHECK(matches("params.lr = 5e-2"));
  CHECK(matches("params.lr == 0.050"));
  CHECK(matches("params.lr != adam"));
  CHECK(matches("params.lr ~ 0.05"));
  CHECK(matches("params.optimizer = adam"));
  CHECK(matches("params.optimizer ~ 'da'"));
  CHECK_FALSE(matches("params.optimizer = \"0.1\""));
  CHECK(matches(R"(params."my key" = 'a"b')"));
  CHECK(matches(R"("params.my key" = "a\"b")"));
  CHECK(matches("params.deep = true"));
  CHECK(matches("attempts = 0 and exit_code >= +3"));
}

TEST_CASE("what a run does not have matches no comparison, and its absence can be asked for",
          "[track]") {
  CHECK_FALSE(matches("params.none = 1"));
  CHECK_FALSE(matches("params.none != 1"));
  CHECK_FALSE(matches("params.none"));
  CHECK(matches("not params.none"));
  CHECK(matches("metrics.acc and tags and note and not models and not name"));
}

TEST_CASE("and binds tighter than or, not tightest, parentheses group", "[track]") {
  CHECK(matches("task = train or task = x and task = y"));
  CHECK_FALSE(matches("(task = train or task = x) and task = y"));
  CHECK_FALSE(matches("not task = train or task = y"));
  CHECK(matches("NOT (task = eval OR user = bob) AND not not user = ada"));
}

TEST_CASE("states, tags, times and durations are compared as what they are", "[track]") {
  CHECK(matches("state = failed"));
  CHECK(matches("state ~ fail"));
  CHECK(matches("tags = keep"));
  CHECK(matches("tags ~ paper"));
  CHECK_FALSE(matches("tags != keep"));
  CHECK(matches("tags != other"));
  CHECK(matches("created > 2d ago"));
  CHECK_FALSE(matches("created > 23h ago"));
  CHECK(matches("created <= 24h ago and created >= 1d ago"));
  CHECK(matches("created = 2026-03-09"));
  CHECK(matches("created < 2026-03-10 and created <= 2026-03-09 and created >= 2026-03-09"));
  CHECK_FALSE(matches("created > 2026-03-09"));
  CHECK(matches("created >= 2026-03-09T12:00:00Z and ended > 2026-03-09T12:00:00.000Z"));
  CHECK(matches("duration = 90"));
  CHECK(matches("duration > 1min and duration <= 1.5m and duration < 0.1h"));
  CHECK(matches("run ~ k3f9 and id ~ k3f9"));
  CHECK(matches("note = \"it's odd\""));
}

TEST_CASE("a mistake in a filter is shown at its character, with the nearest name", "[track]") {
  CHECK(mistake("stat = failed") ==
        "cannot read the filter at character 1: no field 'stat' / stat = failed\n  ^ / did you "
        "mean 'state'?");
  CHECK(mistake("task = train and param.lr < 1") ==
        "cannot read the filter at character 18: no field 'param.lr' / task = train and param.lr < "
        "1\n                   ^ / did you mean 'params.lr'?");
  CHECK(mistake("state = faild").find("at character 9: no state 'faild'") != std::string::npos);
  CHECK(mistake("state = faild").find("did you mean 'failed'?") != std::string::npos);
  CHECK(mistake("metrics.acc > high").find("character 15: 'metrics.acc' is a number") !=
        std::string::npos);
  CHECK(mistake("").find("it is empty") != std::string::npos);
  CHECK(mistake("params.lr <").find("character 12: expected a value") != std::string::npos);
  CHECK(mistake("params.lr < and task").find("character 13: expected a value") !=
        std::string::npos);
  CHECK(mistake("(task = a").find("character 1: the parenthesis is not closed") !=
        std::string::npos);
  CHECK(mistake("task = a)").find("character 9: expected 'and' or 'or'") != std::string::npos);
  CHECK(mistake("task = a task = b").find("character 10: expected 'and' or 'or'") !=
        std::string::npos);
  CHECK(mistake("task = 'a").find("character 8: the quote is not closed") != std::string::npos);
  CHECK(mistake("task ! a").find("'!' alone") != std::string::npos);
  CHECK(mistake("created > 2d").find("expected 'ago'") != std::string::npos);
  CHECK(mistake("created > soon").find("'soon' is no time") != std::string::npos);
  CHECK(mistake("state < failed").find("no order") != std::string::npos);
  CHECK(mistake("created ~ 2026").find("is not text") != std::string::npos);
  // Characters, not bytes; a wide one takes two columns on the terminal.
  CHECK(mistake("note = 日 x").find("character 10: expected") != std::string::npos);
  CHECK(mistake("note = 日 x").find("\n            ^") != std::string::npos);
  CHECK(mistake("a\x1b[1m").find('\x1b') == std::string::npos);
}

TEST_CASE("a filter that nests or goes on without end is refused", "[track]") {
  CHECK(mistake(std::string(5000, '(')).find("nested deeper") != std::string::npos);
  std::string nots;
  for (int i = 0; i < 3000; ++i)
    nots += "not ";
  CHECK(mistake(nots + "task").find("nested deeper") != std::string::npos);
  CHECK_THROWS_AS(RunExpression::parse(std::string(20'000, 'a'), now), Error);
  CHECK(matches(std::string(50, '(') + "task" + std::string(50, ')')));
}

TEST_CASE("an order puts numbers before words and what is missing last, in both directions",
          "[track]") {
  const RunOrder up = parse_run_order("params.lr");
  const RunOrder down = parse_run_order("-metrics.acc");
  CHECK_FALSE(up.descending);
  CHECK(down.descending);
  CHECK(run_field_text(down.field) == "metrics.acc");
  CHECK_THROWS_AS(parse_run_order("-createt"), Error);
  const RunValue none, one = 1.0, two = 2.0, word = std::string("a"), nan = std::nan("");
  for (const bool descending : {false, true}) {
    CHECK(comes_before(one, two, descending) == !descending);
    CHECK(comes_before(one, word, descending));
    CHECK(comes_before(word, none, descending));
    CHECK(comes_before(one, nan, descending));
    CHECK_FALSE(comes_before(none, nan, descending));
    CHECK_FALSE(comes_before(one, one, descending));
  }
}
