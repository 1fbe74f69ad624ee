// From its turn in the queue, over its attempts, to the last word.
#include "core/job/supervisor.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/job/attempt.hpp"
#include "core/job/host_queue.hpp"
#include "core/job/outputs.hpp"
#include "core/job/signals.hpp"
#include "core/job/work.hpp"

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

// The last word about a run is worth waiting for space on a full disk.
constexpr std::chrono::seconds last_word_patience{60};
constexpr off_t journal_reserve = 64 << 10;
constexpr std::chrono::milliseconds first_pause{250}, longest_pause{60'000};
constexpr std::chrono::milliseconds look_again{10'000}; // where no event told that it is time

class Supervisor {
 public:
  Supervisor(const track::RunFolder& run, const fs::path& program, const SupervisorHooks& hooks)
      : context_(run, program, hooks) {}

  void supervise(const track::RunRecord& record) {
    context_.signals = open_signals();
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    reserve_journal();
    context_.spec = record.spec;
    // What an attempt that was killed may have left would write into this one's files.
    if (record.attempts > 0) kill_leftovers(context_.spec.id);
    restarts_ = record.restarts;
    Outcome outcome;
    if (const std::optional<Outcome> ended = wait_for_turn()) {
      outcome = *ended;
    } else {
      begin_attempt("the supervisor prepares the job", nullptr);
      outcome = run_attempt(context_);
    }
    while (outcome.may_restart && has_restart_left(outcome)) {
      Json previous = json_object({{"reason", outcome.reason}});
      if (outcome.exit) previous["exit_code"] = outcome.exit->code;
      const auto pause = next_pause();
      begin_attempt(
          fmt::format("{}; {} in {}", outcome.reason, restart_text(), format_duration(pause)),
          std::move(previous));
      const std::optional<Outcome> stopped = rest(pause);
      outcome = stopped ? *stopped : run_attempt(context_);
    }
    keep_outputs(outcome);
    say_last_word(outcome);
  }

 private:
  // Those of a run that did not succeed are kept too.
  void keep_outputs(const Outcome& outcome) noexcept {
    try {
      try {
        store_outputs(context_.run, context_.writer, outcome.state != RunState::succeeded);
      } catch (const std::exception& error) {
        context_.writer.event(
            "warning",
            json_object({{"message", fmt::format("the outputs are not in the object store: {}",
                                                 error.what())}}));
      }
    } catch (const std::exception&) { // the disk is full: the last word matters more
    }
  }

  void begin_attempt(const std::string& reason, Json previous) {
    Json details = json_object({{"supervisor", track::to_json(track::this_process())},
                                {"restarts", static_cast<unsigned>(restarts_)}});
    if (!previous.is_null()) details["previous"] = std::move(previous);
    context_.writer.state(RunState::starting, reason, std::move(details));
  }

  // Waits until this machine has what the task asks for, and then holds it until the supervisor
  // ends. What ended the wait early, if anything did.
  std::optional<Outcome> wait_for_turn() {
    try {
      const config::Task task = resolve_run_task(context_.run, context_.spec);
      const Demand demand = demand_of(task.resources, task.num_nodes);
      if (demand.empty()) return std::nullopt;
      context_.place.emplace(host_queue_folder(), host_capacity(), demand, context_.spec.id,
                             project_of(context_.run).root.native());
      bool said = false;
      while (!context_.place->try_start()) {
        if (!said)
          context_.writer.state(RunState::queued, context_.place->reason(),
                                json_object({{"supervisor", track::to_json(track::this_process())},
                                             {"restarts", static_cast<unsigned>(restarts_)}}));
        said = true;
        const CancelWish wish = read_wish(context_.run);
        if (wish.cancelled) return Outcome{RunState::cancelled, wish.reason, std::nullopt, {}};
        pollfd entries[] = {{context_.signals.fd(), POLLIN, 0},
                            {context_.place->descriptor(), POLLIN, 0}};
        ::poll(entries, 2, static_cast<int>(look_again.count()));
        if (take_signals(context_.signals) && !read_wish(context_.run).cancelled)
          return Outcome{RunState::preempted, told_to_end, std::nullopt, {}};
      }
      return std::nullopt;
    } catch (const Error& error) {
      return Outcome{RunState::failed, error.message(), std::nullopt, error.hints()};
    }
  }

  // Takes one of the restarts, unless the program asked for this one by its exit code.
  bool has_restart_left(const Outcome& outcome) {
    const config::JobRecovery& recovery = context_.recovery;
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
                  : fmt::format("restart {} of {}", restarts_,
                                context_.recovery.max_restarts_on_errors);
  }

  // Longer after each failure, unless the program had run for a while.
  std::chrono::milliseconds next_pause() {
    if (Clock::now() - context_.started >= 10 * pause_) pause_ = first_pause;
    const auto pause = pause_;
    pause_ = std::min(pause_ * 2, longest_pause);
    return pause;
  }

  // Waits; what ended the wait early, if anything did.
  std::optional<Outcome> rest(std::chrono::milliseconds pause) {
    const auto until = Clock::now() + pause;
    while (Clock::now() < until) {
      wait_a_beat(context_, until);
      if (!take_signals(context_.signals)) continue;
      const CancelWish wish = read_wish(context_.run);
      if (wish.cancelled) return Outcome{RunState::cancelled, wish.reason, std::nullopt, {}};
      return Outcome{RunState::preempted, told_to_end, std::nullopt, {}};
    }
    return std::nullopt;
  }

  // So that the last event finds room on a disk that has become full.
  void reserve_journal() {
    const int fd = ::open(context_.run.events().c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    [[maybe_unused]] const int result =
        ::fallocate(fd, FALLOC_FL_KEEP_SIZE, ::lseek(fd, 0, SEEK_END), journal_reserve);
    ::close(fd);
  }

  void say_last_word(const Outcome& outcome) {
    Json details = json_object();
    if (outcome.exit) details["exit_code"] = outcome.exit->code;
    if (!outcome.hints.empty()) details["hints"] = outcome.hints;
    if (!outcome.process.empty()) details["process"] = outcome.process;
    const auto deadline = Clock::now() + last_word_patience;
    while (true) {
      try {
        context_.writer.state(outcome.state, outcome.reason, details);
        return;
      } catch (const Error&) {
        if (Clock::now() > deadline) throw;
      }
      std::this_thread::sleep_for(std::chrono::seconds(1));
    }
  }

  RunContext context_;
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
