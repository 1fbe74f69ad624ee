// JSON from outside: limits, positions, types.
#include "core/base/error.hpp"
#include "core/base/json.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using Catch::Contains;

namespace {

std::string mistake(std::string_view text, JsonLimits limits = {}) {
  try {
    (void)parse_json(text, "spec.json", limits);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    return error.message();
  }
  return "no error";
}

} // namespace

TEST_CASE("a mistake in JSON names the document and the byte") {
  CHECK(mistake(R"({"a": 1,})") == "spec.json: not valid JSON at byte 9");
  CHECK(mistake("") == "spec.json: not valid JSON at byte 1");
  CHECK_THAT(mistake("{\"a\": \"\xff\"}"), Contains("not valid JSON"));
  CHECK_THAT(mistake("1e999"), Contains("not valid JSON"));
  CHECK_THAT(mistake("{} {}"), Contains("not valid JSON"));
}

TEST_CASE("depth and size are limited before anything is built") {
  CHECK_THAT(mistake(std::string(10'000'000, '[')), Contains("nested deeper than 64 levels"));
  CHECK_THAT(mistake("[[[]]]", {.max_bytes = 100, .max_depth = 2}), Contains("deeper than 2"));
  CHECK_THAT(mistake("[1,2,3]", {.max_bytes = 6}), Contains("larger than 6 bytes"));
  // Brackets in strings do not count, not even after an escaped quote.
  CHECK(parse_json(R"(["[[\"[[[["])", "x", {.max_bytes = 100, .max_depth = 1}).size() == 1);
}

TEST_CASE("what is printed is one line of UTF-8 with sorted keys, whatever went in") {
  CHECK(dump_json({{"b", 1}, {"a", "x\ny"}}) == R"({"a":"x\ny","b":1})");
  CHECK(dump_json(Json("\xff")) == "\"\ufffd\"");
}

TEST_CASE("a member of another type is named") {
  const Json object = parse_json(R"({"n": 18446744073709551615, "s": "x", "i": -3})", "spec");
  CHECK(json_int(object, "i", "spec") == -3);
  CHECK(json_string(object, "s", "spec") == "x");
  CHECK_THROWS_WITH(json_int(object, "n", "spec"), "spec: 'n' is not an integer");
  CHECK_THROWS_WITH(json_int(object, "s", "spec"), "spec: 's' is not an integer");
  CHECK_THROWS_WITH(json_string(object, "i", "spec"), "spec: 'i' is not a string");
  CHECK_THROWS_WITH(json_member(object, "z", "spec"), "spec: 'z' is missing");
  CHECK_THROWS_WITH(json_member(Json::array(), "z", "spec"), "spec: not an object");
}
