// Non-blocking sockets and poll(); every wait ends at the caller's deadline.
#include "kernels/collective/socket.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

namespace mlp::kernels {

namespace {

[[noreturn]] void unavailable(const std::string& what, int error) {
  throw Error(ErrorKind::unavailable, what + ": " + std::strerror(error));
}

sockaddr_in6 socket_address(const Endpoint& endpoint) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(endpoint.port);
  std::memcpy(&address.sin6_addr, endpoint.address, sizeof endpoint.address);
  return address;
}

Endpoint endpoint_of(const sockaddr_storage& storage) {
  Endpoint endpoint;
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &storage, sizeof v6);
    std::memcpy(endpoint.address, &v6.sin6_addr, sizeof endpoint.address);
    endpoint.port = ntohs(v6.sin6_port);
  } else if (storage.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &storage, sizeof v4);
    endpoint.address[10] = endpoint.address[11] = 0xff;
    std::memcpy(endpoint.address + 12, &v4.sin_addr, 4);
    endpoint.port = ntohs(v4.sin_port);
  }
  return endpoint;
}

bool is_ipv4(const Endpoint& endpoint) {
  static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(endpoint.address, kMapped, sizeof kMapped) == 0;
}

// An IPv4 address gets an IPv4 socket: some machines have no IPv6 at all.
struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  explicit Address(const Endpoint& endpoint) {
    if (is_ipv4(endpoint)) {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = htons(endpoint.port);
      std::memcpy(&v4.sin_addr, endpoint.address + 12, 4);
      std::memcpy(&storage, &v4, sizeof v4);
      size = sizeof v4;
    } else {
      const sockaddr_in6 v6 = socket_address(endpoint);
      std::memcpy(&storage, &v6, sizeof v6);
      size = sizeof v6;
    }
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Socket new_socket(const Endpoint& endpoint) {
  const int family = is_ipv4(endpoint) ? AF_INET : AF_INET6;
  Socket socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.open()) unavailable("cannot open a socket", errno);
  return socket;
}

void without_delay(const Socket& socket) {
  const int on = 1;
  (void)::setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool wait_for(const Socket& socket, short events, Clock::time_point until) noexcept {
  pollfd entry{socket.fd(), events, 0};
  for (;;) {
    const int ready = ::poll(&entry, 1, milliseconds_until(until));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

} // namespace

void Socket::close() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

int milliseconds_until(Clock::time_point until) noexcept {
  constexpr std::int64_t kMost = 3'600'000;
  if (until == Clock::time_point::max()) return kMost;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, kMost));
}

Endpoint resolve(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (code != 0 || found == nullptr)
    throw Error(ErrorKind::unavailable, "cannot resolve '" + host + "': " + ::gai_strerror(code));
  sockaddr_storage storage{};
  std::memcpy(&storage, found->ai_addr, std::min<std::size_t>(found->ai_addrlen, sizeof storage));
  ::freeaddrinfo(found);
  Endpoint endpoint = endpoint_of(storage);
  endpoint.port = port;
  return endpoint;
}

Socket listen_on(Endpoint& at) {
  Socket socket = new_socket(at);
  const int on = 1;
  (void)::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const Address address(at);
  constexpr int kWaiting = 256;
  if (::bind(socket.fd(), address.get(), address.size) != 0 || ::listen(socket.fd(), kWaiting) != 0)
    unavailable("cannot listen on " + text_of(at), errno);
  at.port = local_endpoint(socket).port;
  return socket;
}

Socket connect_to(const Endpoint& to, Clock::time_point until) {
  const Address address(to);
  for (;;) {
    Socket socket = new_socket(to);
    int error = 0;
    if (::connect(socket.fd(), address.get(), address.size) != 0) {
      error = errno;
      if (error == EINPROGRESS) {
        if (!wait_for(socket, POLLOUT, until)) return {};
        socklen_t size = sizeof error;
        (void)::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
      }
    }
    if (error == 0) {
      without_delay(socket);
      return socket;
    }
    constexpr auto kPause = std::chrono::milliseconds(20);
    if (Clock::now() + kPause >= until) return {};
    std::this_thread::sleep_for(kPause);
  }
}

Socket accept_from(const Socket& listener) {
  Socket socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket.open()) without_delay(socket);
  return socket;
}

Endpoint local_endpoint(const Socket& socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  (void)::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&storage), &size);
  return endpoint_of(storage);
}

Endpoint remote_endpoint(const Socket& socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  (void)::getpeername(socket.fd(), reinterpret_cast<sockaddr*>(&storage), &size);
  return endpoint_of(storage);
}

std::string text_of(const Endpoint& endpoint) {
  char text[INET6_ADDRSTRLEN] = "";
  const bool v4 = is_ipv4(endpoint);
  (void)::inet_ntop(v4 ? AF_INET : AF_INET6, endpoint.address + (v4 ? 12 : 0), text, sizeof text);
  std::string whole;
  if (!v4) whole += '[';
  whole += text;
  if (!v4) whole += ']';
  whole += ':';
  whole += std::to_string(endpoint.port);
  return whole;
}

bool send_all(const Socket& socket, const void* data, std::size_t bytes,
              Clock::time_point until) noexcept {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t sent = ::send(socket.fd(), at, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      at += sent;
      bytes -= static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN || errno == EINTR) {
      if (!wait_for(socket, POLLOUT, until)) return false;
    } else {
      return false;
    }
  }
  return true;
}

bool receive_all(const Socket& socket, void* data, std::size_t bytes,
                 Clock::time_point until) noexcept {
  auto* at = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t got = ::recv(socket.fd(), at, bytes, MSG_DONTWAIT);
    if (got > 0) {
      at += got;
      bytes -= static_cast<std::size_t>(got);
    } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      if (!wait_for(socket, POLLIN, until)) return false;
    } else {
      return false;
    }
  }
  return true;
}

} // namespace mlp::kernels
