// ssh has a socket as its standard input and output. The reader's thread waits for it with poll();
// senders write to it one frame at a time. Whoever sees the connection fail says why; the reader
// then ends ssh.
#include "backends/storage/ssh/connection.hpp"

#include "core/base/interrupt.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>

namespace mlp::storage {

namespace {

using data::ByteSpan;
using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr auto answer_patience = std::chrono::minutes(5); // for one answer, while others come
constexpr auto login_patience = std::chrono::minutes(3);  // where somebody types a password
constexpr std::size_t read_bytes = 256 * 1024;
constexpr std::size_t kept_standard_error = 8 * 1024;

// ssh asks on the terminal itself, or by a program that shows a window.
bool somebody_to_ask() {
  const File terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  return terminal.is_open() || get_env("SSH_ASKPASS").has_value();
}

File make_event() {
  File event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "event");
  if (!event.is_open()) throw system_error(errno, "create", "event");
  return event;
}

void set_event(const File& event) noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event.fd(), &one, sizeof one);
}

int poll_timeout(std::optional<milliseconds> wait) {
  if (!wait) return -1;
  return static_cast<int>(std::clamp<milliseconds::rep>(wait->count() + 1, 0, 3'600'000));
}

milliseconds since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
}

} // namespace

// ---- calls

SshCall::~SshCall() {
  const std::lock_guard lock(connection_.mutex_);
  connection_.calls_.erase(id_);
}

std::size_t SshCall::finish() {
  std::unique_lock lock(connection_.mutex_);
  waited_for_ = true;
  progress_ = SshConnection::Clock::now();
  connection_.poke();
  answered_.wait(lock, [&] { return done_ || connection_.failure_; });
  if (!done_) throw Error(connection_.failure_->error);
  if (error_) throw Error(*error_);
  return filled_;
}

void SshCall::send(FrameKind kind, ByteSpan payload) {
  {
    const std::lock_guard lock(connection_.mutex_);
    if (done_ && error_) throw Error(*error_);
  }
  connection_.send_frame(
      {.size = static_cast<std::uint32_t>(payload.size()), .id = id_, .kind = kind}, payload);
}

// ---- the connection, as its users see it

SshConnection::SshConnection(const SshPlace& place, const SshOptions& options)
    : place_(place), options_(options), asks_(somebody_to_ask()),
      arguments_(ssh_arguments(place, options, asks_)), wake_(make_event()), broken_(make_event()),
      heard_(Clock::now()) {
  thread_ = std::thread([this] { run(); });
  on_stop_.emplace(options_.stop, [this] {
    fail({Error(ErrorKind::interrupted, "interrupted"), false});
  });
}

SshConnection::~SshConnection() {
  on_stop_.reset();
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  poke();
  thread_.join();
}

void SshConnection::wait_ready() {
  std::unique_lock lock(mutex_);
  ready_changed_.wait(lock, [&] { return ready_ || failure_; });
  if (failure_) throw Error(failure_->error);
}

std::unique_ptr<SshCall> SshConnection::start(const WireRequest& request,
                                              std::span<std::byte> into) {
  wait_ready();
  const data::Bytes payload = encode_request(request);
  std::unique_ptr<SshCall> call(new SshCall(*this, into));
  {
    const std::lock_guard lock(mutex_);
    if (failure_) throw Error(failure_->error);
    call->id_ = next_id_++;
    if (calls_.empty()) { // silence was right until now
      heard_ = Clock::now();
      poke();
    }
    calls_.emplace(call->id_, call.get());
  }
  send_frame(
      {.size = static_cast<std::uint32_t>(payload.size()), .id = call->id_, .kind = request.kind},
      payload);
  return call;
}

bool SshConnection::failed() const {
  const std::lock_guard lock(mutex_);
  return failure_.has_value();
}

bool SshConnection::failed_transiently() const {
  const std::lock_guard lock(mutex_);
  return failure_ && failure_->transient;
}

void SshConnection::poke() const noexcept {
  set_event(wake_);
}

void SshConnection::fail(SshFailure failure) {
  const std::lock_guard lock(mutex_);
  fail_locked(std::move(failure));
}

void SshConnection::fail_locked(SshFailure failure) {
  if (failure_) return;
  failure_ = std::move(failure);
  ready_changed_.notify_all();
  for (const auto& [id, call] : calls_)
    call->answered_.notify_all();
  set_event(broken_);
  poke();
}

