// One thread reads all pipes; a line leaves in one write, so that lines of ranks do not mix.
#include "core/train/rank_lines.hpp"

#include "core/base/error.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace mlp::train {

namespace {

constexpr std::size_t kLongestLine = 64 * 1024;

void write_all(int to, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(to, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return; // nobody reads it any more
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

} // namespace

RankLines::~RankLines() {
  // The programs have ended or are about to: their ends of the pipes close.
  finish();
}

File RankLines::add(std::string prefix, int to) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw system_error(errno, "open", "a pipe");
  sources_.push_back({std::move(prefix), to, File(fds[0]), {}});
  return File(fds[1]);
}

void RankLines::begin() {
  if (!sources_.empty()) thread_ = std::thread([this] { run(); });
}

void RankLines::finish() {
  if (thread_.joinable()) thread_.join();
}

void RankLines::run() noexcept {
  std::vector<pollfd> entries(sources_.size());
  for (;;) {
    bool open = false;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      entries[i] = {sources_[i].from.fd(), POLLIN, 0};
      open = open || sources_[i].from.is_open();
    }
    if (!open) return;
    if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) return;
    for (std::size_t i = 0; i < sources_.size(); ++i)
      if (entries[i].revents != 0 && !pass_on(sources_[i])) sources_[i].from.close();
  }
}

// False at the end.
bool RankLines::pass_on(Source& source) {
  char buffer[4096];
  const ssize_t got = ::read(source.from.fd(), buffer, sizeof buffer);
  if (got < 0 && errno == EINTR) return true;
  if (got <= 0) {
    if (!source.line.empty()) write_all(source.to, source.prefix + source.line + "\n");
    return false;
  }
  for (const char c : std::string_view(buffer, static_cast<std::size_t>(got))) {
    if (c != '\n') source.line += c;
    if (c != '\n' && source.line.size() < kLongestLine) continue;
    write_all(source.to, source.prefix + source.line + "\n");
    source.line.clear();
  }
  return true;
}

} // namespace mlp::train
