// Tags and notes of runs, as events that anyone may have written.
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/track/annotations.hpp"
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
    return create_run(folder.path() / "runs", spec, "", "test");
  }
  [[nodiscard]] RunRecord read() const { return read_journals(run); }
};

using Texts = std::vector<std::string>;

} // namespace

TEST_CASE("tags are added and removed, and what is already so is no event", "[track]") {
  const Fixture f;
  CHECK(tag_run(f.run, Texts{"b", "a", "b"}, {}));
  CHECK(f.read().tags == Texts{"a", "b"});
  const auto size = fs::file_size(f.run.events());
  CHECK_FALSE(tag_run(f.run, Texts{"a"}, {}));
  CHECK_FALSE(tag_run(f.run, {}, Texts{"never"}));
  CHECK(fs::file_size(f.run.events()) == size);
  CHECK(tag_run(f.run, Texts{"c"}, Texts{"a"}));
  CHECK(f.read().tags == Texts{"b", "c"});
}

TEST_CASE("the last note counts, and an empty one takes it away", "[track]") {
  const Fixture f;
  CHECK_FALSE(note_run(f.run, ""));
  CHECK(note_run(f.run, "one"));
  CHECK(note_run(f.run, "two\nlines"));
  CHECK_FALSE(note_run(f.run, "two\nlines"));
  CHECK(f.read().note == "two\nlines");
  CHECK(note_run(f.run, ""));
  CHECK(f.read().note.empty());
  CHECK_THROWS_AS(note_run(f.run, "\xff"), Error);
  CHECK_THROWS_AS(note_run(f.run, std::string(max_note_bytes + 1, 'x')), Error);
}

TEST_CASE("a tag that cannot be written on a line of its own is refused", "[track]") {
  const Fixture f;
  for (const std::string& tag :
       Texts{"", "a,b", "-x", " a", "a ", "a\nb", "\x1b[1m", "\xff", std::string(129, 'x')})
    CHECK_THROWS_AS(tag_run(f.run, Texts{tag}, {}), Error);
  for (const std::string& tag : Texts{"v1.2", "team/vision", "größe", "a b", "k=v"})
    CHECK_NOTHROW(check_tag(tag));
  Texts many;
  for (std::size_t i = 0; i <= max_tags; ++i)
    many.push_back("t" + std::to_string(i));
  CHECK_THROWS_AS(tag_run(f.run, many, {}), Error);
  CHECK(f.read().tags.empty());
}

TEST_CASE("hostile events leave tags valid and bounded", "[track]") {
  const Fixture f;
  RunWriter writer(f.run);
  writer.event("tag", json_object({{"add", "text"}}));
  writer.event("tag", json_object({{"add", Texts{"ok", "a,b", "\x1b[2J", std::string(500, 'x')}}}));
  writer.event("note", json_object({{"text", 5}}));
  for (int i = 0; i < 300; ++i)
    writer.event("tag",
                 json_object({{"add", Texts{"m" + std::to_string(i)}}, {"remove", nullptr}}));
  writer.event("note", json_object({{"text", std::string(100'000, 'n')}}));
  const RunRecord run = f.read();
  CHECK(run.tags.size() == max_tags);
  CHECK(run.note.size() == max_note_bytes);
  CHECK(std::ranges::find(run.tags, "a,b") == run.tags.end());
}
