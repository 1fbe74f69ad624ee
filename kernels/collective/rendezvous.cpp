// Both sides of a connection prove the token by a keyed hash over the other's random number, so
// that a recorded proof is worth nothing. Whoever cannot, or says nothing, is turned away and
// holds nobody up.
#include "kernels/collective/rendezvous.hpp"

#include "kernels/collective/siphash.hpp"

#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <list>
#include <thread>
#include <vector>

namespace mlp::kernels {

namespace {

constexpr char kMagic[8] = {'m', 'l', 'p', 'r', 'i', 'n', 'g', '1'};
enum class Purpose : std::uint32_t { join, neighbour };

struct Hello {
  char magic[8];
  Purpose purpose;
  std::uint32_t rank, size, port;
  std::uint64_t nonce;
};
struct Challenge {
  std::uint64_t nonce, proof;
};
static_assert(sizeof(Hello) == 32 && sizeof(Challenge) == 16);
static_assert(std::endian::native == std::endian::little, "messages are little-endian");

std::uint64_t random_number() {
  std::uint64_t value = 0;
  if (::getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value))
    throw Error(ErrorKind::failed, "the system gives no random numbers");
  return value;
}

std::uint64_t host_proof(const SipKey& key, const Hello& hello, std::uint64_t nonce) {
  const std::uint64_t words[] = {1, hello.nonce, nonce};
  return siphash(key, {reinterpret_cast<const std::uint8_t*>(words), sizeof words});
}

std::uint64_t guest_proof(const SipKey& key, const Hello& hello, std::uint64_t nonce) {
  const std::uint64_t words[] = {2,          nonce,      hello.nonce, std::uint64_t(hello.purpose),
                                 hello.rank, hello.size, hello.port};
  return siphash(key, {reinterpret_cast<const std::uint8_t*>(words), sizeof words});
}

[[noreturn]] void unavailable(const std::string& what, const std::string& hint = {}) {
  throw Error(ErrorKind::unavailable, what, hint);
}

std::string plural(int count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// Lets in whoever proves the token; keeps several half-introduced guests at a time.
class Door {
 public:
  Door(const Socket& listener, const SipKey& key) : listener_(listener), key_(key) {}

  struct Guest {
    Socket socket;
    Hello hello{};
  };
  // The next one that has proved it; not open if there was none by `until`.
  Guest next(Clock::time_point until) {
    for (;;) {
      std::vector<pollfd> entries{{listener_.fd(), POLLIN, 0}};
      if (pending_.size() >= kMostPending) entries[0].fd = -1;
      auto wake = until;
      for (const Pending& guest : pending_) {
        entries.push_back({guest.socket.fd(), POLLIN, 0});
        wake = std::min(wake, guest.until);
      }
      if (::poll(entries.data(), entries.size(), milliseconds_until(wake)) < 0 && errno != EINTR)
        unavailable("cannot wait for other ranks: " + std::string(std::strerror(errno)));
      if (Socket socket = accept_from(listener_); socket.open())
        pending_.push_back({std::move(socket), {}, {}, 0, false, Clock::now() + seconds(5.0)});
      for (auto guest = pending_.begin(); guest != pending_.end();) {
        const State state = read(*guest);
        if (state == State::proved) {
          Guest proved{std::move(guest->socket), guest->hello};
          pending_.erase(guest);
          return proved;
        }
        if (state == State::refused || Clock::now() >= guest->until) {
          ++refused_;
          guest = pending_.erase(guest);
        } else {
          ++guest;
        }
      }
      if (Clock::now() >= until) return {};
    }
  }
  [[nodiscard]] int refused() const noexcept { return refused_; }

 private:
  static constexpr std::size_t kMostPending = 64;
  enum class State { waiting, proved, refused };
  struct Pending {
    Socket socket;
    Hello hello;
    Challenge challenge;
    std::size_t have;
    bool challenged;
    Clock::time_point until;
    std::uint64_t proof = 0;
  };

  // Reads what has come of a hello, then of a proof.
  State read(Pending& guest) {
    for (;;) {
      void* into = guest.challenged ? static_cast<void*>(&guest.proof) : &guest.hello;
      const std::size_t size = guest.challenged ? sizeof guest.proof : sizeof guest.hello;
      const ssize_t got = ::recv(guest.socket.fd(), static_cast<char*>(into) + guest.have,
                                 size - guest.have, MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return State::waiting;
      if (got <= 0) return State::refused;
      guest.have += static_cast<std::size_t>(got);
      if (guest.have < size) continue;
      guest.have = 0;
      if (guest.challenged)
        return guest.proof == guest_proof(key_, guest.hello, guest.challenge.nonce)
                   ? State::proved
                   : State::refused;
      if (std::memcmp(guest.hello.magic, kMagic, sizeof kMagic) != 0) return State::refused;
      guest.challenge.nonce = random_number();
      guest.challenge.proof = host_proof(key_, guest.hello, guest.challenge.nonce);
      guest.challenged = true;
      if (!send_all(guest.socket, &guest.challenge, sizeof guest.challenge, guest.until))
        return State::refused;
    }
  }

  const Socket& listener_;
  SipKey key_;
  std::list<Pending> pending_;
  int refused_ = 0;
};

// The other side of a Door.
void introduce(const Socket& socket, const SipKey& key, Hello hello, const std::string& host,
               Clock::time_point until) {
  hello.nonce = random_number();
  Challenge challenge{};
  if (!send_all(socket, &hello, sizeof hello, until) ||
      !receive_all(socket, &challenge, sizeof challenge, until))
    unavailable(host + " does not answer as a rank of this job");
  if (challenge.proof != host_proof(key, hello, challenge.nonce))
    unavailable(host + " holds another token: it belongs to another job",
                "choose another MASTER_PORT");
  const std::uint64_t proof = guest_proof(key, hello, challenge.nonce);
  if (!send_all(socket, &proof, sizeof proof, until))
    unavailable(host + " has closed the connection");
}

class Rendezvous {
 public:
  explicit Rendezvous(const CollectiveOptions& options)
      : options_(options), key_(sip_key(options.token)),
        until_(Clock::now() + seconds(options.join_seconds)),
        table_(static_cast<std::size_t>(options.size)) {}

  RingLinks run() {
    if (options_.rank == 0)
      host();
    else
      join();
    return connect_ring();
  }

 private:
  [[nodiscard]] Hello hello(Purpose purpose) const {
    Hello message{};
    std::memcpy(message.magic, kMagic, sizeof kMagic);
    message.purpose = purpose;
    message.rank = static_cast<std::uint32_t>(options_.rank);
    message.size = static_cast<std::uint32_t>(options_.size);
    message.port = listening_.port;
    return message;
  }

  void host() {
    listening_ = table_[0] = resolve(options_.address, options_.port);
    listener_ = listen_on(listening_);
    table_[0].port = listening_.port;
    Door door(listener_, key_);
    std::vector<Socket> guests(table_.size());
    for (std::size_t there = 1; there < guests.size();) {
      Door::Guest guest = door.next(until_);
      if (!guest.socket.open()) missing(guests, door.refused());
      const std::uint32_t rank = guest.hello.rank;
      if (guest.hello.purpose != Purpose::join || rank == 0 || rank >= guests.size() ||
          guest.hello.size != guests.size() || guests[rank].open())
        unavailable("rank " + std::to_string(rank) + " of " + std::to_string(guest.hello.size) +
                    " wants to join, which does not fit a job of " + plural(options_.size, "rank") +
                    ", or is there already");
      table_[rank] = remote_endpoint(guest.socket);
      table_[rank].port = static_cast<std::uint16_t>(guest.hello.port);
      guests[rank] = std::move(guest.socket);
      ++there;
    }
    for (std::size_t rank = 1; rank < guests.size(); ++rank)
      if (!send_all(guests[rank], table_.data(), table_.size() * sizeof(Endpoint), until_))
        unavailable("rank " + std::to_string(rank) + " was lost while the ranks gathered");
  }

  [[noreturn]] void missing(const std::vector<Socket>& guests, int refused) const {
    std::string names;
    int count = 0;
    for (std::size_t rank = 1; rank < guests.size(); ++rank) {
      if (guests[rank].open()) continue;
      names += (count++ == 0 ? "" : ", ") + std::to_string(rank);
    }
    std::string what = std::string(count == 1 ? "rank " : "ranks ") + names + " did not join " +
                       text_of(listening_) + " within " +
                       std::to_string(static_cast<int>(options_.join_seconds)) + " s";
    if (refused > 0)
      what += "; " + plural(refused, "connection") + " without the job's token " +
              (refused == 1 ? "was" : "were") + " turned away";
    unavailable(what);
  }

  void join() {
    const Endpoint host = resolve(options_.address, options_.port);
    const std::string name = "rank 0 at " + text_of(host);
    const Socket socket = connect_to(host, until_);
    if (!socket.open()) unavailable(name + " cannot be reached");
    // Listens where rank 0 sees it: on the loopback device, nobody else can connect.
    listening_ = local_endpoint(socket);
    listening_.port = 0;
    listener_ = listen_on(listening_);
    introduce(socket, key_, hello(Purpose::join), name, until_);
    if (!receive_all(socket, table_.data(), table_.size() * sizeof(Endpoint), until_))
      unavailable(name + " has gone, or not all ranks have joined in time");
    table_[0] = host;
  }

  // To the next rank in a thread of its own: all do so at once, and each has to let one in.
  RingLinks connect_ring() {
    RingLinks links;
    const int next = (options_.rank + 1) % options_.size;
    const int previous = (options_.rank + options_.size - 1) % options_.size;
    std::exception_ptr failed;
    std::thread connecting([&] {
      try {
        const Endpoint& to = table_[static_cast<std::size_t>(next)];
        const std::string name = "rank " + std::to_string(next) + " at " + text_of(to);
        links.next = connect_to(to, until_);
        if (!links.next.open()) unavailable(name + " cannot be reached");
        introduce(links.next, key_, hello(Purpose::neighbour), name, until_);
      } catch (...) {
        failed = std::current_exception();
      }
    });
    Door door(listener_, key_);
    try {
      for (;;) {
        Door::Guest guest = door.next(until_);
        if (!guest.socket.open()) break;
        if (guest.hello.purpose == Purpose::neighbour &&
            guest.hello.rank == static_cast<std::uint32_t>(previous)) {
          links.previous = std::move(guest.socket);
          break;
        }
      }
    } catch (...) {
      connecting.join();
      throw;
    }
    connecting.join();
    if (failed) std::rethrow_exception(failed);
    if (!links.previous.open())
      unavailable("rank " + std::to_string(previous) + " did not connect in time");
    return links;
  }

  const CollectiveOptions& options_;
  SipKey key_;
  Clock::time_point until_;
  std::vector<Endpoint> table_; // where each rank listens
  Endpoint listening_;
  Socket listener_;
};

} // namespace

RingLinks join_ring(const CollectiveOptions& options) {
  return Rendezvous(options).run();
}

} // namespace mlp::kernels
