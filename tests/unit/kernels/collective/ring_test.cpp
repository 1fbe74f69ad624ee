// The ring with 2 to 4 ranks: exact sums, one order, and what is said when a rank dies, stalls,
// talks nonsense, or is none of ours.
#include "kernels/collective/ring.hpp"
#include "kernels/collective/siphash.hpp"
#include "kernels/collective/socket.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <functional>
#include <numeric>
#include <thread>

using namespace mlp::kernels;

namespace {

std::uint16_t free_port() {
  Endpoint any = resolve("127.0.0.1", 0);
  const Socket held = listen_on(any);
  return any.port;
}

CollectiveOptions options_for(int rank, int size, std::uint16_t port) {
  CollectiveOptions options;
  options.rank = rank;
  options.size = size;
  options.port = port;
  options.token = "0123456789abcdef0123456789abcdef";
  options.join_seconds = 20.0;
  options.silence_seconds = 20.0;
  return options;
}

// body(ring) on each of `size` ranks, one a thread; returns what each threw ("" for nothing).
std::vector<std::string> on_ranks(int size, const std::function<void(Collective&)>& body,
                                  const std::function<void(CollectiveOptions&)>& change = {}) {
  const std::uint16_t port = free_port();
  std::vector<std::string> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      try {
        CollectiveOptions options = options_for(rank, size, port);
        if (change) change(options);
        const auto ring = make_ring(options);
        body(*ring);
      } catch (const std::exception& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  for (std::thread& thread : threads)
    thread.join();
  return errors;
}

void require_good(const std::vector<std::string>& errors) {
  for (const std::string& error : errors)
    REQUIRE(error.empty());
}

// Ranks as processes, which can be killed and stopped. body's result is the exit code.
class RankProcesses {
 public:
  RankProcesses(int size, const std::function<int(Collective&)>& body, double silence) {
    const std::uint16_t port = free_port();
    for (int rank = 0; rank < size; ++rank) {
      int fds[2];
      REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
      const pid_t pid = ::fork();
      if (pid == 0) {
        int code = 0;
        std::string text;
        try {
          CollectiveOptions options = options_for(rank, size, port);
          options.silence_seconds = silence;
          const auto ring = make_ring(options);
          try {
            code = body(*ring);
          } catch (const Error& error) {
            const auto failure = ring->failure();
            text = "rank=" + std::to_string(failure ? failure->rank : -2) + " " + error.what();
          }
        } catch (const std::exception& error) {
          text = error.what();
        }
        (void)!::write(fds[1], text.data(), text.size());
        ::_exit(code);
      }
      ::close(fds[1]);
      pids_.push_back(pid);
      pipes_.emplace_back(fds[0]);
    }
  }
  ~RankProcesses() {
    for (const pid_t pid : pids_)
      ::kill(pid, SIGKILL);
    for (const pid_t pid : pids_)
      ::waitpid(pid, nullptr, 0);
  }
  void signal(int rank, int number) const { ::kill(pids_[static_cast<std::size_t>(rank)], number); }
  // What the rank said at its end; waits for that.
  [[nodiscard]] std::string said(int rank) const {
    std::string text;
    char buffer[512];
    while (true) {
      const ssize_t got =
          ::read(pipes_[static_cast<std::size_t>(rank)].fd(), buffer, sizeof buffer);
      if (got <= 0) return text;
      text.append(buffer, static_cast<std::size_t>(got));
    }
  }

 private:
  std::vector<pid_t> pids_;
  std::vector<Socket> pipes_; // any descriptor
};

// Reduces for ever, until an error ends it.
int reduce_for_ever(Collective& ring) {
  std::vector<float> data(50'000, 1.0F);
  for (;;) {
    ring.start({}, data.data(), static_cast<std::int64_t>(data.size()), 0.5F);
    ring.wait({});
  }
}

// As a collective does whose work is on GPUs: nothing is under way in the ring itself.
int expect_for_ever(Collective& ring) {
  dynamic_cast<HostRing&>(ring).expect(true);
  for (;;) {
    ring.settle({});
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

} // namespace

TEST_CASE("SipHash gives its authors' test vector") {
  std::array<std::uint8_t, 15> data{};
  std::iota(data.begin(), data.end(), std::uint8_t{0});
  const SipKey key{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
  CHECK(siphash(key, data) == 0xa129ca6149be45e5ULL);
}

TEST_CASE("sums of integers over ranks are exact, whatever the size") {
  const int size = GENERATE(1, 2, 3, 4);
  const std::int64_t count = GENERATE(0, 1, 2, 3, 5, 1000, 65'537, 300'001);
  CAPTURE(size, count);
  require_good(on_ranks(size, [&](Collective& ring) {
    std::vector<float> data(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < data.size(); ++i)
      data[i] = static_cast<float>((i % 1000) * static_cast<std::size_t>(ring.rank() + 1));
    ring.start({}, data.data(), count, 2.0F);
    ring.wait({});
    const auto total = static_cast<std::size_t>(size * (size + 1)); // 2 * (1 + ... + size)
    for (std::size_t i = 0; i < data.size(); ++i)
      if (data[i] != static_cast<float>((i % 1000) * total))
        throw std::runtime_error("element " + std::to_string(i) + " is " + std::to_string(data[i]));
  }));
}

TEST_CASE("buckets that are started one after another are all reduced by the time of wait") {
  constexpr std::size_t kBuckets = 40;
  require_good(on_ranks(3, [&](Collective& ring) {
    std::vector<std::vector<float>> buckets;
    for (std::size_t i = 0; i < kBuckets; ++i)
      buckets.emplace_back(i * i * 37 % 5000, static_cast<float>(i));
    for (int round = 0; round < 3; ++round) {
      for (auto& bucket : buckets)
        ring.start({}, bucket.data(), static_cast<std::int64_t>(bucket.size()), 1.0F);
      ring.wait({});
    }
    for (std::size_t i = 0; i < kBuckets; ++i)
      for (const float value : buckets[i])
        if (value != static_cast<float>(i) * 27.0F) throw std::runtime_error("wrong sum");
  }));
}

TEST_CASE("every rank has the same bits, and the next time again") {
  const auto once = [] {
    std::vector<std::vector<float>> results(4);
    require_good(on_ranks(4, [&](Collective& ring) {
      std::vector<float> data(10'001);
      for (std::size_t i = 0; i < data.size(); ++i)
        data[i] = 1.0F / static_cast<float>(i + 7 * static_cast<std::size_t>(ring.rank()) + 3);
      ring.start({}, data.data(), 10'001, 0.3F);
      ring.wait({});
      results[static_cast<std::size_t>(ring.rank())] = data;
    }));
    for (const auto& result : results)
      CHECK(result == results[0]);
    return results[0];
  };
  CHECK(once() == once());
}

TEST_CASE("broadcasts come from any root, and blobs are gathered in the order of ranks") {
  const int size = GENERATE(2, 3, 4);
  require_good(on_ranks(size, [&](Collective& ring) {
    for (int root = 0; root < size; ++root) {
      for (const std::size_t bytes : {std::size_t{1}, std::size_t{13}, std::size_t{700'001}}) {
        std::vector<char> data(bytes, ring.rank() == root ? static_cast<char>('a' + root) : '?');
        ring.broadcast(data.data(), bytes, root);
        if (data != std::vector<char>(bytes, static_cast<char>('a' + root)))
          throw std::runtime_error("not the root's bytes");
      }
    }
    const std::int64_t mine = 100 + ring.rank();
    std::vector<std::int64_t> all(static_cast<std::size_t>(size));
    ring.all_gather(&mine, all.data(), sizeof mine);
    for (int rank = 0; rank < size; ++rank)
      if (all[static_cast<std::size_t>(rank)] != 100 + rank) throw std::runtime_error("order");
    ring.barrier();
  }));
}

TEST_CASE("a rank that gives up tells the others why") {
  const auto errors = on_ranks(4, [&](Collective& ring) {
    if (ring.rank() == 2) {
      ring.abort("the disk is full");
      throw std::runtime_error("own");
    }
    try {
      (void)reduce_for_ever(ring);
    } catch (const Error&) {
      if (ring.failure()->rank != 2) throw std::runtime_error("another rank is blamed");
      throw;
    }
  });
  for (const std::size_t rank : {0U, 1U, 3U})
    CHECK(errors[rank] == "rank 2 failed: the disk is full");
}

TEST_CASE("ranks that are at different operations say so") {
  const auto errors = on_ranks(2, [&](Collective& ring) {
    std::vector<float> data(100);
    ring.start({}, data.data(), ring.rank() == 0 ? 100 : 99, 1.0F);
    ring.wait({});
  });
  CHECK(errors[0].find("not at the same operation") != std::string::npos);
  CHECK(errors[1].find("not at the same operation") != std::string::npos);
}

TEST_CASE("an exchange ends at its time though the other rank lives") {
  const auto errors = on_ranks(
      2,
      [&](Collective& ring) {
        if (ring.rank() == 1) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1500));
          return;
        }
        ring.barrier();
      },
      [](CollectiveOptions& options) {
        options.operation_seconds = 0.5;
        options.silence_seconds = 0.4;
      });
  CHECK(errors[0] == "rank 1 was lost: an exchange with it did not end in time");
}

TEST_CASE("a busy rank is waited for longer than a silent one") {
  require_good(on_ranks(
      3,
      [&](Collective& ring) {
        if (ring.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(1500));
        ring.barrier();
      },
      [](CollectiveOptions& options) { options.silence_seconds = 0.5; }));
}

TEST_CASE("a rank that is killed is named by all others") {
  const int size = GENERATE(2, 3, 4);
  const int victim = size - 1;
  RankProcesses ranks(size, reduce_for_ever, 20.0);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ranks.signal(victim, SIGKILL);
  for (int rank = 0; rank < size - 1; ++rank) {
    const std::string text = ranks.said(rank);
    CHECK(text.find("rank=" + std::to_string(victim) + " rank " + std::to_string(victim) +
                    " was lost: ") == 0);
  }
}

TEST_CASE("a rank that stops answering is named by all others") {
  constexpr int kVictim = 1;
  const int size = GENERATE(2, 4);
  RankProcesses ranks(size, reduce_for_ever, 1.0);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ranks.signal(kVictim, SIGSTOP);
  for (int rank = 0; rank < size; ++rank)
    if (rank != kVictim)
      CHECK(ranks.said(rank) == "rank=1 rank 1 was lost: nothing was heard of it for 1 s");
}

TEST_CASE(
    "a rank that is killed or stops answering is named while only others' work waits for it") {
  constexpr int kVictim = 1;
  const int signal = GENERATE(SIGKILL, SIGSTOP);
  RankProcesses ranks(3, expect_for_ever, 1.0);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ranks.signal(kVictim, signal);
  for (const int rank : {0, 2})
    CHECK(ranks.said(rank).find("rank=1 rank 1 was lost: ") == 0);
}

TEST_CASE("ranks that expect something of each other do so for longer than a silence") {
  require_good(on_ranks(
      3,
      [&](Collective& ring) {
        auto& host = dynamic_cast<HostRing&>(ring);
        host.expect(true);
        std::this_thread::sleep_for(std::chrono::milliseconds(1500));
        host.expect(false);
        ring.barrier();
      },
      [](CollectiveOptions& options) { options.silence_seconds = 0.4; }));
}

TEST_CASE("a stranger cannot join, and holds nobody up") {
  const std::uint16_t port = free_port();
  std::string error;
  std::thread host([&] {
    try {
      CollectiveOptions options = options_for(0, 2, port);
      options.join_seconds = 3.0;
      (void)make_ring(options);
    } catch (const Error& e) {
      error = e.what();
    }
  });
  const auto until = Clock::now() + std::chrono::seconds(10);
  const Endpoint to = resolve("127.0.0.1", port);
  const Socket silent = connect_to(to, until);
  const Socket loud = connect_to(to, until);
  CHECK(send_all(loud, "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n", 47, until));
  // Another token: this side finds out first.
  CollectiveOptions wrong = options_for(1, 2, port);
  wrong.token = "another";
  try {
    (void)make_ring(wrong);
    FAIL("it joined");
  } catch (const Error& e) {
    CHECK(std::string(e.what()).find("another token") != std::string::npos);
  }
  host.join();
  CHECK(error.find("rank 1 did not join") == 0);
  CHECK(error.find("2 connections without the job's token were turned away") != std::string::npos);
}

TEST_CASE("ranks come together though strangers knock") {
  const std::uint16_t port = free_port();
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int rank = 0; rank < 3; ++rank)
    threads.emplace_back([&, rank] {
      if (rank != 0) std::this_thread::sleep_for(std::chrono::milliseconds(300 * rank));
      const auto ring = make_ring(options_for(rank, 3, port));
      ring->barrier();
      ++good;
    });
  const auto until = Clock::now() + std::chrono::seconds(10);
  std::vector<Socket> strangers;
  for (int i = 0; i < 20; ++i) {
    strangers.push_back(connect_to(resolve("127.0.0.1", port), until));
    (void)send_all(strangers.back(), "\x80\x00\xff\xfe garbage that is longer than a hello",
                   static_cast<std::size_t>(i), until);
  }
  for (std::thread& thread : threads)
    thread.join();
  CHECK(good == 3);
}

TEST_CASE("options that make no sense are refused by name") {
  const auto message = [](const std::function<void(CollectiveOptions&)>& change) -> std::string {
    CollectiveOptions options = options_for(0, 2, 1);
    change(options);
    try {
      (void)make_ring(options);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::invalid);
      return error.what();
    }
    return "";
  };
  CHECK(message([](auto& o) { o.rank = 2; }) == "rank 2 is not one of 2");
  CHECK(message([](auto& o) { o.size = 0; }).find("1 to 4096") != std::string::npos);
  CHECK(message([](auto& o) { o.token.clear(); }).find("token") != std::string::npos);
  CHECK(message([](auto& o) { o.port = 0; }).find("port") != std::string::npos);
  CHECK(message([](auto& o) { o.silence_seconds = 0.0; }).find("time") != std::string::npos);
}
