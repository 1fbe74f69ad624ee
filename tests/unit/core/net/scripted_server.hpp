// A TCP server on a port of its own that answers each connection by a function of the test: for
// what real servers do not do on demand (reset, truncate, stall, lie). One thread a connection.
#pragma once

#include "core/base/error.hpp"
#include "core/net/http.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace mlp::test {

// A client that gives up soon.
inline net::HttpOptions quick() {
  using namespace std::chrono_literals;
  net::HttpOptions options;
  options.connect_timeout = 2s;
  options.stall_timeout = 300ms;
  options.retry = {.attempts = 3, .first = 5ms, .longest = 20ms, .total = 5s};
  return options;
}

// A value that the test and the server's threads share.
template <class Value>
class Guarded {
 public:
  template <class Body>
  auto with(Body&& body) {
    const std::lock_guard lock(mutex_);
    return body(value_);
  }
  Value get() {
    return with([](const Value& value) { return value; });
  }

 private:
  std::mutex mutex_;
  Value value_{};
};

// One accepted connection. The descriptor closes with it.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  Peer(Peer&&) = delete;
  ~Peer() {
    if (fd_ >= 0) ::close(fd_);
  }

  // The next request with its body (by Content-Length), "" when the client has closed.
  std::string request() {
    const auto header_end = [&] { return buffer_.find("\r\n\r\n"); };
    while (header_end() == std::string::npos)
      if (!fill()) return "";
    std::size_t size = header_end() + 4;
    if (const auto at = buffer_.find("Content-Length: "); at < size)
      size += std::stoul(buffer_.substr(at + 16));
    if (buffer_.find("Expect: 100-continue") < size) send("HTTP/1.1 100 Continue\r\n\r\n");
    while (buffer_.size() < size)
      if (!fill()) return "";
    std::string whole = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return whole;
  }
  void send(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void answer(unsigned status, std::string_view body, std::string_view headers = {}) const {
    send(fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(),
                     headers, body));
  }
  // RST in place of FIN.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    ::close(fd_);
    fd_ = -1;
  }
  // Ends the waiting of another thread.
  void wake() const {
    if (fd_ >= 0) ::shutdown(fd_, SHUT_RDWR);
  }
  // Until the client goes away.
  void wait_for_close() {
    while (fill()) {
    }
  }

 private:
  bool fill() {
    char block[65536];
    const ssize_t n = ::recv(fd_, block, sizeof block, 0);
    if (n <= 0) return false;
    buffer_.append(block, static_cast<std::size_t>(n));
    return true;
  }
  int fd_;
  std::string buffer_;
};

class ScriptedServer {
 public:
  // `serve` gets each connection and its number, from 1.
  explicit ScriptedServer(std::function<void(Peer&, int)> serve) : serve_(std::move(serve)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw system_error(errno, "listen on", "a port");
    port_ = ntohs(address.sin_port);
    accepting_ = std::thread([this] { accept_all(); });
  }
  ScriptedServer(ScriptedServer&&) = delete;
  ~ScriptedServer() {
    stopping_ = true;
    accepting_.join();
    {
      const std::lock_guard lock(mutex_);
      for (Peer* peer : peers_)
        peer->wake();
    }
    for (auto& thread : threads_)
      thread.join();
    ::close(listener_);
  }

  [[nodiscard]] std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
  [[nodiscard]] int connections() const { return connections_; }

 private:
  void add(Peer* peer) {
    const std::lock_guard lock(mutex_);
    peers_.push_back(peer);
  }
  void remove(Peer* peer) {
    const std::lock_guard lock(mutex_);
    std::erase(peers_, peer);
  }
  void accept_all() {
    while (!stopping_) {
      pollfd ready{listener_, POLLIN, 0};
      if (::poll(&ready, 1, 20) <= 0) continue;
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      const int number = ++connections_;
      threads_.emplace_back([this, fd, number] {
        Peer peer(fd);
        add(&peer);
        serve_(peer, number);
        remove(&peer);
      });
    }
  }

  std::function<void(Peer&, int)> serve_;
  int listener_ = -1;
  unsigned port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> connections_ = 0;
  std::thread accepting_;
  std::mutex mutex_; // over peers_
  std::vector<Peer*> peers_;
  std::vector<std::thread> threads_;
};

} // namespace mlp::test
