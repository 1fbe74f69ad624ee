// A ring over TCP. One thread a rank moves all bytes: it sends what is ready to the next rank while
// it receives from the previous one, adds as data arrive, and says every so often that it lives.
#include "kernels/collective/ring.hpp"

#include "kernels/collective/rendezvous.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

namespace mlp::kernels {

namespace {

// Thrown within the ring's thread: ends it.
struct Broken {
  CollectiveFailure failure;
};

class Ring final : public HostRing {
 public:
  explicit Ring(const CollectiveOptions& options)
      : rank_(options.rank), size_(options.size), silence_(seconds(options.silence_seconds)),
        longest_(seconds(options.operation_seconds)) {
    if (size_ == 1) return;
    links_ = join_ring(options);
    wake_ = Socket(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_.open()) throw Error(ErrorKind::failed, "cannot make an event descriptor");
    scratch_.resize(RingFrame::kMostData);
    last_sent_ = Clock::now();
    thread_ = std::thread([this] { run(); });
  }
  ~Ring() override {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake();
    thread_.join();
  }

  int rank() const noexcept override { return rank_; }
  int size() const noexcept override { return size_; }

  void start(Stream, float* data, std::int64_t count, float scale) override {
    if (count < 0) throw Error(ErrorKind::invalid, "a reduction has a negative size");
    post(plan_all_reduce(data, static_cast<std::size_t>(count), scale, rank_, size_));
  }
  void wait(Stream) override { finish_all(); }
  void settle(Stream) override {
    const std::lock_guard lock(mutex_);
    throw_if_failed();
  }
  void broadcast(void* data, std::size_t bytes, int root) override {
    if (root < 0 || root >= size_) throw Error(ErrorKind::invalid, "there is no such root");
    post(plan_broadcast(static_cast<std::byte*>(data), bytes, root, rank_, size_));
    finish_all();
  }
  void all_gather(const void* mine, void* all, std::size_t bytes) override {
    auto* data = static_cast<std::byte*>(all);
    if (bytes != 0) std::memmove(data + static_cast<std::size_t>(rank_) * bytes, mine, bytes);
    post(plan_all_gather(data, bytes, rank_, size_));
    finish_all();
  }

