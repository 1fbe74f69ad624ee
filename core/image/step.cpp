// The container is this program started again; its output is read line by line.
#include "core/image/step.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <deque>

namespace mlp::image {

namespace {

constexpr int container_failed = 125; // as Docker has it
constexpr std::size_t kept_lines = 20;
constexpr std::size_t longest_line = 4096;
constexpr std::chrono::milliseconds beat{100};
constexpr std::chrono::seconds grace{5};

// Cuts a stream into lines, and keeps the last ones for the error.
class Lines {
 public:
  explicit Lines(const std::function<void(std::string_view)>& sink) : sink_(sink) {}

  void take(std::string_view part) {
    while (!part.empty()) {
      // A progress bar goes back to the beginning of its line.
      const std::size_t end = std::min(part.find_first_of("\r\n"), part.size());
      line_.append(
          part.substr(0, std::min(end, longest_line - std::min(longest_line, line_.size()))));
      if (end == part.size()) return;
      finish();
      part.remove_prefix(end + 1);
    }
  }
  void finish() {
    if (trim(line_).empty()) {
      line_.clear();
      return;
    }
    if (sink_) sink_(line_);
    last_.push_back(std::exchange(line_, {}));
    if (last_.size() > kept_lines) last_.pop_front();
  }
  [[nodiscard]] const std::deque<std::string>& last() const { return last_; }

 private:
  const std::function<void(std::string_view)>& sink_;
  std::string line_;
  std::deque<std::string> last_;
};

} // namespace

void run_step(const StepRunner& runner, const ContainerSpec& spec, std::string_view title) {
  const TemporaryDirectory folder("step-", runner.temporary);
  const fs::path file = folder.path() / "container.json";
  write_file_atomic(file, dump_json(to_json(spec)), 0600);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error(errno, "make", "a pipe");
  const File read_end(ends[0], "the step's output");
  File write_end(ends[1]);
  ProcessSpec process{.arguments = {runner.program.native(), "__container", file.native()},
                      .environment = std::nullopt,
                      .directory = {},
                      .standard_output = write_end.fd(),
                      .standard_error = write_end.fd(),
                      .new_session = true,
                      .dies_with_parent = true};
  Process child = Process::spawn(process);
  write_end.close();

  struct Phase {
    Phase(Progress* shown, std::string_view title) : progress(shown) {
      if (progress != nullptr)
        progress->begin(title.substr(0, title.find('\n')), 0, ProgressUnit::count);
    }
    ~Phase() {
      if (progress != nullptr) progress->end();
    }
    Phase(Phase&&) = delete;
    Progress* progress;
  };
  const Phase phase(runner.progress, title);
  Lines lines(runner.line);
  std::array<char, 16384> buffer{};
  std::optional<std::chrono::steady_clock::time_point> told;
  while (true) {
    if (runner.stop.stop_requested() && !told) {
      child.signal(SIGTERM);
      told = std::chrono::steady_clock::now();
    }
    if (told && std::chrono::steady_clock::now() - *told > grace) child.signal(SIGKILL, true);
    pollfd waits{read_end.fd(), POLLIN, 0};
    if (::poll(&waits, 1, static_cast<int>(beat.count())) <= 0) continue;
    const ssize_t n = ::read(read_end.fd(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    lines.take({buffer.data(), static_cast<std::size_t>(n)});
  }
  lines.finish();
  const ProcessExit exit = child.wait();
  throw_if_stopped(runner.stop);
  if (exit.code == 0) return;
  if (exit.code == container_failed)
    if (const auto obstacle = container_obstacle()) {
      const std::size_t semicolon = std::min(obstacle->find("; "), obstacle->size());
      Error error(ErrorKind::denied,
                  fmt::format("no step can run here: {}", obstacle->substr(0, semicolon)));
      if (semicolon < obstacle->size()) error.add_hint(obstacle->substr(semicolon + 2));
      throw error;
    }
  Error error(ErrorKind::failed,
              fmt::format("step '{}' failed with exit code {}", printable(title), exit.code));
  for (const std::string& line : lines.last())
    error.add_context(printable(line));
  throw error;
}

} // namespace mlp::image