Error SshConnection::stalled() const {
  return Error(ErrorKind::unreachable,
               fmt::format("host '{}' neither sent nor took data for {} s", place_.host,
                           static_cast<double>(options_.stall_timeout.count()) / 1000))
      .with_hint("the setting net.timeout is the longest wait; run the command again when the host "
                 "answers");
}

void SshConnection::send_frame(const FrameHeader& header, ByteSpan payload) {
  auto raw = encode_header(header);
  const std::lock_guard sending(send_mutex_);
  std::size_t sent = 0;
  const std::size_t total = raw.size() + payload.size();
  auto progress = Clock::now();
  bool closed = false;
  while (sent < total) {
    {
      const std::lock_guard lock(mutex_);
      if (failure_) throw Error(failure_->error);
    }
    iovec parts[2];
    unsigned count = 0;
    if (sent < raw.size()) parts[count++] = {raw.data() + sent, raw.size() - sent};
    const std::size_t skipped = sent < raw.size() ? 0 : sent - raw.size();
    if (skipped < payload.size())
      parts[count++] = {const_cast<std::byte*>(payload.data()) + skipped, payload.size() - skipped};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = count;
    const ssize_t n = ::sendmsg(socket_.fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
      progress = Clock::now();
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    pollfd fds[2] = {{socket_.fd(), POLLOUT, 0}, {broken_.fd(), POLLIN, 0}};
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
      fds[0].fd = -1; // ssh has gone, and the reader will say why; or it only takes no more
      if (std::exchange(closed, true))
        fail({Error(ErrorKind::unreachable,
                    fmt::format("host '{}' takes no more data", place_.host)),
              true});
    } else {
      const std::lock_guard lock(mutex_);
      if (since(std::max(progress, heard_)) > options_.stall_timeout ||
          since(progress) > answer_patience)
        fail_locked({stalled(), true});
    }
    ::poll(fds, 2, poll_timeout(closed ? 5s : options_.stall_timeout));
  }
}

// ---- the reader's thread

void SshConnection::run() {
  try {
    start_process();
    read_until_failure();
  } catch (const Error& error) {
    const bool integrity = error.kind() == ErrorKind::integrity;
    Error shown(error);
    if (integrity) {
      shown = Error(ErrorKind::failed, fmt::format("host '{}' does not keep to the protocol: {}",
                                                   place_.host, error.message()))
                  .with_hint("install the same version of mlp there as here");
    }
    fail({std::move(shown), false});
  } catch (const std::exception& error) {
    fail({Error(ErrorKind::failed, error.what()), false});
  }
  end_process();
}

void SshConnection::start_process() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw system_error(errno, "create", "socket");
  File ours(ends[0], "connection");
  const File theirs(ends[1]);
  int error_ends[2];
  if (::pipe2(error_ends, O_CLOEXEC) != 0) throw system_error(errno, "create", "pipe");
  errors_ = File(error_ends[0], "standard error of ssh");
  const File their_errors(error_ends[1]);
  ::fcntl(errors_.fd(), F_SETFL, O_NONBLOCK);
  constexpr int buffer = 1 << 20; // as much of it as the system allows
  for (const int end : ends) {
    ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    ::setsockopt(end, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  }
  log_info(fmt::format("starting: {}", join(arguments_, " ")));
  try {
    // Where it asks nobody it needs no terminal, nor the terminal's Ctrl-C: that is for us.
    process_ = Process::spawn({.arguments = arguments_,
                               .standard_input = theirs.fd(),
                               .standard_output = theirs.fd(),
                               .standard_error = their_errors.fd(),
                               .new_session = !asks_,
                               .dies_with_parent = true});
  } catch (const Error& error) {
    throw explain_no_ssh(error, options_.command);
  }
  {
    const std::lock_guard sending(send_mutex_);
    socket_ = std::move(ours);
  }
  const auto alive = std::clamp<milliseconds>(options_.stall_timeout / 4, 20ms, 10s);
  const data::Bytes hello =
      encode_hello(ClientHello{.alive_ms = static_cast<std::uint32_t>(alive.count())});
  send_frame({.size = static_cast<std::uint32_t>(hello.size()), .kind = FrameKind::hello}, hello);
}

