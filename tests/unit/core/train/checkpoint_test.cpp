// A checkpoint comes back as it was, and what is damaged or foreign is refused.
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/train/checkpoint.hpp"

#include <catch2/catch.hpp>

#include <fstream>

using namespace mlp;
using namespace mlp::train;

namespace {

Checkpoint example() {
  Checkpoint c;
  c.identity = sha256("this training");
  c.epoch = 3;
  c.samples = 640;
  c.step = 1234;
  c.stats = {.loss = 1.5, .weight = 640, .correct = 500, .rows = 640};
  c.seconds = 2.25;
  c.stopping = {.best = 0.875, .best_epoch = 2, .reference = 0.8, .reference_epoch = 1};
  c.values = {1.0F, -2.0F, 3.0F};
  c.optimizer = {0.1F, 0.2F, 0.3F, 0.4F, 0.5F, 0.6F};
  c.best_values = {4.0F, 5.0F, 6.0F};
  return c;
}

void overwrite(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

ErrorKind kind_of_reading(const std::filesystem::path& path, const Digest& identity) {
  try {
    (void)read_checkpoint(path, identity);
  } catch (const Error& error) {
    CHECK(error.message().find(path.string()) != std::string::npos);
    CHECK_FALSE(error.hints().empty());
    return error.kind();
  }
  FAIL("it was read");
  return ErrorKind::failed;
}

} // namespace

TEST_CASE("a checkpoint comes back as it was written") {
  const TemporaryDirectory folder;
  const auto path = folder.path() / "checkpoint";
  CHECK_FALSE(read_checkpoint(path, {}).has_value());
  const Checkpoint c = example();
  write_checkpoint(path, c);
  const auto back = read_checkpoint(path, c.identity);
  REQUIRE(back.has_value());
  CHECK(back->epoch == c.epoch);
  CHECK(back->samples == c.samples);
  CHECK(back->step == c.step);
  CHECK(back->stats.loss == c.stats.loss);
  CHECK(back->stats.rows == c.stats.rows);
  CHECK(back->seconds == c.seconds);
  CHECK(back->stopping.best == c.stopping.best);
  CHECK(back->stopping.reference_epoch == c.stopping.reference_epoch);
  CHECK(back->values == c.values);
  CHECK(back->statistics.empty());
  CHECK(back->optimizer == c.optimizer);
  CHECK(back->best_values == c.best_values);
}

TEST_CASE("any flipped byte, cut or added tail of a checkpoint is found") {
  const TemporaryDirectory folder;
  const auto path = folder.path() / "checkpoint";
  const Checkpoint c = example();
  write_checkpoint(path, c);
  const std::string whole = read_file(path);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    overwrite(path, damaged);
    const ErrorKind kind = kind_of_reading(path, c.identity);
    CAPTURE(i);
    CHECK((kind == ErrorKind::integrity || (i == 7 && kind == ErrorKind::failed)));
  }
  for (std::size_t size = 0; size < whole.size(); size += 5) {
    overwrite(path, whole.substr(0, size));
    CHECK(kind_of_reading(path, c.identity) == ErrorKind::integrity);
  }
  overwrite(path, whole + "x");
  CHECK(kind_of_reading(path, c.identity) == ErrorKind::integrity);
}

TEST_CASE("the checkpoint of another training is a conflict") {
  const TemporaryDirectory folder;
  const auto path = folder.path() / "checkpoint";
  write_checkpoint(path, example());
  CHECK(kind_of_reading(path, sha256("another training")) == ErrorKind::conflict);
}
