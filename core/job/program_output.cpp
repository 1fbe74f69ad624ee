// One thread around poll(2); what a log cannot take is counted and dropped, since the program
// matters more.
#include "core/job/program_output.hpp"

#include "core/base/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace mlp::job {

namespace {

constexpr std::chrono::seconds last_patience{2};
constexpr std::size_t part_bytes = 64u << 10; // what a pipe holds
constexpr std::size_t longest_line = 64u << 10;

} // namespace

std::string line_prefix(std::string_view process) {
  return fmt::format("[{}] ", process);
}

ProgramOutput::Stream::Stream(const secret::MaskedValues& values, std::string line_prefix,
                              File& log_file)
    : log(log_file), masker(values), prefix(std::move(line_prefix)) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw system_error(errno, "create", "pipe");
  ours = File(fds[0], "output of the program");
  program = File(fds[1]);
  ::fcntl(ours.fd(), F_SETFL, O_NONBLOCK); // the program's end stays as programs expect it
}

ProgramOutput::ProgramOutput(const secret::MaskedValues& values,
                             const std::vector<std::string>& prefixes, File standard_output,
                             File standard_error)
    : out_(std::move(standard_output)), err_(std::move(standard_error)),
      stop_(::eventfd(0, EFD_CLOEXEC)) {
  if (!stop_.is_open()) throw system_error(errno, "create", "event");
  for (const std::string& prefix : prefixes)
    for (File* log : {&out_, &err_})
      streams_.push_back(std::make_unique<Stream>(values, prefix, *log));
  thread_ = std::jthread([this] { work(); });
}

ProgramOutput::~ProgramOutput() {
  finish();
}

void ProgramOutput::close_program_ends() noexcept {
  for (const auto& stream : streams_)
    stream->program.close();
}

void ProgramOutput::finish() noexcept {
  if (!thread_.joinable()) return;
  close_program_ends();
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(stop_.fd(), &one, sizeof one);
  thread_.join();
}

void ProgramOutput::work() noexcept {
  bool stopping = false;
  std::vector<pollfd> entries(streams_.size() + 1);
  while (!stopping) {
    for (std::size_t i = 0; i < streams_.size(); ++i)
      entries[i] = {streams_[i]->ours.fd(), POLLIN, 0}; // -1 if it ended, which poll leaves alone
    entries.back() = {stop_.fd(), POLLIN, 0};
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;
    for (std::size_t i = 0; i < streams_.size(); ++i)
      if (entries[i].revents != 0) take(*streams_[i]);
    stopping = entries.back().revents != 0;
  }
  const auto deadline = std::chrono::steady_clock::now() + last_patience;
  for (const auto& stream : streams_) {
    while (stream->ours.is_open() && take(*stream) && std::chrono::steady_clock::now() < deadline) {
    }
    if (stream->ours.is_open()) end(*stream);
  }
}

bool ProgramOutput::take(Stream& stream) {
  char part[part_bytes];
  const ssize_t n = ::read(stream.ours.fd(), part, sizeof part);
  if (n < 0) return errno == EINTR;
  if (n == 0) {
    end(stream);
    return false;
  }
  std::string text;
  stream.masker.write({part, static_cast<std::size_t>(n)}, text);
  write_lines(stream, text, false);
  return true;
}

void ProgramOutput::end(Stream& stream) {
  std::string text;
  stream.masker.finish(text);
  write_lines(stream, text, true);
  stream.ours.close();
}

// Whole lines, all that there are in one write, so that those of two processes do not mix.
void ProgramOutput::write_lines(Stream& stream, std::string_view text, bool last) {
  if (stream.prefix.empty()) return write(stream, text);
  std::string lines;
  const auto finish_line = [&](std::string_view rest) {
    lines.append(stream.prefix).append(stream.line).append(rest).append("\n");
    stream.line.clear();
  };
  while (!text.empty()) {
    const std::size_t room = longest_line - stream.line.size();
    const std::size_t newline = text.find('\n');
    const std::size_t length = std::min({newline, room, text.size()});
    if (length == newline || length == room)
      finish_line(text.substr(0, length));
    else
      stream.line += text.substr(0, length);
    text.remove_prefix(length == newline ? length + 1 : length);
  }
  if (last && !stream.line.empty()) finish_line({});
  write(stream, lines);
}

void ProgramOutput::write(Stream& stream, std::string_view rest) {
  while (!rest.empty()) {
    const ssize_t n = ::write(stream.log.fd(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      lost_ += rest.size();
      return;
    }
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
}

} // namespace mlp::job
