// Params and tags that a program says of its run, in lines that anyone may have written.
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/track/annotations.hpp"
#include "core/track/logged.hpp"
#include "core/track/run_record.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::track;

namespace {

struct Fixture {
  TemporaryDirectory folder;
  RunFolder run = make();

  RunFolder make() const {
    RunSpec spec;
    spec.created = wall_now();
    spec.id = new_run_id(spec.created);
    spec.task = "train";
    spec.params = {{"lr", "0.1"}, {"layers", "3"}};
    return create_run(folder.path() / "runs", spec, "", "test");
  }
  void say(const std::string& line) const {
    JournalWriter(run.metrics()).append_lines(line + "\n");
  }
  [[nodiscard]] RunRecord read() const { return read_journals(run); }
};

using Texts = std::vector<std::string>;

} // namespace

TEST_CASE("what a program logs as params is laid over what was asked for", "[track]") {
  const Fixture f;
  f.say(R"({"params": {"lr": "0.01", "optimizer": "adam", "nesterov": true}})");
  f.say(R"({"params": {"lr": 0.001, "nothing": null, "shape": [1], "": 1}, "loss": 2})");
  const RunRecord run = f.read();
  CHECK(run.spec.params.at("lr") == "0.1"); // what was asked for stays
  CHECK(run.params() ==
        std::map<std::string, std::string>{
            {"lr", "0.001"}, {"layers", "3"}, {"optimizer", "\"adam\""}, {"nesterov", "true"}});
  CHECK(run.metrics == std::map<std::string, double>{{"loss", 2}});
  CHECK(run.points == 0); // lines of params are no metrics of a moment
}

TEST_CASE("a param that is text of a number counts as one", "[track]") {
  CHECK(plain_param("\"0.1\"") == "0.1");
  CHECK(plain_param("\"-1e-5\"") == "-1e-5");
  for (const char* text : {"\"\"", "\"1.2.3\"", "\"0x10\"", "\"nan\"", "\"1 \"", "\"-\"", "7",
                           "true", "\"[1]\"", "\"01\""})
    CHECK(plain_param(text) == text);
}

TEST_CASE("tags of a program are tags of the run, one value a name", "[track]") {
  const Fixture f;
  f.say(R"({"tags": {"stage": "dev", "keep": "", "draft": "", "mlflow.user": "x", "a,b": ""}})");
  f.say(R"({"tags": {"stage": "prod", "draft": null, "bad": 3, "-x": ""}})");
  CHECK(f.read().tags == Texts{"keep", "stage=prod"});
}

TEST_CASE("a tag that a person took away stays away", "[track]") {
  const Fixture f;
  f.say(R"({"tags": {"keep": "", "x": ""}})");
  CHECK(tag_run(f.run, Texts{"mine"}, Texts{"keep"}));
  f.say(R"({"tags": {"keep": ""}})");
  CHECK(f.read().tags == Texts{"mine", "x"});
  CHECK(tag_run(f.run, Texts{"keep"}, {}));
  CHECK(f.read().tags == Texts{"keep", "mine", "x"});
}

TEST_CASE("no number of logged names makes a record large", "[track]") {
  Logged logged;
  for (int i = 0; i < 5'000; ++i)
    take_logged(logged, json_object({{"params", json_object({{"p" + std::to_string(i), i}})},
                                     {"tags", json_object({{"t" + std::to_string(i), "v"}})}}));
  CHECK(logged.params.size() == max_logged);
  CHECK(logged.tags.size() == max_logged);
  const std::string large(max_logged_value + 1, 'x');
  take_logged(logged, json_object({{"params", json_object({{"p0", large}})}}));
  CHECK(logged.params.at("p0") == "0");
  take_logged(logged, json_object({{"params", json_object({{"p0", 1}})}}));
  CHECK(logged.params.at("p0") == "1");
}
