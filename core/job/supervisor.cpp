// One loop around ppoll: signals come through a signalfd, everything else by time.
#include "core/job/supervisor.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/job/host_queue.hpp"
#include "core/job/launch_environment.hpp"
#include "core/job/limits.hpp"
#include "core/job/log_bound.hpp"
#include "core/job/machine_samples.hpp"
#include "core/job/masked_output.hpp"
#include "core/job/metrics_intake.hpp"
#include "core/job/run_secrets.hpp"
#include "core/job/tensorboard_intake.hpp"
#include "core/job/work.hpp"
#include "core/track/run_record.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
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
constexpr const char* told_to_end = "its supervisor was told to end (SIGTERM)";

// Blocks SIGTERM, SIGINT and SIGCHLD for the process and reads them from a descriptor.
File open_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGCHLD})
    ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) throw system_error(errno, "block", "signals");
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  const int fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) throw system_error(errno, "wait for", "signals");
  return File(fd);
}

// True if one of them asks us to stop.
bool take_signals(const File& signals) {
  bool stop = false;
  signalfd_siginfo info{};
  while (::read(signals.fd(), &info, sizeof info) == static_cast<ssize_t>(sizeof info))
    stop = stop || info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
  return stop;
}

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

// True if the child has ended; it stays a zombie, so that its group id is not reused.
bool has_ended(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid;
}

