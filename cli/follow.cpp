// Polls the backend: its states and logs, whatever place that is.
#include "cli/follow.hpp"

#include "cli/runs.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/job/supervisor.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

namespace mlp {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds shortest_pause{10};
constexpr std::chrono::milliseconds longest_pause{100};
constexpr std::chrono::seconds status_interval{1};
constexpr std::size_t chunk_bytes = 64u << 10;

std::atomic<int> interrupts_seen{0}, terminations_seen{0};

void on_signal(int number) {
  (number == SIGINT ? interrupts_seen : terminations_seen).fetch_add(1, std::memory_order_relaxed);
}

bool can_ask(const Output& output) {
  const OutputOptions& options = output.options();
  return !options.json && !options.quiet && ::isatty(STDIN_FILENO) == 1 &&
         ::isatty(STDERR_FILENO) == 1;
}

enum class Answer { detach, cancel, go_on };

// A line of the terminal; one more signal, or the end of the input, cancels.
Answer ask_user(Output& output, const CancelWishes& wishes) {
  output.status("Ctrl-C: [d]etach and let the run go on, [c]ancel it, or Enter to go on watching?");
  const int before = wishes.interrupts() + wishes.terminations();
  std::string line;
  while (wishes.interrupts() + wishes.terminations() == before) {
    pollfd entry{STDIN_FILENO, POLLIN, 0};
    if (::poll(&entry, 1, static_cast<int>(longest_pause.count())) <= 0) continue;
    char c = 0;
    if (::read(STDIN_FILENO, &c, 1) != 1) break;
    if (c != '\n') {
      line += c;
      continue;
    }
    const std::string answer(trim(line));
    if (answer == "d" || answer == "detach") return Answer::detach;
    if (answer == "c" || answer == "cancel") return Answer::cancel;
    if (answer.empty()) return Answer::go_on;
    output.status("d, c or Enter?");
    line.clear();
  }
  return Answer::cancel;
}

// Whole lines of one stream, as they come.
class LogLines {
 public:
  LogLines(job::Backend& backend, const std::string& handle, job::LogStream stream)
      : backend_(backend), handle_(handle), stream_(stream) {}

  // Calls `each` for every line; at the end also for a last one without its newline.
  template <class Each>
  bool take(bool ended, const Each& each) {
    bool any = false;
    while (true) {
      const job::LogChunk chunk = backend_.logs(handle_, stream_, offset_, chunk_bytes);
      offset_ = chunk.next;
      rest_ += chunk.text;
      any = any || !chunk.text.empty();
      std::size_t start = 0;
      for (std::size_t end = 0; (end = rest_.find('\n', start)) != std::string::npos;
           start = end + 1)
        each(std::string_view(rest_).substr(start, end - start));
      rest_.erase(0, start);
      if (rest_.size() > chunk_bytes) { // a line without end
        each(rest_);
        rest_.clear();
      }
      if (!chunk.more) break;
    }
    if (ended && !rest_.empty()) {
      each(rest_);
      rest_.clear();
    }
    return any;
  }
  void skip_to(std::uint64_t offset) { offset_ = offset; }

