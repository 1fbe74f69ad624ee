// `mlp __trainer RUN_FOLDER`: the program of a run whose task has `trainer:`. To its supervisor it
// is a program like any other: metrics to $MLP_METRICS, lines to standard output, the model to
// $MLP_OUT_DIR/model. With several `devices` it starts itself again once for each.
#include "core/train/trainer.hpp"

#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/job/launch_environment.hpp"
#include "core/job/work.hpp"
#include "core/track/run_folder.hpp"
#include "core/train/devices.hpp"
#include "core/train/launcher.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>

namespace mlp {

namespace {

void write_line(std::string_view line) {
  File out(::dup(STDOUT_FILENO));
  out.write(std::string(line) + "\n");
}

// Metrics of one step arrive one by one and leave as one record.
class MetricLines {
 public:
  explicit MetricLines(const fs::path& path) : writer_(path) {}

  void add(std::string_view name, double value, std::int64_t step) {
    if (!record_.empty() && step != step_) flush();
    step_ = step;
    record_[std::string(name)] = value;
  }
  void flush() {
    if (record_.empty()) return;
    record_["step"] = step_;
    record_["time"] = format_time(wall_now());
    writer_.append(record_);
    record_ = json_object();
  }

 private:
  track::JournalWriter writer_;
  Json record_ = json_object();
  std::int64_t step_ = 0;
};

// Replaced by rename so that a reader never sees a part; not synced, for nobody needs it later.
void write_progress(const fs::path& path, const train::TrainerTick& tick) {
  const std::int64_t done = (tick.epoch - 1) * tick.samples_in_epoch + tick.samples;
  const std::string note = fmt::format(
      "epoch {}/{} · loss {:.4f} · {} samples/s · {} left", tick.epoch, tick.epochs, tick.loss,
      format_count(static_cast<std::uint64_t>(std::max(0.0, tick.samples_per_second))),
      format_duration(std::chrono::duration<double>(tick.seconds_left)));
  const Json record = json_object({{"epoch", tick.epoch},
                                   {"epochs", tick.epochs},
                                   {"samples_done", done},
                                   {"samples_total", tick.epochs * tick.samples_in_epoch},
                                   {"note", note}});
  fs::path temporary = path;
  temporary += ".new";
  File file = File::create(temporary);
  file.write(dump_json(record));
  std::rename(temporary.c_str(), path.c_str());
}

void write_result(const track::RunFolder& folder, const train::TrainerResult& result) {
  write_file_atomic(folder.root / "result.json",
                    dump_json_pretty(json_object({{"classes", result.classes},
                                                  {"epochs", result.epochs},
                                                  {"best_epoch", result.best_epoch},
                                                  {"early_stopped", result.early_stopped},
                                                  {"parameters", result.parameters},
                                                  {"train_rows", result.train_rows},
                                                  {"validation_rows", result.validation_rows},
                                                  {"test_rows", result.test_rows}})));
  std::error_code ignored;
  fs::remove(folder.progress(), ignored);
}

fs::path data_folder(const config::TrainerSpec& trainer, const track::RunSpec& spec) {
  const std::string& name = !trainer.data.dataset.empty() || spec.datasets.empty()
                                ? trainer.data.dataset
                                : spec.datasets.front().name;
  const std::string variable = job::data_variable(name);
  if (const auto path = get_env(variable.c_str())) return *path;
  throw Error(ErrorKind::config, fmt::format("the task does not say which dataset it trains on"))
      .with_hint("list it under 'data:' of the task in mlp.yaml");
}

// The training itself, alone or as one rank of several; only the first one reports.
void train_here(Session& session, const track::RunFolder& folder, const track::RunSpec& spec,
                const config::TrainerSpec& trainer, const train::TrainerPlace& place,
                bool first = true) {
  std::optional<MetricLines> metrics;
  train::TrainerEvents events;
  if (first) {
    metrics.emplace(folder.reported());
    events.on_metric = [&](std::string_view name, double value, std::int64_t step) {
      metrics->add(name, value, step);
    };
    events.on_message = [](std::string_view text) { write_line(text); };
    events.on_tick = [&](const train::TrainerTick& tick) {
      write_progress(folder.progress(), tick);
    };
    events.on_epoch = [&](std::string_view line, double seconds_left) {
      metrics->flush();
      write_line(fmt::format("{} · {} left", line,
                             format_duration(std::chrono::duration<double>(seconds_left))));
    };
  }
  const train::TrainerFolders folders{.data = data_folder(trainer, spec),
                                      .output = folder.outs() / "model",
                                      .checkpoints = folder.checkpoints()};
  const train::TrainerResult result =
      train::run_trainer(trainer, folders, events, session.stop_token(), place);
  if (first) {
    // The model's own values last: with early stopping they are not those of the last epoch.
    for (const auto& [name, value] : result.metrics)
      metrics->add(name, value, result.epochs);
    metrics->flush();
    write_result(folder, result);
  }
  if (result.interrupted) throw Error(ErrorKind::interrupted, "interrupted; a checkpoint is kept");
}

// A rank says how it ended to the process that has started it, which tells the user.
void run_rank(Session& session, const track::RunFolder& folder, const track::RunSpec& spec,
              const config::TrainerSpec& trainer, const train::RankPlace& place) {
  std::unique_ptr<kernels::Collective> collective;
  try {
    collective = train::join_ranks(place);
    train_here(session, folder, spec, trainer,
               {.gpu = place.gpu, .threads = place.threads, .collective = collective.get()},
               place.rank == 0);
  } catch (const Error& error) {
    train::report_end(place, error, collective.get());
    session.set_verdict(error.kind());
  }
}

void run(Session& session) {
  const track::RunFolder folder{fs::absolute(*session.arguments().get("RUN_FOLDER"))};
  const track::RunSpec spec = track::read_run_spec(folder);
  const config::Task task = job::resolve_run_task(folder, spec);
  if (!task.trainer)
    throw Error(ErrorKind::config, fmt::format("task '{}' has no 'trainer'", spec.task));
  const config::TrainerSpec& trainer = *task.trainer;
  if (const auto place = train::rank_place())
    return run_rank(session, folder, spec, trainer, *place);

  const train::DevicePlan plan = train::choose_devices(trainer.devices);
  write_line(plan.message);
  if (plan.gpus.size() == 1)
    return train_here(session, folder, spec, trainer, {.gpu = plan.gpus.front()});
  train::run_ranks({.command = {this_executable().native(), "__trainer", folder.root.native()},
                    .gpus = plan.gpus,
                    .threads = trainer.threads,
                    .on_message = [](std::string_view text) { write_line(text); }},
                   session.stop_token());
}

} // namespace

extern const Command trainer_command;
const Command trainer_command = {.path = "__trainer",
                                 .summary =
                                     "train with the built-in trainer; started by mlp itself",
                                 .category = Category::hidden,
                                 .arguments = {{.name = "RUN_FOLDER", .help = "the run's folder"}},
                                 .run = run};

} // namespace mlp
