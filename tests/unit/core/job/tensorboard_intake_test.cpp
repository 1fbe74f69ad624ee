// Event files in a run's outs as metrics of the run.
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/job/tensorboard_intake.hpp"
#include "core/track/run_record.hpp"
#include "tests/unit/core/track/event_bytes.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::job;
using namespace mlp::test;

namespace {

struct Fixture {
  TemporaryDirectory folder;
  track::RunFolder run = make();

  track::RunFolder make() const {
    track::RunSpec spec;
    spec.created = wall_now();
    spec.id = new_run_id(spec.created);
    spec.task = "train";
    return track::create_run(folder.path() / "runs", spec, "", "test");
  }
  void append(const std::string& path, const std::string& bytes) const {
    make_directories((run.outs() / path).parent_path());
    File::open_append(run.outs() / path).write(bytes);
  }
  [[nodiscard]] std::map<std::string, double> metrics() const {
    return track::read_journals(run).metrics;
  }
};

using Metrics = std::map<std::string, double>;

} // namespace

TEST_CASE("one folder of event files gives plain names", "[job][tensorboard]") {
  const Fixture f;
  f.append("tb/events.out.tfevents.1.h", record(event(1e9, 1, simple("loss", 0.5F))) +
                                             record(event(1e9, 2, simple("loss", 0.25F))));
  f.append("tb/notes.txt", "no event file");
  const TensorboardTaken taken = take_tensorboard(f.run, nullptr);
  CHECK(taken.files == 1);
  CHECK(taken.scalars == 2);
  CHECK(taken.problems.empty());
  CHECK(f.metrics() == Metrics{{"loss", 0.25}});
  CHECK(read_file(f.run.metrics()) ==
        "{\"time\":\"2001-09-09T01:46:40.000Z\",\"step\":1,\"loss\":0.5}\n"
        "{\"time\":\"2001-09-09T01:46:40.000Z\",\"step\":2,\"loss\":0.25}\n");
}

TEST_CASE("several folders below a log folder are told apart by their paths from there",
          "[job][tensorboard]") {
  const Fixture f;
  f.append("logs/train/events.out.tfevents.1.h.v2", record(event(1e9, 1, simple("epoch_loss", 1))));
  f.append("logs/validation/events.out.tfevents.2.h.v2",
           record(event(1e9, 1, simple("epoch_loss", 2))));
  take_tensorboard(f.run, nullptr);
  CHECK(f.metrics() == Metrics{{"train/epoch_loss", 1}, {"validation/epoch_loss", 2}});
}

TEST_CASE("scalars of one step that come together share a line", "[job][tensorboard]") {
  const Fixture f;
  f.append("events.out.tfevents.1.h", record(event(1e9, 1, simple("a", 1))) +
                                          record(event(1e9 + 0.01, 1, simple("b", 2))) +
                                          record(event(1e9 + 0.02, 1, simple("step", 3))) +
                                          record(event(1e9 + 0.03, 1, simple("a", 4))));
  take_tensorboard(f.run, nullptr);
  CHECK(read_file(f.run.metrics()) ==
        "{\"time\":\"2001-09-09T01:46:40.000Z\",\"step\":1,\"a\":1,\"b\":2,\"step_value\":3}\n"
        "{\"time\":\"2001-09-09T01:46:40.000Z\",\"step\":1,\"a\":4}\n");
}

TEST_CASE("a later attempt takes in what is new, and a torn tail when it is whole",
          "[job][tensorboard]") {
  const Fixture f;
  const std::string second = record(event(1e9, 2, simple("loss", 2)));
  f.append("tb/events.out.tfevents.1.h",
           record(event(1e9, 1, simple("loss", 1))) + second.substr(0, 20));
  CHECK(take_tensorboard(f.run, nullptr).scalars == 1);
  CHECK(take_tensorboard(f.run, nullptr).scalars == 0);
  f.append("tb/events.out.tfevents.1.h", second.substr(20));
  f.append("tb/events.out.tfevents.2.h", record(event(1e9, 3, simple("loss", 3))));
  CHECK(take_tensorboard(f.run, nullptr).scalars == 2);
  CHECK(track::read_journals(f.run).points == 3);
  CHECK(f.metrics() == Metrics{{"loss", 3}});
  // A state that is damaged costs lines that are there twice, and nothing else.
  write_file_atomic(f.run.root / "tensorboard.json", "{\"files\": [3]}");
  CHECK(take_tensorboard(f.run, nullptr).scalars == 3);
}

TEST_CASE("damage in an event file is said, and the other files are read", "[job][tensorboard]") {
  const Fixture f;
  f.append("tb/a.tfevents.1", record(event(1e9, 1, simple("a", 1))) + "not a record at all");
  f.append("tb/b.tfevents.1", record(event(1e9, 1, simple("b", 1))));
  fs::create_symlink("/dev/zero", f.run.outs() / "tb/c.tfevents.1");
  fs::create_directory_symlink(f.run.outs(), f.run.outs() / "tb/loop");
  const TensorboardTaken taken = take_tensorboard(f.run, nullptr);
  REQUIRE(taken.problems.size() == 1);
  CHECK(taken.problems.front().find("'tb/a.tfevents.1' is damaged from byte") == 0);
  CHECK(f.metrics() == Metrics{{"a", 1}, {"b", 1}});
}

TEST_CASE("secrets are masked in names of scalars", "[job][tensorboard]") {
  const Fixture f;
  f.append("a.tfevents.1", record(event(1e9, 1, simple("of hunter22", 1))));
  const std::vector<std::string> texts = {"hunter22"};
  const secret::MaskedValues secrets(texts);
  take_tensorboard(f.run, &secrets);
  CHECK(f.metrics() == Metrics{{"of ***", 1}});
}