std::optional<milliseconds> SshConnection::patience() {
  std::optional<milliseconds> wait;
  const auto at_most = [&](milliseconds more, const auto& failure) {
    if (more.count() < 0) return fail_locked({failure(), ready_});
    wait = wait ? std::min(*wait, more) : more;
  };
  if (!ready_) {
    const auto longest = asks_ ? std::max<milliseconds>(login_patience, options_.stall_timeout)
                               : options_.stall_timeout;
    at_most(longest - since(heard_), [&] {
      return Error(ErrorKind::unreachable,
                   fmt::format("mlp at host '{}' did not answer within {} s", place_.host,
                               static_cast<double>(longest.count()) / 1000))
          .with_hint(fmt::format("see that this works: ssh {}{}",
                                 place_.port ? fmt::format("-p {} ", *place_.port) : "",
                                 place_.destination));
    });
  } else if (!calls_.empty()) {
    at_most(options_.stall_timeout - since(heard_), [&] { return stalled(); });
    for (const auto& [id, call] : calls_)
      if (call->waited_for_ && !call->done_)
        at_most(answer_patience - since(call->progress_), [&] {
          return Error(ErrorKind::unreachable,
                       fmt::format("host '{}' gave no answer for {} minutes", place_.host,
                                   answer_patience.count()));
        });
  }
  return wait;
}