 private:
  job::Backend& backend_;
  const std::string& handle_;
  job::LogStream stream_;
  std::uint64_t offset_ = 0;
  std::string rest_;
};

std::uint64_t size_of(const fs::path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

// progress.json of the built-in trainer as a note for the progress line.
class TrainerProgress {
 public:
  explicit TrainerProgress(fs::path path) : path_(std::move(path)) {}

  void show(Progress& progress) {
    Json tick;
    try {
      const auto text = read_file_if_exists(path_, 64u << 10);
      if (!text) return;
      tick = parse_json(*text, "progress");
      const auto samples = static_cast<std::uint64_t>(json_int(tick, "samples_done", "progress"));
      const auto total = static_cast<std::uint64_t>(json_int(tick, "samples_total", "progress"));
      if (!begun_) progress.begin("training", total, ProgressUnit::count);
      begun_ = true;
      if (samples > shown_) progress.advance(samples - shown_);
      shown_ = std::max(shown_, samples);
      progress.note(json_string(tick, "note", "progress"));
    } catch (const Error&) { // replaced while it was read: the next is near
    }
  }

 private:
  fs::path path_;
  bool begun_ = false;
  std::uint64_t shown_ = 0;
};

} // namespace

CancelWishes::CancelWishes() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

int CancelWishes::interrupts() const noexcept {
  return interrupts_seen.load(std::memory_order_relaxed);
}

int CancelWishes::terminations() const noexcept {
  return terminations_seen.load(std::memory_order_relaxed);
}

bool recover_run(Session& session, job::Backend& backend, const track::RunRecord& record) {
  if (record.cancel_reason || !job::may_recover(record)) return false;
  const track::RunFolder& run = record.folder;
  if (!job::enqueue(run, "job_recovery: " + record.reason, backend.name(), record.restarts + 1))
    return true; // another process was quicker
  session.output().status(fmt::format("run {}: {}; it is started again", run.id(), record.reason));
  (void)backend.submit({.run_id = record.spec.id,
                        .run_folder = run.root,
                        .project = session.project().root,
                        .num_nodes = record.spec.num_nodes});
  return true;
}

track::RunRecord follow_run(Session& session, job::Backend& backend, const std::string& handle,
                            bool trainer, const CancelWishes& wishes, OnInterrupt on_interrupt) {
  Output& output = session.output();
  const track::RunFolder run{handle};
  LogLines out(backend, handle, job::LogStream::out);
  LogLines err(backend, handle, job::LogStream::err);
  // A resumed run has shown what it wrote before.
  if (track::read_journals(run).attempts > 0) {
    out.skip_to(size_of(run.stdout_log()));
    err.skip_to(size_of(run.stderr_log()));
  }
  const bool draws = trainer && output.draws_progress();
  TrainerProgress progress(run.progress());
  auto next_status = Clock::now();
  std::string held; // the newest line of the trainer that has not been shown
  const auto from_program = [&](std::string_view line) { output.status(printable(line)); };
  const auto from_trainer = [&](std::string_view line) {
    const bool epoch = line.starts_with("epoch ");
    if (epoch && (draws || Clock::now() < next_status)) {
      held = draws ? "" : std::string(line);
      return;
    }
    held.clear();
    output.status(printable(line));
    if (epoch) next_status = Clock::now() + status_interval;
  };

  int heard = 0;
  bool cancelled = false;
  auto pause = shortest_pause;
  while (true) {
    // The state first: what was written before it is then in the logs.
    const job::JobStatus status = backend.poll(std::span(&handle, 1)).front();
    const bool ended = !status.known || !track::is_active(status.state);
    bool any = err.take(ended, from_program);
    any = (trainer ? out.take(ended, from_trainer) : out.take(ended, from_program)) || any;
    if (draws) progress.show(output.progress());
    if (ended && (cancelled || !recover_run(session, backend, track::read_run(run)))) break;
    if (const int wish = wishes.interrupts() + wishes.terminations(); wish > heard) {
      auto answer = Answer::cancel;
      if (!cancelled && wishes.terminations() == 0) {
        if (can_ask(output))
          answer = ask_user(output, wishes);
        else if (on_interrupt == OnInterrupt::detach)
          answer = Answer::detach;
      }
      heard = wishes.interrupts() + wishes.terminations();
      if (answer == Answer::detach) break;
      if (answer == Answer::cancel) {
        backend.cancel(handle,
                       cancelled ? "killed from the terminal" : "interrupted from the terminal",
                       cancelled);
        if (!cancelled)
          output.status(fmt::format("cancelling run {}; press Ctrl-C again to kill it", run.id()));
        cancelled = true;
      }
    }
    pause = any ? shortest_pause : std::min(pause * 2, longest_pause);
    std::this_thread::sleep_for(pause);
  }
  if (!held.empty()) output.status(printable(held));
  if (draws) output.progress().end();

  const track::RunRecord record = track::read_run(run);
  if (record.state == track::RunState::cancelled && cancelled)
    throw Error(ErrorKind::interrupted, fmt::format("run '{}' was cancelled", run.id()))
        .with_hint(fmt::format("resume it with: mlp train --resume {}", run.id()));
  return record;
}

Error run_error(const track::RunRecord& run) {
  Error error(ErrorKind::run_failed,
              fmt::format("run '{}' {}: {}", run.spec.id,
                          run.state == track::RunState::failed      ? "failed"
                          : run.state == track::RunState::lost      ? "is lost"
                          : run.state == track::RunState::preempted ? "was preempted"
                                                                    : "was cancelled",
                          run.reason));
  const std::vector<std::string> lines =
      last_lines(run.folder.stderr_log(), 10, run.failed_process);
  if (!lines.empty())
    error.add_context(fmt::format("{} last words on standard error:\n    {}",
                                  run.failed_process.empty() ? "its" : run.failed_process + "'s",
                                  join(lines, "\n    ")));
  error.add_hint(fmt::format("see all of it: mlp runs logs {}", run.spec.id));
  error.add_hint(fmt::format("go on from its checkpoints: mlp train --resume {}", run.spec.id));
  return error;
}

} // namespace mlp