  void abort(const std::string& reason) noexcept override {
    try {
      {
        const std::lock_guard lock(mutex_);
        if (failure_) return;
        abort_reason_ = reason;
      }
      wake();
      if (thread_.joinable()) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return failure_.has_value(); });
      }
    } catch (...) { // no memory for the text: the others see the connection close
    }
  }
  std::optional<CollectiveFailure> failure() const override {
    const std::lock_guard lock(mutex_);
    return failure_;
  }
  void expect(bool others) noexcept override {
    if (others && !expecting_.exchange(true)) wake(); // its clock starts now
    if (!others) expecting_ = false;
  }

 private:
  // ---- the caller's side -------------------------------------------------------------------
  void post(RingOperation&& operation) {
    if (size_ == 1) {
      apply_scale(operation);
      return;
    }
    const std::lock_guard lock(mutex_);
    throw_if_failed();
    queue_.push_back(std::move(operation));
    ++posted_;
    wake();
  }

  void finish_all() {
    if (size_ == 1) return;
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || finished_ == posted_; });
    // What was finished before a failure is good.
    if (finished_ != posted_) throw_if_failed();
  }

  void throw_if_failed() const {
    if (failure_) throw Error(ErrorKind::failed, failure_->reason);
  }

  void wake() const noexcept {
    const std::uint64_t one = 1;
    if (wake_.open()) (void)!::write(wake_.fd(), &one, sizeof one);
  }

  static void apply_scale(const RingOperation& operation) noexcept {
    if (operation.kind != RingOperation::all_reduce || operation.scale == 1.0F) return;
    auto* data = reinterpret_cast<float*>(operation.data);
    const float scale = operation.scale;
    for (std::size_t i = 0; i < operation.total / sizeof(float); ++i)
      data[i] *= scale;
  }

  // ---- the ring's thread -------------------------------------------------------------------
  [[nodiscard]] int previous() const noexcept { return (rank_ + size_ - 1) % size_; }
  [[nodiscard]] int next() const noexcept { return (rank_ + 1) % size_; }
  static std::string name(int rank) { return "rank " + std::to_string(rank); }

  void run() noexcept {
    try {
      while (take_work())
        turn();
    } catch (const Broken& broken) {
      give_up(broken.failure);
    } catch (const std::exception& error) {
      give_up({rank_, name(rank_) + " failed: " + error.what()});
    }
  }

  // False at the end. Takes the next operation if there is none under way.
  bool take_work() {
    std::unique_lock lock(mutex_);
    if (!abort_reason_.empty()) throw Broken{{rank_, name(rank_) + " failed: " + abort_reason_}};
    if (ending_) return false;
    while (!busy_ && !queue_.empty()) {
      operation_ = std::move(queue_.front());
      queue_.pop_front();
      busy_ = true;
      lock.unlock();
      begin();
      lock.lock();
    }
    return true;
  }

  void begin() {
    ++sequence_;
    sent_ = received_ = {};
    started_ = Clock::now();
    apply_scale(operation_);
    if (operation_.total == 0) {
      operation_.sent.clear();
      operation_.received.clear();
    }
    advance(sent_, operation_.sent);
    advance(received_, operation_.received);
    finish_if_done();
  }

  // Where a stream stands: piece, byte within it, bytes in all.
  struct Position {
    std::size_t piece = 0, within = 0, total = 0;
  };
  static void advance(Position& at, const std::vector<RingOperation::Piece>& pieces) {
    while (at.piece < pieces.size() && at.within == pieces[at.piece].bytes) {
      ++at.piece;
      at.within = 0;
    }
  }
  [[nodiscard]] bool receiving() const {
    return busy_ && received_.piece < operation_.received.size();
  }
  [[nodiscard]] bool sending() const { return busy_ && sent_.piece < operation_.sent.size(); }

  void finish_if_done() {
    if (!busy_ || receiving() || sending() || out_left() != 0) return;
    busy_ = false;
    const std::lock_guard lock(mutex_);
    ++finished_;
    changed_.notify_all();
  }

  // One round: what can be sent, what has come, and the clocks.
  void turn() {
    send_ready();
    finish_if_done();
    const bool hold = holding();
    pollfd entries[3] = {{wake_.fd(), POLLIN, 0},
                         {previous_open_ && !hold ? links_.previous.fd() : -1, POLLIN, 0},
                         {next_open_ ? links_.next.fd() : -1, POLLIN, 0}};
    if (out_left() != 0) entries[2].events |= POLLOUT;
    const int ready = ::poll(entries, 3, busy_ || queued() ? patience() : idle());
    if (ready < 0 && errno != EINTR)
      throw Broken{{rank_, name(rank_) + " cannot wait for its neighbours"}};
    if ((entries[0].revents & POLLIN) != 0) {
      std::uint64_t count = 0;
      (void)!::read(wake_.fd(), &count, sizeof count);
    }
    if (entries[2].revents & ~POLLOUT) listen_to_next();
    if (entries[1].revents != 0) receive();
    check_clocks();
    finish_if_done();
  }

  [[nodiscard]] bool queued() const {
    const std::lock_guard lock(mutex_);
    return !busy_ && !queue_.empty();
  }
  // When this rank next has to say that it lives.
  [[nodiscard]] Clock::time_point next_sign() const noexcept {
    return next_open_ && out_left() == 0 ? last_sent_ + silence_ / 4 : Clock::time_point::max();
  }
  [[nodiscard]] int idle() const noexcept {
    auto until = next_sign();
    if (expected_since_ != Clock::time_point::max() && previous_open_)
      until = std::min(until, std::max(last_heard_, expected_since_) + silence_);
    return milliseconds_until(until);
  }
  // Until the next clock runs out; 0 when an operation waits to be taken.
  [[nodiscard]] int patience() const noexcept {
    if (!busy_) return 0;
    auto until = std::min(next_sign(), started_ + longest_);
    if (receiving()) until = std::min(until, std::max(last_heard_, started_) + silence_);
    return milliseconds_until(until);
  }

  void check_clocks() {
    const auto now = Clock::now();
    if (out_left() == 0 && next_open_ && now - last_sent_ >= silence_ / 4) {
      begin_frame({.type = RingFrame::alive});
      flush();
    }
    if (!busy_) return check_neighbour(now);
    if (receiving() && !previous_open_) lost(previous(), closed_);
    if (receiving() && now - std::max(last_heard_, started_) >= silence_) silent();
    if (now - started_ >= longest_)
      lost(receiving() ? previous() : next(), "an exchange with it did not end in time");
  }

  // Nothing is under way here, but maybe elsewhere.
  void check_neighbour(Clock::time_point now) {
    const bool expecting = expecting_;
    if (!expecting || holding()) {
      expected_since_ = Clock::time_point::max();
      return;
    }
    if (expected_since_ == Clock::time_point::max()) expected_since_ = now;
    if (!previous_open_) lost(previous(), closed_);
    if (now - std::max(last_heard_, expected_since_) >= silence_) silent();
  }

  [[noreturn]] void silent() const {
    const double waited = std::chrono::duration<double>(silence_).count();
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", waited);
    lost(previous(), "nothing was heard of it for " + std::string(text) + " s");
  }
  [[noreturn]] void lost(int rank, const std::string& why) const {
    throw Broken{{rank, name(rank) + " was lost: " + why}};
  }

  // ---- sending -----------------------------------------------------------------------------
  [[nodiscard]] std::size_t out_left() const noexcept {
    return sizeof out_frame_ - out_header_ + out_payload_;
  }

  void begin_frame(const RingFrame& frame, const std::byte* payload = nullptr,
                   std::size_t bytes = 0) {
    out_frame_ = frame;
    out_frame_.bytes = static_cast<std::uint32_t>(bytes);
    out_header_ = 0;
    out_data_ = payload;
    out_payload_ = bytes;
  }

  void send_ready() {
    for (;;) {
      if (out_left() != 0 && !flush()) return;
      if (!sending() || !next_data()) return;
    }
  }

  // Begins the next frame if enough of it may go.
  bool next_data() {
    const RingOperation::Piece& piece = operation_.sent[sent_.piece];
    std::size_t ready = operation_.head + received_.total - sent_.total;
    // What is stored arrives byte by byte, but frames of floats hold whole ones.
    if (operation_.kind == RingOperation::all_reduce) ready -= ready % sizeof(float);
    const std::size_t rest = piece.bytes - sent_.within;
    const std::size_t bytes = std::min({ready, rest, RingFrame::kMostData});
    constexpr std::size_t kLeast = 32 * 1024; // less is not worth a call
    if (bytes == 0 || bytes < std::min(rest, kLeast)) return false;
    begin_frame({.type = RingFrame::data,
                 .operation = operation_.kind,
                 .sequence = sequence_,
                 .total = operation_.total},
                operation_.data + piece.begin + sent_.within, bytes);
    sent_.within += bytes;
    sent_.total += bytes;
    advance(sent_, operation_.sent);
    return true;
  }

  // True if nothing is left to send.
  bool flush() {
    if (!next_open_) lost(next(), "it has closed its connection");
    while (out_left() != 0) {
      iovec parts[2] = {
          {reinterpret_cast<char*>(&out_frame_) + out_header_, sizeof out_frame_ - out_header_},
          {const_cast<std::byte*>(out_data_), out_payload_}};
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = 2;
      const ssize_t sent = ::sendmsg(links_.next.fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0) {
        if (errno == EAGAIN) return false;
        if (errno == EINTR) continue;
        const int error = errno;
        listen_to_next(); // it may have said why
        lost(next(), std::strerror(error));
      }
      auto left = static_cast<std::size_t>(sent);
      const std::size_t header = std::min(left, sizeof out_frame_ - out_header_);
      out_header_ += header;
      left -= header;
      out_data_ += left;
      out_payload_ -= left;
      last_sent_ = Clock::now();
    }
    return true;
  }

  // The next rank says nothing but why it has given up.
  void listen_to_next() {
    for (;;) {
      const ssize_t got =
          ::recv(links_.next.fd(), back_ + back_have_, sizeof back_ - back_have_, MSG_DONTWAIT);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0 || back_have_ == sizeof back_) {
        next_open_ = false;
        if (sending() || out_left() != 0) lost(next(), "it has closed its connection");
        return;
      }
      back_have_ += static_cast<std::size_t>(got);
      RingFrame frame;
      if (back_have_ < sizeof frame) continue;
      std::memcpy(&frame, back_, sizeof frame);
      if (frame.magic != RingFrame::kMagic || frame.type != RingFrame::aborted ||
          frame.bytes > RingFrame::kMostText)
        nonsense(next());
      if (back_have_ < sizeof frame + frame.bytes) continue;
      told(frame, {reinterpret_cast<const char*>(back_) + sizeof frame, frame.bytes});
    }
  }

  // ---- receiving ---------------------------------------------------------------------------
  // A frame of data that is not this operation's: the caller has not come so far yet.
  [[nodiscard]] bool holding() const {
    return in_header_ == sizeof in_frame_ && in_frame_.type == RingFrame::data &&
           (!receiving() || in_frame_.sequence != sequence_);
  }

  void receive() {
    for (;;) {
      if (in_header_ < sizeof in_frame_) {
        if (!read_some(reinterpret_cast<std::byte*>(&in_frame_) + in_header_,
                       sizeof in_frame_ - in_header_, in_header_))
          return;
        if (in_header_ < sizeof in_frame_) continue;
        in_have_ = 0;
        check_frame();
      }
      if (in_frame_.type == RingFrame::alive) {
        in_header_ = 0;
        continue;
      }
      if (in_frame_.type == RingFrame::aborted) {
        while (in_have_ < in_frame_.bytes)
          if (!read_some(scratch_.data() + in_have_, in_frame_.bytes - in_have_, in_have_)) return;
        told(in_frame_, {reinterpret_cast<const char*>(scratch_.data()), in_frame_.bytes});
      }
      if (holding()) return;
      if (in_have_ == 0) check_data();
      if (!receive_data()) return;
      send_ready();
      if (!receiving()) return;
    }
  }

  void check_frame() {
    const bool known =
        in_frame_.magic == RingFrame::kMagic && in_frame_.zero == 0 &&
        ((in_frame_.type == RingFrame::alive && in_frame_.bytes == 0) ||
         (in_frame_.type == RingFrame::aborted && in_frame_.bytes <= RingFrame::kMostText) ||
         (in_frame_.type == RingFrame::data && in_frame_.bytes > 0 &&
          in_frame_.bytes <= RingFrame::kMostData && in_frame_.sequence >= sequence_));
    if (!known) nonsense(previous());
  }

  void check_data() {
    if (in_frame_.operation != operation_.kind || in_frame_.total != operation_.total)
      throw Broken{{-1, name(previous()) + " and " + name(rank_) +
                            " are not at the same operation of the training"}};
    const std::size_t rest = operation_.received[received_.piece].bytes - received_.within;
    const std::size_t unit = operation_.kind == RingOperation::all_reduce ? sizeof(float) : 1;
    if (in_frame_.bytes > rest || in_frame_.bytes % unit != 0) nonsense(previous());
  }

  // The payload of the frame under way; true if it is complete.
  bool receive_data() {
    const bool adds = received_.piece < operation_.added;
    std::byte* target =
        operation_.data + operation_.received[received_.piece].begin + received_.within;
    while (in_have_ < in_frame_.bytes) {
      const std::size_t before = in_have_;
      std::byte* into = adds ? scratch_.data() + in_have_ : target + (in_have_ - in_counted_);
      const bool more = read_some(into, in_frame_.bytes - in_have_, in_have_);
      if (in_have_ == before && !more) return false;
      count(adds, target);
      if (!more) return false;
      target = received_target();
    }
    in_header_ = 0;
    in_have_ = in_counted_ = 0;
    advance(received_, operation_.received);
    return true;
  }
  std::byte* received_target() const {
    return operation_.data + operation_.received[received_.piece].begin + received_.within;
  }

  // Takes what has come since in_counted_ into account: whole floats where they are added.
  void count(bool adds, std::byte* target) {
    std::size_t fresh = in_have_ - in_counted_;
    if (adds) {
      fresh -= fresh % sizeof(float);
      const auto* from = reinterpret_cast<const float*>(scratch_.data() + in_counted_);
      auto* to = reinterpret_cast<float*>(target);
      for (std::size_t i = 0; i < fresh / sizeof(float); ++i)
        to[i] += from[i];
    }
    in_counted_ += fresh;
    received_.within += fresh;
    received_.total += fresh;
  }

  // Adds to `have` what was read at once; false if nothing more is there now.
  bool read_some(std::byte* into, std::size_t most, std::size_t& have) {
    for (;;) {
      const ssize_t got = ::recv(links_.previous.fd(), into, most, MSG_DONTWAIT);
      if (got > 0) {
        last_heard_ = Clock::now();
        have += static_cast<std::size_t>(got);
        return true;
      }
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return false;
      previous_open_ = false;
      // Only a fault if more is to come of it: it may have finished before us.
      closed_ = got == 0 ? "it has closed its connection" : std::strerror(errno);
      if (receiving()) lost(previous(), closed_);
      return false;
    }
  }

  [[noreturn]] void nonsense(int rank) const {
    throw Broken{{rank, name(rank) + " was lost: it sent something that is not of a ring"}};
  }
  [[noreturn]] void told(const RingFrame& frame, std::string_view text) const {
    const int blamed = frame.rank >= 0 && frame.rank < size_ ? frame.rank : -1;
    throw Broken{{blamed, std::string(text)}};
  }

  // ---- the end -----------------------------------------------------------------------------
  // Tells both neighbours, and whoever waits here. A frame that is half sent is filled up, so that
  // the next rank finds the beginning of the one after it.
  void give_up(const CollectiveFailure& failure) noexcept {
    const auto until = Clock::now() + std::chrono::seconds(1);
    std::byte message[sizeof(RingFrame) + RingFrame::kMostText];
    RingFrame frame{.type = RingFrame::aborted};
    frame.rank = failure.rank;
    frame.bytes = static_cast<std::uint32_t>(std::min(failure.reason.size(), RingFrame::kMostText));
    std::memcpy(message, &frame, sizeof frame);
    std::memcpy(message + sizeof frame, failure.reason.data(), frame.bytes);
    const std::size_t bytes = sizeof frame + frame.bytes;
    if (previous_open_) (void)send_all(links_.previous, message, bytes, until);
    if (next_open_ && failure.rank != next()) {
      bool whole = true;
      if (out_left() != 0 && (out_header_ != 0 || out_payload_ != out_frame_.bytes)) {
        whole = send_all(links_.next, reinterpret_cast<char*>(&out_frame_) + out_header_,
                         sizeof out_frame_ - out_header_, until) &&
                send_all(links_.next, out_data_, out_payload_, until);
      }
      if (whole) (void)send_all(links_.next, message, bytes, until);
    }
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    changed_.notify_all();
  }

  const int rank_, size_;
  const Clock::duration silence_, longest_;
  RingLinks links_;
  Socket wake_;
  std::thread thread_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<RingOperation> queue_;
  std::uint64_t posted_ = 0, finished_ = 0;
  std::optional<CollectiveFailure> failure_;
  std::string abort_reason_;
  bool ending_ = false;
  std::atomic<bool> expecting_{false};

  // Of the ring's thread.
  RingOperation operation_;
  bool busy_ = false, previous_open_ = true, next_open_ = true;
  std::uint64_t sequence_ = 0;
  Position sent_, received_;
  Clock::time_point started_, last_heard_, last_sent_;
  Clock::time_point expected_since_ = Clock::time_point::max();
  RingFrame out_frame_;
  std::size_t out_header_ = sizeof(RingFrame), out_payload_ = 0;
  const std::byte* out_data_ = nullptr;
  RingFrame in_frame_;
  std::size_t in_header_ = 0, in_have_ = 0, in_counted_ = 0;
  std::vector<std::byte> scratch_;
  std::byte back_[sizeof(RingFrame) + RingFrame::kMostText];
  std::size_t back_have_ = 0;
  std::string closed_;
};