void SshConnection::read_until_failure() {
  std::vector<std::byte> buffer(read_bytes);
  bool drained = false; // nothing that has come is left to take: now silence counts
  while (true) {
    std::optional<milliseconds> wait;
    {
      const std::lock_guard lock(mutex_);
      if (failure_ || closing_) return;
      if (drained) {
        wait = patience();
        if (failure_) return;
      } else {
        wait = milliseconds(0);
      }
    }
    pollfd fds[3] = {{socket_.fd(), POLLIN, 0},
                     {errors_.is_open() ? errors_.fd() : -1, POLLIN, 0},
                     {wake_.fd(), POLLIN, 0}};
    const int events = ::poll(fds, 3, poll_timeout(wait));
    if (events < 0 && errno != EINTR) throw system_error(errno, "wait for", "ssh");
    drained = events == 0;
    if (fds[2].revents != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t n = ::read(wake_.fd(), &count, sizeof count);
      drained = true;
    }
    if (fds[1].revents != 0) read_standard_error();
    if (fds[0].revents == 0) continue;
    const ssize_t n = ::recv(socket_.fd(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (n <= 0) return ended();
    take(ByteSpan(buffer).first(static_cast<std::size_t>(n)));
  }
}

void SshConnection::take(ByteSpan bytes) {
  if (!ready_ && greeting_.size() < wire_magic.size()) take_greeting(bytes);
  {
    const std::lock_guard lock(mutex_);
    if (ready_) heard_ = Clock::now();
  }
  while (const auto piece = frames_.next(bytes))
    deliver(*piece);
}

void SshConnection::take_greeting(ByteSpan& bytes) {
  const std::size_t n = std::min(bytes.size(), wire_magic.size() - greeting_.size());
  greeting_ += data::text_of(bytes.first(n));
  if (!wire_magic.starts_with(greeting_)) {
    const std::string all = greeting_ + std::string(data::text_of(bytes.subspan(n)));
    fail(explain_end(place_, options_, {.unexpected = all.substr(0, all.find('\n'))}));
    throw Error(ErrorKind::failed, "no greeting");
  }
  bytes = bytes.subspan(n);
}

void SshConnection::deliver(const FrameReader::Piece& piece) {
  const FrameHeader& header = piece.header;
  const auto broken = [](const char* how) { return Error(ErrorKind::integrity, how); };
  if (!hello_taken_) {
    if (header.kind != FrameKind::hello || header.size > 4096) throw broken("it does not greet");
    hello_.insert(hello_.end(), piece.bytes.begin(), piece.bytes.end());
    if (!piece.last) return;
    const ServerHello hello = decode_server_hello(hello_);
    if (hello.version != wire_version)
      throw Error(ErrorKind::failed,
                  fmt::format("mlp {} at host '{}' speaks version {} of the protocol, not {}",
                              hello.software, place_.host, hello.version, wire_version))
          .with_hint("install the same version there as here");
    hello_taken_ = true;
    const std::lock_guard lock(mutex_);
    ready_ = true;
    ready_changed_.notify_all();
    return;
  }
  const bool data = header.kind == FrameKind::part || header.kind == FrameKind::done;
  if (header.kind == FrameKind::alive) {
    if (header.size != 0) throw broken("a sign of life with a payload");
    return;
  }
  if (!data && header.kind != FrameKind::error) throw broken("a request instead of an answer");
  const std::lock_guard lock(mutex_);
  if (header.id == 0 || header.id >= next_id_) throw broken("an answer to nothing");
  const auto found = calls_.find(header.id);
  if (found == calls_.end()) return; // nobody waits for it any longer
  SshCall& call = *found->second;
  if (call.done_) throw broken("a second answer");
  call.progress_ = Clock::now();
  if (data && !call.into_.empty()) {
    if (piece.bytes.size() > call.into_.size() - call.filled_)
      throw broken("an answer is longer than was asked for");
    std::copy(piece.bytes.begin(), piece.bytes.end(),
              call.into_.begin() + static_cast<std::ptrdiff_t>(call.filled_));
    call.filled_ += piece.bytes.size();
  } else {
    if (!data && !call.error_) { // the text of an error takes the place of a begun answer
      call.error_.emplace(ErrorKind::failed, "");
      call.collected_.clear();
    }
    if (piece.bytes.size() > max_answer - call.collected_.size())
      throw broken("an answer is too long");
    call.collected_.insert(call.collected_.end(), piece.bytes.begin(), piece.bytes.end());
  }
  if (!piece.last || header.kind == FrameKind::part) return;
  if (!data) call.error_ = decode_error(call.collected_);
  call.done_ = true;
  call.answered_.notify_all();
}

void SshConnection::read_standard_error() {
  char block[4096];
  const ssize_t n = ::read(errors_.fd(), block, sizeof block);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return errors_.close();
  standard_error_.append(block, static_cast<std::size_t>(n));
  if (standard_error_.size() > 2 * kept_standard_error)
    standard_error_.erase(0, standard_error_.size() - kept_standard_error);
}

void SshConnection::ended() {
  // What it says last comes at about the same time. A master connection that ssh has left behind
  // may keep the pipe open, so there is no waiting for its end.
  const std::optional<ProcessExit> exit = process_->wait_for(2s);
  const auto begin = Clock::now();
  while (errors_.is_open() && since(begin) < 200ms) {
    pollfd fd{errors_.fd(), POLLIN, 0};
    if (::poll(&fd, 1, 20) == 0 && exit) break;
    if (fd.revents != 0) read_standard_error();
  }
  SshEnd end{
      .code = exit ? exit->code : 255, .greeted = hello_taken_, .standard_error = standard_error_};
  if (!greeting_.empty() && !hello_taken_) end.unexpected = greeting_;
  if (asks_ && (end.code == 130 || end.code == 255)) {
    // On a terminal Ctrl-C reaches ssh too, which may be quicker to end than we are to be told.
    std::unique_lock lock(mutex_);
    ready_changed_.wait_for(lock, end.code == 130 ? 2000ms : 100ms,
                            [&] { return failure_.has_value(); });
  }
  fail(explain_end(place_, options_, end));
}

void SshConnection::end_process() {
  if (!process_) return;
  bool in_peace = false;
  {
    const std::lock_guard lock(mutex_);
    in_peace = !failure_;
  }
  // The other end sees its input end, and ends; then ssh does.
  ::shutdown(socket_.fd(), in_peace ? SHUT_WR : SHUT_RDWR);
  if (in_peace) {
    const auto begin = Clock::now();
    std::byte scrap[512];
    pollfd fd{socket_.fd(), POLLIN, 0};
    while (since(begin) < 1s && ::poll(&fd, 1, 100) >= 0)
      if (fd.revents != 0 && ::recv(socket_.fd(), scrap, sizeof scrap, MSG_DONTWAIT) == 0) break;
  }
  if (process_->wait_for(in_peace ? 100ms : 0ms)) return;
  process_->signal(SIGTERM, !asks_); // with what ssh itself has started
  if (process_->wait_for(200ms)) return;
  process_->signal(SIGKILL, !asks_); // also ends one that is stopped
  process_->wait();
}

} // namespace mlp::storage
