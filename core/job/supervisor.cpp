// One loop around ppoll: signals come through a signalfd, everything else by time.
#include "core/job/supervisor.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/job/gang.hpp"
#include "core/job/host_queue.hpp"
#include "core/job/launch_environment.hpp"
#include "core/job/limits.hpp"
#include "core/job/log_bound.hpp"
#include "core/job/metrics_intake.hpp"
#include "core/job/outputs.hpp"
#include "core/job/program_output.hpp"
#include "core/job/run_secrets.hpp"
#include "core/job/signals.hpp"
#include "core/job/work.hpp"
#include "core/track/run_record.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <thread>

namespace mlp::job {

namespace {

using Clock = std::chrono::steady_clock;
using track::RunState;

constexpr std::chrono::milliseconds beat{200};
// The last word about a run is worth waiting for space on a full disk.
constexpr std::chrono::seconds last_word_patience{60};
constexpr off_t journal_reserve = 64 << 10;
constexpr std::chrono::milliseconds first_pause{250}, longest_pause{60'000};
constexpr std::chrono::milliseconds look_again{10'000}; // where no event told that it is time
constexpr std::size_t most_programs = 256;              // of a run, on one machine
constexpr const char* told_to_end = "its supervisor was told to end (SIGTERM)";

struct CancelWish {
  bool cancelled = false;
  bool now = false;
  std::string reason;
};
// Of the attempt that goes on: a new one begins at "queued".
CancelWish read_wish(const track::RunFolder& run) {
  CancelWish wish;
  track::read_journal(run.events(), 0, [&](const Json& record) {
    const std::string event = record.value("event", Json()).is_string()
                                  ? record["event"].get<std::string>()
                                  : std::string();
    // A supervisor that waits for its turn says so as "queued" again: the attempt is the same.
    if (event == "state" && record.value("state", Json()) == "queued" &&
        !record.contains("supervisor"))
      wish = {};
    if (event != "cancel") return;
    wish.cancelled = true;
    const Json now = record.value("now", Json(false));
    wish.now = wish.now || (now.is_boolean() && now.get<bool>());
    const Json reason = record.value("reason", Json(""));
    if (reason.is_string()) wish.reason = reason.get<std::string>();
  });
  return wish;
}

// How an attempt ended, before it is written down.
struct Outcome {
  RunState state = RunState::failed;
  std::string reason;
  std::optional<ProcessExit> exit;
  std::vector<std::string> hints;
  bool may_restart = false; // the program itself failed
  std::string process = {}; // "rank 3": of several, the one that failed first
};

// What the programs are called, if there are several.
std::vector<std::string> process_names(const std::vector<Placement>& placements,
                                       config::RunPer run_per) {
  std::vector<std::string> out;
  for (const Placement& place : placements)
    out.push_back(placements.size() == 1            ? std::string()
                  : run_per == config::RunPer::node ? fmt::format("node {}", place.node)
                                                    : fmt::format("rank {}", place.rank()));
  return out;
}

class Supervisor {
 public:
  Supervisor(const track::RunFolder& run, fs::path program, const SupervisorHooks& hooks)
      : run_(run), program_(std::move(program)), hooks_(hooks), writer_(run),
        out_bound_(run.stdout_log(), hooks.log_limit),
        err_bound_(run.stderr_log(), hooks.log_limit) {}

  void supervise(const track::RunRecord& record) {
    signals_ = open_signals();
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    reserve_journal();
    spec_ = record.spec;
    // What an attempt that was killed may have left would write into this one's files.
    if (record.attempts > 0) kill_leftovers(spec_.id);
    restarts_ = record.restarts;
    Outcome outcome;
    if (const std::optional<Outcome> ended = wait_for_turn()) {
      outcome = *ended;
    } else {
      begin_attempt("the supervisor prepares the job", nullptr);
      outcome = try_once();
    }
    while (outcome.may_restart && has_restart_left(outcome)) {
      Json previous = json_object({{"reason", outcome.reason}});
      if (outcome.exit) previous["exit_code"] = outcome.exit->code;
      const auto pause = next_pause();
      begin_attempt(
          fmt::format("{}; {} in {}", outcome.reason, restart_text(), format_duration(pause)),
          std::move(previous));
      const std::optional<Outcome> stopped = rest(pause);
      outcome = stopped ? *stopped : try_once();
    }
    keep_outputs(outcome);
    say_last_word(outcome);
  }

 private:
  // Those of a run that did not succeed are kept too.
  void keep_outputs(const Outcome& outcome) {
    try {
      store_outputs(run_, writer_, outcome.state != RunState::succeeded);
    } catch (const Error& error) {
      warn("the outputs are not in the object store: " + error.message());
    } catch (const std::exception& error) {
      warn(fmt::format("the outputs are not in the object store: {}", error.what()));
    }
  }

  void begin_attempt(const std::string& reason, Json previous) {
    Json details = json_object({{"supervisor", track::to_json(track::this_process())},
                                {"restarts", static_cast<unsigned>(restarts_)}});
    if (!previous.is_null()) details["previous"] = std::move(previous);
    writer_.state(RunState::starting, reason, std::move(details));
  }

  // Waits until this machine has what the task asks for, and then holds it until the supervisor
  // ends. What ended the wait early, if anything did.
  std::optional<Outcome> wait_for_turn() {
    try {
      const config::Task task = resolve_run_task(run_, spec_);
      const Demand demand = demand_of(task.resources, task.num_nodes);
      if (demand.empty()) return std::nullopt;
      place_.emplace(host_queue_folder(), host_capacity(), demand, spec_.id,
                     project_of(run_).root.native());
      bool said = false;
      while (!place_->try_start()) {
        if (!said)
          writer_.state(RunState::queued, place_->reason(),
                        json_object({{"supervisor", track::to_json(track::this_process())},
                                     {"restarts", static_cast<unsigned>(restarts_)}}));
        said = true;
        const CancelWish wish = read_wish(run_);
        if (wish.cancelled) return Outcome{RunState::cancelled, wish.reason, std::nullopt, {}};
        pollfd entries[] = {{signals_.fd(), POLLIN, 0}, {place_->descriptor(), POLLIN, 0}};
        ::poll(entries, 2, static_cast<int>(look_again.count()));
        if (take_signals(signals_) && !read_wish(run_).cancelled)
          return Outcome{RunState::preempted, told_to_end, std::nullopt, {}};
      }
      return std::nullopt;
    } catch (const Error& error) {
      return Outcome{RunState::failed, error.message(), std::nullopt, error.hints()};
    }
  }

  Outcome try_once() {
    Outcome outcome;
    try {
      outcome = attempt();
    } catch (const Error& error) {
      outcome = {RunState::failed, error.message(), std::nullopt, error.hints()};
    } catch (const std::exception& error) {
      outcome = {RunState::failed, error.what(), std::nullopt, {}};
    }
    kill_orphans();
    limits_.reset();
    outcome.reason = masked(outcome.reason);
    for (std::string& hint : outcome.hints)
      hint = masked(hint);
    output_.reset(); // these know the secrets
    intake_.reset();
    secrets_.reset();
    return outcome;
  }

  // Takes one of the restarts, unless the program asked for this one by its exit code.
  bool has_restart_left(const Outcome& outcome) {
    const config::JobRecovery& recovery = recovery_;
    asked_ = outcome.exit && outcome.exit->signal == 0 &&
             std::ranges::find(recovery.recover_on_exit_codes, outcome.exit->code) !=
                 recovery.recover_on_exit_codes.end();
    if (asked_) return true;
    if (restarts_ >= recovery.max_restarts_on_errors) return false;
    ++restarts_;
    return true;
  }
  [[nodiscard]] std::string restart_text() const {
    return asked_ ? "again"
                  : fmt::format("restart {} of {}", restarts_, recovery_.max_restarts_on_errors);
  }

  // Longer after each failure, unless the program had run for a while.
  std::chrono::milliseconds next_pause() {
    if (Clock::now() - started_ >= 10 * pause_) pause_ = first_pause;
    const auto pause = pause_;
    pause_ = std::min(pause_ * 2, longest_pause);
    return pause;
  }

  // Waits; what ended the wait early, if anything did.
  std::optional<Outcome> rest(std::chrono::milliseconds pause) {
    const auto until = Clock::now() + pause;
    while (Clock::now() < until) {
      wait(until);
      if (!take_signals(signals_)) continue;
      const CancelWish wish = read_wish(run_);
      if (wish.cancelled) return Outcome{RunState::cancelled, wish.reason, std::nullopt, {}};
      return Outcome{RunState::preempted, told_to_end, std::nullopt, {}};
    }
    return std::nullopt;
  }

  // So that the last event finds room on a disk that has become full.
  void reserve_journal() {
    const int fd = ::open(run_.events().c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    [[maybe_unused]] const int result =
        ::fallocate(fd, FALLOC_FL_KEEP_SIZE, ::lseek(fd, 0, SEEK_END), journal_reserve);
    ::close(fd);
  }

  void warn(const std::string& message) noexcept {
    try {
      writer_.event("warning", json_object({{"message", masked(message)}}));
    } catch (const std::exception&) { // the disk is full: the program matters more
    }
  }

  [[nodiscard]] std::string masked(const std::string& text) const {
    return secrets_ ? secrets_->masked().mask(text) : text;
  }
  [[nodiscard]] const secret::MaskedValues* secret_values() const {
    return secrets_ && !secrets_->masked().empty() ? &secrets_->masked() : nullptr;
  }

  // After the program has ended: its last words are in the logs when this returns.
  void finish_output() {
    if (!output_) return;
    output_->finish();
    const std::uint64_t lost = output_->lost();
    output_.reset();
    if (lost != 0) warn(fmt::format("{} of output could not be written", format_bytes(lost)));
  }

  Outcome attempt() {
    if (const CancelWish wish = read_wish(run_); wish.cancelled)
      return {RunState::cancelled, wish.reason, std::nullopt, {}};
    const Work work = work_of(run_, spec_, program_);
    recovery_ = work.task.job_recovery;
    if (!work.task.secrets.empty()) secrets_.emplace(resolve_secrets(work.task.secrets), run_.root);
    Gang gang;
    start(gang, work);
    const Outcome outcome = follow(gang, work);
    finish_output();
    take_metrics(true);
    return outcome.state == RunState::succeeded ? with_outputs(outcome, work) : outcome;
  }

  // If a program of several cannot be started, those before it are ended.
  void start(Gang& gang, const Work& work) {
    make_directories(run_.outs());
    make_directories(run_.checkpoints());
    File out = File::open_append(run_.stdout_log());
    File err = File::open_append(run_.stderr_log());
    const Json offsets = json_object({{"stdout", out.size()}, {"stderr", err.size()}});
    intake_.emplace(run_, secret_values());

    const std::vector<Placement> places = place_processes(
        work.task,
        std::vector<std::string>(static_cast<std::size_t>(work.task.num_nodes), "127.0.0.1"),
        free_ports(work.task.num_nodes * work.task.procs_per_node));
    if (places.size() > most_programs)
      throw Error(ErrorKind::config,
                  fmt::format("it asks for {} processes: one machine runs at most {}",
                              places.size(), most_programs));
    File::create(run_.host_file()).write(host_file(places.front()));
    names_ = process_names(places, work.task.run_per);
    if (places.size() > 1 || secret_values() != nullptr) {
      std::vector<std::string> prefixes;
      for (const std::string& name : names_)
        prefixes.push_back(name.empty() ? std::string() : line_prefix(name));
      output_.emplace(secret_values() != nullptr ? *secret_values() : no_secrets_, prefixes,
                      std::move(out), std::move(err));
    }
    limits_.emplace(spec_.id, work.task.resources, work.task.num_nodes);
    try {
      for (std::size_t i = 0; i < places.size(); ++i) {
        ProcessSpec spec;
        spec.arguments = work.arguments;
        spec.environment = environment_of(places[i], work);
        spec.directory = work.directory;
        spec.standard_output = output_ ? output_->standard_output(i) : out.fd();
        spec.standard_error = output_ ? output_->standard_error(i) : err.fd();
        spec.new_session = true;
        spec.dies_with_parent = true;
        gang.add(spawn_limited(spec));
      }
    } catch (const Error&) {
      if (gang.size() > 0) gang.wait();
      throw;
    }
    if (output_) output_->close_program_ends();
    started_ = Clock::now();
    writer_.state(RunState::running, "",
                  json_object({{"program", track::to_json(track::process_here(gang.pid()))},
                               {"log_offsets", offsets}}));
  }

  [[nodiscard]] std::map<std::string, std::string> environment_of(const Placement& place,
                                                                  const Work& work) const {
    std::map<std::string, std::string> environment = current_environment();
    for (auto& [name, value] : launch_environment(run_, spec_, code_of(run_, spec_), place))
      environment.insert_or_assign(name, value);
    if (place_ && !place_->gpus().empty())
      environment.insert_or_assign("CUDA_VISIBLE_DEVICES", join(gpus_of(place, work), ","));
    for (const auto& [name, value] : work.environment)
      environment.insert_or_assign(name, value);
    if (secrets_) secrets_->add_to(environment);
    return environment;
  }

  // Each node has its part of the GPUs; the processes of a node see the same ones, and choose by
  // LOCAL_RANK.
  [[nodiscard]] std::vector<std::string> gpus_of(const Placement& place, const Work& work) const {
    const std::vector<std::string>& all = place_->gpus();
    if (work.task.run_per == config::RunPer::job) return all;
    const std::size_t each = all.size() / place.hosts.size();
    const auto first =
        all.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(place.node) * each);
    return {first, first + static_cast<std::ptrdiff_t>(each)};
  }

  Process spawn_limited(const ProcessSpec& spec) {
    limits_->enter();
    struct Leave {
      ResourceLimits& limits;
      ~Leave() { limits.leave(); }
    } leave{*limits_};
    if (!limits_->unenforced().empty() && !limits_warned_)
      warn("resources are not enforced: " + join(limits_->unenforced(), "; "));
    limits_warned_ = true;
    return Process::spawn(spec);
  }

  // Until the programs have ended, and their groups with them. The first that fails ends all.
  Outcome follow(Gang& gang, const Work& work) {
    std::optional<Outcome> stopping; // somebody's wish, or a limit
    bool ending = false;
    std::optional<Clock::time_point> kill_at;
    const auto end_all = [&](bool now) {
      if (!ending) {
        gang.signal(SIGTERM);
        kill_at = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                     std::chrono::duration<double>(spec_.grace_seconds));
      }
      ending = true;
      if (now) kill_at = Clock::now();
    };
    const auto stop = [&](RunState state, std::string reason, bool now) {
      if (!stopping) stopping = Outcome{state, std::move(reason), std::nullopt, {}};
      end_all(now);
    };
    while (!gang.have_ended()) {
      if (gang.failure() && !ending) end_all(false);
      if (kill_at && Clock::now() >= *kill_at) {
        gang.signal(SIGKILL);
        kill_at.reset();
      }
      const auto& limit = work.task.resources.max_duration;
      if (limit && !stopping && Clock::now() - started_ > *limit)
        stop(RunState::failed,
             fmt::format("it ran longer than max_duration ({})", format_duration(*limit)), false);
      wait(kill_at);
      if (take_signals(signals_)) {
        const CancelWish wish = read_wish(run_);
        if (wish.cancelled)
          stop(RunState::cancelled, wish.reason, wish.now);
        else
          stop(RunState::preempted, told_to_end, false);
      }
      take_metrics(false);
      bound_logs(false);
    }
    bound_logs(true);
    const ProcessExit exit = gang.wait();
    if (stopping) {
      stopping->exit = exit;
      return *stopping;
    }
    return gang.failure() ? failed(*gang.failure()) : Outcome{RunState::succeeded, "", exit, {}};
  }

  [[nodiscard]] Outcome failed(const Gang::Failure& failure) const {
    const ProcessExit& exit = failure.exit;
    Outcome failed{RunState::failed, "", exit, {}, true};
    failed.process = names_[failure.program];
    const std::string who = failed.process.empty()
                                ? "the program"
                                : fmt::format("{} (of {})", failed.process, names_.size());
    failed.reason = exit.signal != 0
                        ? fmt::format("{} was ended by {}", who, signal_text(exit.signal))
                        : fmt::format("{} ended with exit code {}", who, exit.code);
    if (limits_ && limits_->ran_out_of_memory()) {
      failed.reason += ", after it ran out of the memory that it asked for";
      failed.hints.emplace_back("raise 'memory' under 'resources:' in mlp.yaml");
    } else if (exit.signal == SIGKILL) {
      failed.hints.emplace_back("it may have run out of memory");
    }
    return failed;
  }

  void wait(const std::optional<Clock::time_point>& until) {
    auto time = beat;
    if (until)
      time = std::clamp(std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now()),
                        std::chrono::milliseconds(0), beat);
    pollfd entry{signals_.fd(), POLLIN, 0};
    ::poll(&entry, 1, static_cast<int>(time.count()));
  }

  void bound_logs(bool last) {
    for (LogBound* log : {&out_bound_, &err_bound_}) {
      log->keep();
      const char* const name = log == &out_bound_ ? "stdout.log" : "stderr.log";
      if (last && log->left_out() > 0)
        warn(fmt::format("{} grew beyond {}: {} in its middle are left out", name,
                         format_bytes(hooks_.log_limit), format_bytes(log->left_out())));
      if (last && !log->problem().empty())
        warn(fmt::format("{} grew beyond {} and could not be cut ({})", name,
                         format_bytes(hooks_.log_limit), log->problem()));
    }
  }

  void take_metrics(bool last) {
    if (!intake_) return;
    try {
      intake_->take(last);
    } catch (const Error& error) {
      if (!intake_warned_) warn("metrics are not taken in: " + error.message());
      intake_warned_ = true;
    }
    if (last && intake_->refused() != 0)
      warn(fmt::format("{} {} of $MLP_METRICS left out; the first: {}", intake_->refused(),
                       intake_->refused() == 1 ? "line that is no JSON object was"
                                               : "lines that are no JSON objects were",
                       intake_->first_refused()));
  }

  Outcome with_outputs(Outcome outcome, const Work& work) {
    for (const std::string& out : work.task.outs) {
      std::error_code code;
      if (fs::exists(fs::symlink_status(run_.outs() / out, code))) continue;
      outcome.state = RunState::failed;
      outcome.reason = fmt::format("the program ended well but did not write '{}'", out);
      outcome.hints.emplace_back("outs are paths below $MLP_OUT_DIR");
      return outcome;
    }
    try {
      if (hooks_.store_outputs) hooks_.store_outputs(spec_, writer_);
    } catch (const Error& error) {
      outcome.state = RunState::failed;
      outcome.reason = error.message();
      outcome.hints = error.hints();
    }
    return outcome;
  }

  void say_last_word(const Outcome& outcome) {
    Json details = json_object();
    if (outcome.exit) details["exit_code"] = outcome.exit->code;
    if (!outcome.hints.empty()) details["hints"] = outcome.hints;
    if (!outcome.process.empty()) details["process"] = outcome.process;
    const auto deadline = Clock::now() + last_word_patience;
    while (true) {
      try {
        writer_.state(outcome.state, outcome.reason, details);
        return;
      } catch (const Error&) {
        if (Clock::now() > deadline) throw;
      }
      std::this_thread::sleep_for(std::chrono::seconds(1));
    }
  }

  track::RunFolder run_;
  fs::path program_;
  const SupervisorHooks& hooks_;
  track::RunWriter writer_;
  track::RunSpec spec_;
  File signals_;
  std::optional<QueuePlace> place_;
  std::optional<ResourceLimits> limits_;
  bool limits_warned_ = false;
  LogBound out_bound_, err_bound_;
  std::optional<RunSecrets> secrets_; // of the attempt that goes on
  const secret::MaskedValues no_secrets_{{}};
  std::optional<ProgramOutput> output_; // if there are secrets, or several programs
  std::vector<std::string> names_;      // of the programs
  std::optional<MetricsIntake> intake_;
  bool intake_warned_ = false;
  Clock::time_point started_{};
  config::JobRecovery recovery_;
  int restarts_ = 0;
  bool asked_ = false;
  std::chrono::milliseconds pause_ = first_pause;
};

} // namespace

void supervise(const track::RunFolder& run, const fs::path& program, const SupervisorHooks& hooks) {
  std::optional<FileLock> lock;
  try { // enqueue() holds it for a moment
    lock.emplace(run.supervisor_lock(), "this run", std::chrono::seconds(2));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::conflict) return;
    throw;
  }
  const track::RunRecord record = track::read_journals(run);
  if (record.state != RunState::pending && record.state != RunState::queued) return;
  Supervisor(run, program, hooks).supervise(record);
}

} // namespace mlp::job
