// ring_bench [ranks] [MiB] [repetitions]: the all-reduce of the ring over this machine's loopback,
// beside the rate at which as many pairs of threads send bytes through plain sockets at the same
// time. One JSON line. The bus bandwidth is that of NCCL's tests: 2 (N - 1) / N of the data pass
// each link. The best of several repetitions counts on both sides.
#include "kernels/collective/collective.hpp"
#include "kernels/collective/socket.hpp"

#include <algorithm>
#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

using namespace mlp::kernels;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

std::uint16_t free_port() {
  Endpoint any = resolve("127.0.0.1", 0);
  listen_on(any).close();
  return any.port;
}

// The best time of an all-reduce of `count` floats.
double reduce_seconds(int ranks, std::int64_t count, int repetitions) {
  const std::uint16_t port = free_port();
  double best = 1e30;
  std::barrier together(ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      const auto ring =
          make_ring({.rank = rank, .size = ranks, .port = port, .token = "of this bench"});
      std::vector<float> data(static_cast<std::size_t>(count), 1.0F);
      for (int i = 0; i < repetitions; ++i) {
        together.arrive_and_wait();
        const auto begin = Clock::now();
        ring->start({}, data.data(), count, 0.5F);
        ring->wait({});
        together.arrive_and_wait();
        if (rank == 0) best = std::min(best, seconds_between(begin, Clock::now()));
      }
    });
  for (std::thread& thread : threads)
    thread.join();
  return best;
}

// The best time in which each of `pairs` pairs of threads has sent `bytes` bytes.
double send_seconds(int pairs, std::size_t bytes, int repetitions) {
  double best = 1e30;
  std::barrier together(2 * pairs);
  std::vector<std::thread> threads;
  const auto until = Clock::now() + seconds(600);
  for (int pair = 0; pair < pairs; ++pair) {
    Endpoint at = resolve("127.0.0.1", 0);
    Socket listener = listen_on(at);
    auto from = std::make_shared<Socket>(connect_to(at, until));
    auto to = std::make_shared<Socket>();
    while (!to->open())
      *to = accept_from(listener);
    threads.emplace_back([&, from, pair] {
      std::vector<char> block(std::size_t{1} << 18);
      for (int i = 0; i < repetitions; ++i) {
        together.arrive_and_wait();
        const auto begin = Clock::now();
        for (std::size_t sent = 0; sent < bytes; sent += block.size())
          if (!send_all(*from, block.data(), std::min(block.size(), bytes - sent), until)) return;
        together.arrive_and_wait();
        if (pair == 0) best = std::min(best, seconds_between(begin, Clock::now()));
      }
    });
    threads.emplace_back([&, to] {
      std::vector<char> block(std::size_t{1} << 18);
      for (int i = 0; i < repetitions; ++i) {
        together.arrive_and_wait();
        for (std::size_t got = 0; got < bytes; got += block.size())
          if (!receive_all(*to, block.data(), std::min(block.size(), bytes - got), until)) return;
        together.arrive_and_wait();
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  return best;
}

} // namespace

int main(int argc, char** argv) {
  const auto number = [&](int at, int otherwise) {
    return argc > at ? std::max(1, std::atoi(argv[at])) : otherwise;
  };
  const int ranks = std::max(2, number(1, 2));
  const int mebibytes = number(2, 64);
  const int repetitions = number(3, 10);
  try {
    const std::int64_t count = std::int64_t{mebibytes} << 18;
    const double bytes = static_cast<double>(count) * sizeof(float);
    const double passes = 2.0 * (ranks - 1) / ranks;
    const double reduced = bytes * passes / reduce_seconds(ranks, count, repetitions);
    const auto link = static_cast<std::size_t>(bytes * passes);
    const double sent = static_cast<double>(link) / send_seconds(ranks, link, repetitions);
    std::printf("{\"op\": \"all-reduce\", \"ranks\": %d, \"mib\": %d, \"bus_gb_s\": %.3f, "
                "\"sockets_gb_s\": %.3f, \"share\": %.2f}\n",
                ranks, mebibytes, reduced * 1e-9, sent * 1e-9, reduced / sent);
  } catch (const Error& error) {
    std::fprintf(stderr, "ring_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