// Whatever the program left: its group is gone by now, what had left the group became our child.
void kill_orphans() {
  const fs::path children = fmt::format("/proc/self/task/{}/children", ::getpid());
  for (int round = 0; round < 50; ++round) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    std::string list;
    try {
      list = read_file(children);
    } catch (const Error&) {
      return;
    }
    bool any = false;
    for (const std::string& word : split(list, ' ')) {
      const pid_t pid = static_cast<pid_t>(std::strtol(word.c_str(), nullptr, 10));
      if (pid <= 0) continue;
      any = true;
      ::kill(pid, SIGKILL);
    }
    if (!any) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::string signal_text(int number) {
  const char* name = ::sigabbrev_np(number);
  return name == nullptr ? fmt::format("signal {}", number) : fmt::format("SIG{}", name);
}

// How an attempt ended, before it is written down.
struct Outcome {
  RunState state = RunState::failed;
  std::string reason;
  std::optional<ProcessExit> exit;
  std::vector<std::string> hints;
  bool may_restart = false; // the program itself failed
};

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
    say_last_word(outcome);
  }

 private:
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
      const Demand demand = demand_of(resolve_run_task(run_, spec_).resources);
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
    samples_.reset(); // these know the secrets
    endpoint_.reset();
    output_.reset();
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
    Process process = start(work);
    const Outcome outcome = follow(process, work);
    samples_.reset();
    finish_output();
    close_endpoint();
    take_metrics(true);
    take_event_files(work);
    return outcome.state == RunState::succeeded ? with_outputs(outcome, work) : outcome;
  }

  Process start(const Work& work) {
    make_directories(run_.outs());
    make_directories(run_.checkpoints());
    File out = File::open_append(run_.stdout_log());
    File err = File::open_append(run_.stderr_log());
    const Json offsets = json_object({{"stdout", out.size()}, {"stderr", err.size()}});
    intake_.emplace(run_, secret_values());

    Placement placement;
    placement.port = free_port();
    std::map<std::string, std::string> environment = current_environment();
    for (auto& [name, value] : launch_environment(run_, spec_, project_of(run_).root, placement))
      environment.insert_or_assign(name, value);
    if (place_ && !place_->gpus().empty())
      environment.insert_or_assign("CUDA_VISIBLE_DEVICES", join(place_->gpus(), ","));
    open_endpoint(work, environment);
    for (const auto& [name, value] : work.environment)
      environment.insert_or_assign(name, value);
    if (secrets_) secrets_->add_to(environment);

    ProcessSpec spec;
    spec.arguments = work.arguments;
    spec.environment = std::move(environment);
    spec.directory = work.directory;
    spec.standard_output = out.fd();
    spec.standard_error = err.fd();
    if (const secret::MaskedValues* values = secret_values()) {
      output_.emplace(*values, std::move(out), std::move(err));
      spec.standard_output = output_->standard_output();
      spec.standard_error = output_->standard_error();
    }
    spec.new_session = true;
    spec.dies_with_parent = true;
    Process process = spawn_limited(spec, work.task.resources);
    if (output_) output_->close_program_ends();
    if (endpoint_) endpoint_->start();
    start_samples(*spec.environment);
    started_ = Clock::now();
    writer_.state(RunState::running, "",
                  json_object({{"program", track::to_json(track::process_here(process.pid()))},
                               {"log_offsets", offsets}}));
    return process;
  }

  void start_samples(const std::map<std::string, std::string>& environment) {
    if (hooks_.sample_interval.count() == 0) return;
    SampleOptions options{hooks_.sample_interval, std::nullopt};
    if (const auto found = environment.find("CUDA_VISIBLE_DEVICES"); found != environment.end())
      options.visible_gpus = found->second;
    try {
      samples_.emplace(run_, options, secret_values());
    } catch (const std::exception& error) {
      warn(std::string("the machine is not sampled: ") + error.what());
    }
  }

  void open_endpoint(const Work& work, std::map<std::string, std::string>& environment) {
    if (!hooks_.open_endpoint || work.task.trainer ||
        work.environment.contains("MLFLOW_TRACKING_URI"))
      return;
    try {
      endpoint_ = hooks_.open_endpoint(run_, spec_, secret_values());
      endpoint_->add_to(environment);
    } catch (const Error& error) {
      endpoint_.reset();
      warn("there is no MLflow endpoint: " + error.message());
    }
  }
  void close_endpoint() {
    if (!endpoint_) return;
    endpoint_->stop();
    for (const std::string& problem : endpoint_->problems())
      warn(problem);
    endpoint_.reset();
  }

  Process spawn_limited(const ProcessSpec& spec, const config::Resources& resources) {
    limits_.emplace(spec_.id, resources);
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

  // Until the program has ended, and its group with it.
  Outcome follow(Process& process, const Work& work) {
    std::optional<Outcome> stopping;
    std::optional<Clock::time_point> kill_at;
    const auto stop = [&](RunState state, std::string reason, bool now) {
      if (!stopping) {
        stopping = Outcome{state, std::move(reason), std::nullopt, {}};
        process.signal(SIGTERM, true);
        kill_at = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                     std::chrono::duration<double>(spec_.grace_seconds));
      }
      if (now) kill_at = Clock::now();
    };
    while (!has_ended(process.pid())) {
      if (kill_at && Clock::now() >= *kill_at) {
        process.signal(SIGKILL, true);
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
    process.signal(SIGKILL, true); // what is left of its group
    const ProcessExit exit = process.wait();
    if (stopping) {
      stopping->exit = exit;
      return *stopping;
    }
    if (exit.code == 0 && exit.signal == 0) return {RunState::succeeded, "", exit, {}};
    Outcome failed{RunState::failed, "", exit, {}, true};
    if (exit.signal != 0)
      failed.reason = fmt::format("the program was ended by {}", signal_text(exit.signal));
    else
      failed.reason = fmt::format("the program ended with exit code {}", exit.code);
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

  void take_event_files(const Work& work) {
    if (work.task.trainer) return;
    try {
      for (const std::string& problem : take_tensorboard(run_, secret_values()).problems)
        warn(problem);
    } catch (const std::exception& error) {
      warn(std::string("TensorBoard's event files are not taken in: ") + error.what());
    }
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
  std::optional<RunSecrets> secrets_;  // of the attempt that goes on
  std::optional<MaskedOutput> output_; // if it has any
  std::optional<MetricsIntake> intake_;
  std::unique_ptr<Endpoint> endpoint_;
  std::optional<MachineSamples> samples_;
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
