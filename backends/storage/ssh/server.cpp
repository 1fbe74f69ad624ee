// The thread that reads takes the bytes of objects itself, so that a slow disk slows the sender,
// and hands all else to a pool. A thread of its own gives signs of life while there is work.
#include "backends/storage/ssh/server.hpp"

#include "backends/storage/ssh/wire.hpp"
#include "core/base/text.hpp"
#include "core/data/task_pool.hpp"
#include "core/net/url.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <thread>

namespace mlp::storage {

namespace {

using data::Bytes;
using data::ByteSpan;

constexpr unsigned workers = 8;
constexpr std::size_t queued_requests = 32;
constexpr std::size_t part_bytes = 512 * 1024;
constexpr std::size_t input_bytes = 256 * 1024;

// Frames to the client, from any thread. Once the client has gone they are dropped.
class FrameWriter {
 public:
  explicit FrameWriter(int out) : out_(out) {}

  void raw(ByteSpan bytes) {
    const std::lock_guard lock(mutex_);
    write(bytes, {});
  }
  void frame(FrameKind kind, std::uint32_t id, ByteSpan payload = {}) {
    const auto header =
        encode_header({.size = static_cast<std::uint32_t>(payload.size()), .id = id, .kind = kind});
    const std::lock_guard lock(mutex_);
    write(header, payload);
  }
  [[nodiscard]] bool gone() const noexcept { return gone_; }

 private:
  void write(ByteSpan front, ByteSpan back) {
    iovec parts[2] = {{const_cast<std::byte*>(front.data()), front.size()},
                      {const_cast<std::byte*>(back.data()), back.size()}};
    std::size_t first = 0;
    while (!gone_) {
      while (first < 2 && parts[first].iov_len == 0)
        ++first;
      if (first == 2) return;
      const ssize_t n = ::writev(out_, &parts[first], static_cast<int>(2 - first));
      if (n < 0 && errno == EAGAIN) { // a descriptor that someone has made not to block
        pollfd fd{out_, POLLOUT, 0};
        ::poll(&fd, 1, -1);
      } else if (n < 0 && errno != EINTR) {
        gone_ = true;
      }
      for (auto left = static_cast<std::size_t>(std::max<ssize_t>(n, 0)); left > 0;) {
        const std::size_t done = std::min(left, parts[first].iov_len);
        parts[first].iov_base = static_cast<std::byte*>(parts[first].iov_base) + done;
        parts[first].iov_len -= done;
        left -= done;
        if (parts[first].iov_len == 0) ++first;
      }
    }
  }

