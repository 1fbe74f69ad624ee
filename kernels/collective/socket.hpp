// TCP sockets with deadlines: what the rendezvous and the ring are made of.
#pragma once

#include "kernels/device.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace mlp::kernels {

using Clock = std::chrono::steady_clock;

[[nodiscard]] inline Clock::duration seconds(double count) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(count));
}

// Owns a descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) noexcept : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() { close(); }
  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] bool open() const noexcept { return fd_ >= 0; }
  void close() noexcept;

 private:
  int fd_ = -1;
};

// A host's address as it travels between ranks; IPv4 is mapped into IPv6 (RFC 4291, 2.5.5.2).
struct Endpoint {
  std::uint8_t address[16] = {};
  std::uint16_t port = 0;
};

// Throws kernels::Error{unavailable} for a name that does not resolve.
[[nodiscard]] Endpoint resolve(const std::string& host, std::uint16_t port);
// Non-blocking listener. Port 0: any; `at` is set to what it became. Throws Error{unavailable}.
[[nodiscard]] Socket listen_on(Endpoint& at);
// A connection, or one that is not open if nobody has answered by `until`; refused connections
// are tried again until then, since the other side may start later.
[[nodiscard]] Socket connect_to(const Endpoint& to, Clock::time_point until);
// The next waiting connection, non-blocking; not open if there is none.
[[nodiscard]] Socket accept_from(const Socket& listener);
[[nodiscard]] Endpoint local_endpoint(const Socket& socket);
[[nodiscard]] Endpoint remote_endpoint(const Socket& socket);
[[nodiscard]] std::string text_of(const Endpoint& endpoint);

// All bytes, or false: the peer is gone, or `until` has passed.
[[nodiscard]] bool send_all(const Socket& socket, const void* data, std::size_t bytes,
                            Clock::time_point until) noexcept;
[[nodiscard]] bool receive_all(const Socket& socket, void* data, std::size_t bytes,
                               Clock::time_point until) noexcept;
// Milliseconds until then for poll(), rounded up; 0 if it has passed.
[[nodiscard]] int milliseconds_until(Clock::time_point until) noexcept;

} // namespace mlp::kernels