void check(const CollectiveOptions& options) {
  const auto invalid = [](const std::string& what) { throw Error(ErrorKind::invalid, what); };
  if (options.size < 1 || options.size > 4096)
    invalid("a job has 1 to 4096 ranks, not " + std::to_string(options.size));
  if (options.rank < 0 || options.rank >= options.size)
    invalid("rank " + std::to_string(options.rank) + " is not one of " +
            std::to_string(options.size));
  if (options.size == 1) return;
  if (options.token.empty()) invalid("the ranks of a job need a token");
  if (options.port == 0) invalid("the ranks of a job need a port to meet at");
  for (const double time :
       {options.join_seconds, options.silence_seconds, options.operation_seconds})
    if (!(time > 0.0 && time <= 1e6)) invalid("a time limit of the ranks is out of range");
}

} // namespace

void Collective::barrier() {
  const char mine = 0;
  std::vector<char> all(static_cast<std::size_t>(size()));
  all_gather(&mine, all.data(), 1);
}

std::unique_ptr<HostRing> make_host_ring(const CollectiveOptions& options) {
  check(options);
  return std::make_unique<Ring>(options);
}

std::unique_ptr<Collective> make_ring(const CollectiveOptions& options) {
  return make_host_ring(options);
}

} // namespace mlp::kernels
