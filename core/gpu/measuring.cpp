// The parent of the measuring process.
#include "core/gpu/measuring.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace mlp::gpu {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds tick_time{50};
constexpr std::size_t most_line = 64U << 10;
constexpr std::string_view what_answers = "the answer of the measuring process";

// One process, and where it is in its items.
class Measurer {
 public:
  Measurer(const std::vector<Item>& items, std::size_t first, const MeasuringOptions& options,
           std::vector<Measured>& results)
      : items_(items), first_(first), next_(first), options_(options), results_(results),
        deadline_(Clock::now() + options.start_limit) {}

  // Runs until the process has ended, or was made to; the index after the last item that it has
  // settled, which is more than `first`.
  std::size_t run() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw system_error(errno, "make", "a pipe");
    read_ = File(ends[0], std::string(what_answers));
    File write(ends[1]);
    ProcessSpec spec{.arguments = options_.program};
    for (std::size_t i = first_; i < items_.size(); ++i)
      spec.arguments.push_back(item_text(items_[i]));
    spec.environment = current_environment();
    for (const auto& [name, value] : options_.environment)
      (*spec.environment)[name] = value;
    spec.standard_output = write.fd();
    spec.dies_with_parent = true;
    Process process = Process::spawn(spec);
    write.close();
    try {
      follow();
    } catch (...) {
      end(process);
      throw;
    }
    const std::string how = end(process);
    if (next_ < items_.size() && (open_ || next_ == first_)) {
      if (!open_) options_.begun(items_[next_]);
      results_[next_].failed = how;
      close_item();
    }
    return next_;
  }

 private:
  // Until the end of its output or of our patience.
  void follow() {
    std::string pending;
    std::array<std::byte, 4096> buffer{};
    while (next_ < items_.size()) {
      throw_if_stopped(options_.stop);
      pollfd wait{.fd = read_.fd(), .events = POLLIN, .revents = 0};
      const int ready = ::poll(&wait, 1, static_cast<int>(tick_time.count()));
      if (open_) options_.tick(items_[next_]);
      if (ready <= 0) {
        if (Clock::now() < deadline_) continue;
        late_ = true;
        return;
      }
      const std::size_t got = read_.read(buffer);
      if (got == 0) return;
      pending.append(reinterpret_cast<const char*>(buffer.data()), got);
      for (std::size_t end = pending.find('\n'); end != std::string::npos;
           end = pending.find('\n')) {
        take(std::string_view(pending).substr(0, end));
        pending.erase(0, end + 1);
        if (next_ == items_.size()) return;
      }
      if (pending.size() > most_line) return; // no process of ours: it is ended and reported
    }
  }

  void take(std::string_view line) {
    Json answer;
    try {
      answer = parse_json(line, what_answers);
    } catch (const Error&) {
      return; // a library that prints to standard output
    }
    if (!answer.is_object()) return;
    if (answer.contains("unavailable"))
      throw Error(
          ErrorKind::unreachable,
          fmt::format("no GPU to check: {}", json_string(answer, "unavailable", what_answers)));
    if (answer.contains("begin")) {
      deadline_ = Clock::now() + options_.item_limit;
      open_ = true;
      options_.begun(items_[next_]);
    } else if (answer.contains("end") && open_) {
      fill(answer, results_[next_]);
      close_item();
    }
  }

  static void fill(const Json& answer, Measured& result) {
    result.failed = answer.value("failed", "");
    result.skipped = answer.value("skipped", "");
    result.median = answer.value("median", 0.0);
    result.best = answer.value("best", 0.0);
    result.repetitions = answer.value("repetitions", 0);
    result.bytes = answer.value("bytes", std::uint64_t{0});
    result.mismatches = answer.value("mismatches", std::uint64_t{0});
  }

  void close_item() {
    open_ = false;
    options_.ended(items_[next_]);
    ++next_;
    deadline_ = Clock::now() + options_.item_limit;
  }

  // Ends the process, and says how it went, for an item that it left unsettled.
  std::string end(Process& process) {
    constexpr milliseconds grace{2000};
    // One that has said all, or has closed its output, is about to end by itself.
    std::optional<ProcessExit> exit =
        late_ || options_.stop.stop_requested() ? std::nullopt : process.wait_for(grace);
    if (!exit) {
      process.signal(SIGKILL);
      // A process that waits in the kernel for a dead GPU does not end: it is left behind.
      exit = process.wait_for(grace);
    }
    if (late_)
      return fmt::format("did not end in {} s: the GPU or its driver hangs",
                         std::chrono::duration_cast<std::chrono::seconds>(
                             open_ ? options_.item_limit : options_.start_limit)
                             .count());
    if (exit && exit->signal != 0)
      return fmt::format("the measuring process was ended by signal {}", exit->signal);
    return fmt::format("the measuring process ended with code {}", exit ? exit->code : -1);
  }

  const std::vector<Item>& items_;
  const std::size_t first_;
  std::size_t next_;
  const MeasuringOptions& options_;
  std::vector<Measured>& results_;
  Clock::time_point deadline_;
  File read_;
  bool open_ = false;
  bool late_ = false;
};

} // namespace

std::vector<Measured> measure_apart(const std::vector<Item>& items,
                                    const MeasuringOptions& options) {
  std::vector<Measured> results;
  for (const Item& item : items)
    results.push_back({.figure = item.figure, .gpus = item.gpus});
  std::size_t next = 0;
  while (next < items.size())
    next = Measurer(items, next, options, results).run();
  return results;
}

} // namespace mlp::gpu