  const int out_;
  std::mutex mutex_;
  std::atomic<bool> gone_ = false;
};

// Calls back in an interval while it lives.
class Ticker {
 public:
  Ticker(std::chrono::milliseconds interval, std::function<void()> tick)
      : thread_([this, interval, tick = std::move(tick)](const std::stop_token& stop) {
          std::unique_lock lock(mutex_);
          while (!never_.wait_for(lock, stop, interval, [&] { return stop.stop_requested(); }))
            tick();
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any never_;
  std::jthread thread_;
};

class Server {
 public:
  Server(data::Storage& storage, const fs::path& path, const std::string& software, int in, int out)
      : storage_(storage), path_(path), software_(software), in_(in), writer_(out) {}

  void run();

 private:
  // A request being worked on, for the signs of life.
  class Busy {
   public:
    explicit Busy(std::atomic<unsigned>& count) : count_(count) { ++count_; }
    ~Busy() { --count_; }
    Busy(const Busy&) = delete;

   private:
    std::atomic<unsigned>& count_;
  };

  void take(const FrameReader::Piece& piece);
  void greet(ByteSpan payload);
  void begin_request(FrameKind kind, std::uint32_t id, ByteSpan payload);
  void begin_write(std::uint32_t id, const std::string& name);
  void append(std::uint32_t id, ByteSpan bytes);
  void commit(std::uint32_t id);
  void work(std::uint32_t id, const std::function<void()>& body); // in the pool
  // Calls `body` and tells the client of its Error.
  bool attempt(std::uint32_t id, const std::function<void()>& body);
  void answer(std::uint32_t id, const WireRequest& request);
  void answer_read(std::uint32_t id, const WireRequest& request);
  void answer_read_file(std::uint32_t id, const WireRequest& request);
  void send_range(std::uint32_t id, const WireRequest& request,
                  const std::function<std::size_t(std::uint64_t, std::span<std::byte>)>& read);
  void send_answer(std::uint32_t id, const Bytes& answer);
  [[nodiscard]] File open_file(FileState& state) const;

  data::Storage& storage_;
  const fs::path path_;
  const std::string software_;
  const int in_;
  FrameWriter writer_;
  FrameReader frames_;
  Bytes payload_; // of the request being read
  bool greeted_ = false;
  std::atomic<unsigned> busy_ = 0;
  std::map<std::uint32_t, std::unique_ptr<data::ObjectWriter>> streams_;
  std::optional<Ticker> ticker_;
  std::unique_ptr<data::TaskPool> pool_; // its tasks use the rest
};

void Server::run() {
  writer_.raw(data::bytes_of(wire_magic));
  std::vector<std::byte> buffer(input_bytes);
  try {
    while (!writer_.gone()) {
      const ssize_t n = ::read(in_, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) {
        pollfd fd{in_, POLLIN, 0};
        ::poll(&fd, 1, -1);
        continue;
      }
      if (n <= 0) break;
      ByteSpan bytes = ByteSpan(buffer).first(static_cast<std::size_t>(n));
      while (const auto piece = frames_.next(bytes))
        take(*piece);
    }
  } catch (const Error& error) {
    pool_.reset();
    writer_.frame(FrameKind::error, 0, encode_error(error));
    throw;
  }
  pool_.reset();
  ticker_.reset();
}

void Server::take(const FrameReader::Piece& piece) {
  const FrameHeader& header = piece.header;
  if (greeted_ && header.kind == FrameKind::data) return append(header.id, piece.bytes);
  payload_.insert(payload_.end(), piece.bytes.begin(), piece.bytes.end());
  if (!piece.last) return;
  const Bytes payload = std::exchange(payload_, {});
  if (!greeted_) {
    if (header.kind != FrameKind::hello)
      throw Error(ErrorKind::integrity, "this is no client of an ssh: remote");
    return greet(payload);
  }
  if (header.kind == FrameKind::commit) return commit(header.id);
  if (header.kind == FrameKind::abandon) {
    if (streams_.erase(header.id) > 0) --busy_;
    return;
  }
  begin_request(header.kind, header.id, payload);
}

void Server::greet(ByteSpan payload) {
  const ClientHello hello = decode_client_hello(payload);
  greeted_ = true;
  writer_.frame(FrameKind::hello, 0,
                encode_hello(ServerHello{.version = std::min(wire_version, hello.version),
                                         .software = software_}));
  pool_ = std::make_unique<data::TaskPool>(workers, queued_requests);
  ticker_.emplace(std::chrono::milliseconds(std::clamp(hello.alive_ms, 10u, 60'000u)), [this] {
    if (busy_ > 0) writer_.frame(FrameKind::alive, 0);
  });
}

bool Server::attempt(std::uint32_t id, const std::function<void()>& body) {
  try {
    body();
    return true;
  } catch (const Error& error) {
    writer_.frame(FrameKind::error, id, encode_error(error));
  } catch (const std::exception& error) {
    writer_.frame(FrameKind::error, id, encode_error(Error(ErrorKind::failed, error.what())));
  }
  return false;
}

void Server::work(std::uint32_t id, const std::function<void()>& body) {
  // Counted from now, while it waits in the queue too.
  static_cast<void>(
      pool_->submit([this, id, body, busy = std::make_shared<Busy>(busy_)] { attempt(id, body); }));
}

void Server::begin_request(FrameKind kind, std::uint32_t id, ByteSpan payload) {
  WireRequest request = decode_request(kind, payload);
  if (id == 0 || streams_.contains(id))
    throw Error(ErrorKind::integrity, "a request has an id that is in use");
  if (kind == FrameKind::write) return begin_write(id, request.names[0]);
  work(id, [this, id, request = std::move(request)] { answer(id, request); });
}

void Server::begin_write(std::uint32_t id, const std::string& name) {
  if (streams_.size() >= max_streams)
    throw Error(ErrorKind::integrity, "too many objects are written at once");
  std::unique_ptr<data::ObjectWriter> writer;
  if (!attempt(id, [&] { writer = storage_.write(name); })) return;
  streams_.emplace(id, std::move(writer));
  ++busy_;
}

void Server::append(std::uint32_t id, ByteSpan bytes) {
  const auto stream = streams_.find(id);
  if (stream == streams_.end()) return; // it has failed, which the client is being told
  if (attempt(id, [&] { stream->second->append(bytes); })) return;
  streams_.erase(stream);
  --busy_;
}

void Server::commit(std::uint32_t id) {
  const auto stream = streams_.find(id);
  if (stream == streams_.end()) return;
  const std::shared_ptr<data::ObjectWriter> writer = std::move(stream->second);
  streams_.erase(stream);
  work(id, [this, id, writer] {
    writer->commit();
    writer_.frame(FrameKind::done, id);
  });
  --busy_;
}

void Server::send_answer(std::uint32_t id, const Bytes& answer) {
  ByteSpan left(answer);
  while (left.size() > max_frame) {
    writer_.frame(FrameKind::part, id, left.first(max_frame));
    left = left.subspan(max_frame);
  }
  writer_.frame(FrameKind::done, id, left);
}

void Server::answer(std::uint32_t id, const WireRequest& request) {
  switch (request.kind) {
  case FrameKind::has:
    return send_answer(id, encode_sizes(storage_.has(request.names)));
  case FrameKind::read:
    return answer_read(id, request);
  case FrameKind::list:
    return send_answer(id, encode_page(storage_.list(request.text, request.after,
                                                     static_cast<std::size_t>(request.size))));
  case FrameKind::remove:
    storage_.remove(request.names);
    return send_answer(id, {});
  case FrameKind::read_ref:
    return send_answer(id, encode_ref(storage_.read_ref(request.names[0])));
  case FrameKind::swap:
    return send_answer(id, encode_swap(storage_.compare_and_swap(request.names[0], request.expected,
                                                                 request.desired)));
  case FrameKind::clean: {
    auto* cleaner = storage_.ability<data::AbandonedWrites>();
    return send_answer(id,
                       encode_count(cleaner != nullptr ? cleaner->remove_abandoned_writes() : 0));
  }
  case FrameKind::stat_file: {
    FileState state;
    static_cast<void>(open_file(state));
    return send_answer(id, encode_file_state(state));
  }
  default:
    return answer_read_file(id, request);
  }
}

void Server::send_range(
    std::uint32_t id, const WireRequest& request,
    const std::function<std::size_t(std::uint64_t, std::span<std::byte>)>& read) {
  thread_local std::vector<std::byte> buffer(part_bytes);
  std::uint64_t done = 0;
  while (true) {
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(request.size - done, part_bytes));
    const std::size_t n = read(request.offset + done, std::span(buffer).first(wanted));
    done += n;
    if (n < wanted || done == request.size || writer_.gone())
      return writer_.frame(FrameKind::done, id, ByteSpan(buffer).first(n));
    writer_.frame(FrameKind::part, id, ByteSpan(buffer).first(n));
  }
}

void Server::answer_read(std::uint32_t id, const WireRequest& request) {
  const std::string& name = request.names[0];
  // Beyond what any file can hold an object is only looked for.
  const bool beyond = request.offset > std::numeric_limits<std::uint64_t>::max() - request.size;
  send_range(id, request, [&](std::uint64_t offset, std::span<std::byte> into) {
    return beyond ? storage_.read(name, request.offset, into) : storage_.read(name, offset, into);
  });
}

File Server::open_file(FileState& state) const {
  const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) throw system_error(errno, "read", path_.native());
  File file(fd, path_.native());
  struct stat info {};
  if (::fstat(fd, &info) != 0) throw system_error(errno, "read", path_.native());
  if (!S_ISREG(info.st_mode))
    throw Error(ErrorKind::failed, fmt::format("'{}' is not a file", path_.native()));
  state.size = static_cast<std::uint64_t>(info.st_size);
  state.state = fmt::format("{:x}-{:x}-{}-{}.{:09}", info.st_dev, info.st_ino, info.st_size,
                            info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  return file;
}

void Server::answer_read_file(std::uint32_t id, const WireRequest& request) {
  FileState state;
  const File file = open_file(state);
  if (state.state != request.text)
    throw Error(ErrorKind::conflict, fmt::format("'{}' was changed meanwhile", path_.native()));
  if (request.offset > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) - max_read)
    return send_answer(id, {});
  send_range(id, request, [&](std::uint64_t offset, std::span<std::byte> into) {
    return file.read_at(into, offset);
  });
}

} // namespace

fs::path served_path(const std::string& encoded, const std::string& home) {
  const auto refuse = [&](std::string_view reason) {
    return Error(ErrorKind::config,
                 fmt::format("'{}' is not served: {}", printable(encoded), reason))
        .with_hint("give an absolute path, or /~/path below the home, percent-encoded as in a URL");
  };
  const auto path = net::percent_decode(encoded);
  if (!path) throw refuse("a '%' without two hexadecimal digits");
  if (path->empty() || path->front() != '/') throw refuse("it is not absolute");
  if (!path->starts_with("/~/")) return *path;
  if (home.empty()) throw refuse("there is no home: HOME is not set");
  return fs::path(home) / path->substr(3);
}

void serve_storage(data::Storage& storage, const fs::path& path, const std::string& software,
                   int in, int out) {
  Server(storage, path, software, in, out).run();
}

} // namespace mlp::storage
