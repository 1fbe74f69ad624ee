// One thread around poll(2); what a log cannot take is counted and dropped, since the program
// matters more.
#include "core/job/masked_output.hpp"

#include "core/base/error.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>

namespace mlp::job {

namespace {

constexpr std::chrono::seconds last_patience{2};
constexpr std::size_t part_bytes = 64u << 10; // what a pipe holds

} // namespace

MaskedOutput::Stream::Stream(const secret::MaskedValues& values, File log_file)
    : log(std::move(log_file)), masker(values) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw system_error(errno, "create", "pipe");
  ours = File(fds[0], "output of the program");
  program = File(fds[1]);
  ::fcntl(ours.fd(), F_SETFL, O_NONBLOCK); // the program's end stays as programs expect it
}

MaskedOutput::MaskedOutput(const secret::MaskedValues& values, File standard_output,
                           File standard_error)
    : out_(values, std::move(standard_output)), err_(values, std::move(standard_error)),
      stop_(::eventfd(0, EFD_CLOEXEC)) {
  if (!stop_.is_open()) throw system_error(errno, "create", "event");
  thread_ = std::jthread([this] { work(); });
}

MaskedOutput::~MaskedOutput() {
  finish();
}

void MaskedOutput::close_program_ends() noexcept {
  out_.program.close();
  err_.program.close();
}

void MaskedOutput::finish() noexcept {
  if (!thread_.joinable()) return;
  close_program_ends();
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(stop_.fd(), &one, sizeof one);
  thread_.join();
}

void MaskedOutput::work() noexcept {
  bool stopping = false;
  while (!stopping && (out_.ours.is_open() || err_.ours.is_open())) {
    // A closed end is -1, which poll leaves alone.
    pollfd entries[] = {
        {out_.ours.fd(), POLLIN, 0}, {err_.ours.fd(), POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
    if (::poll(entries, 3, -1) < 0) continue;
    if (entries[0].revents != 0) take(out_);
    if (entries[1].revents != 0) take(err_);
    stopping = entries[2].revents != 0;
  }
  const auto deadline = std::chrono::steady_clock::now() + last_patience;
  for (Stream* stream : {&out_, &err_}) {
    while (stream->ours.is_open() && take(*stream) && std::chrono::steady_clock::now() < deadline) {
    }
    if (stream->ours.is_open()) end(*stream);
  }
}

bool MaskedOutput::take(Stream& stream) {
  char part[part_bytes];
  const ssize_t n = ::read(stream.ours.fd(), part, sizeof part);
  if (n < 0) return errno == EINTR;
  if (n == 0) {
    end(stream);
    return false;
  }
  std::string text;
  stream.masker.write({part, static_cast<std::size_t>(n)}, text);
  write(stream, text);
  return true;
}

void MaskedOutput::end(Stream& stream) {
  std::string text;
  stream.masker.finish(text);
  write(stream, text);
  stream.ours.close();
}

void MaskedOutput::write(Stream& stream, const std::string& text) {
  std::string_view rest = text;
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
