// The collective over NCCL on fakes of NCCL and of CUDA's streams: sums, what is on the host, and
// that nothing waits for ever where a rank is gone. Ranks are threads.
#include "kernels/check/emulate/streams.hpp"
#include "kernels/collective/collective.hpp"
#include "kernels/collective/socket.hpp"

#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using namespace mlp::kernels;

namespace {

int failures = 0;

void expect(bool right, const std::string& what) {
  if (right) return;
  ++failures;
  std::printf("FAIL: %s\n", what.c_str());
}

struct Outcome {
  std::string error;
  std::optional<CollectiveFailure> failure;
};

// body(collective, stream) on each of `size` ranks.
std::vector<Outcome> together(int size, const std::function<void(Collective&, Stream)>& body,
                              int present = -1) {
  Endpoint any = resolve("127.0.0.1", 0);
  listen_on(any).close(); // its port is free
  std::vector<Outcome> outcomes(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < (present < 0 ? size : present); ++rank)
    threads.emplace_back([&, rank] {
      Outcome& outcome = outcomes[static_cast<std::size_t>(rank)];
      cudaStream_t stream = nullptr;
      static_cast<void>(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
      try {
        const auto collective = make_nccl({.rank = rank,
                                           .size = size,
                                           .port = any.port,
                                           .token = "of this check",
                                           .join_seconds = 2.0,
                                           .silence_seconds = 2.0,
                                           .operation_seconds = 20.0},
                                          0);
        try {
          body(*collective, Stream{stream});
        } catch (const Error& error) {
          outcome.error = error.what();
          outcome.failure = collective->failure();
          collective->abort(outcome.error);
        }
      } catch (const Error& error) {
        outcome.error = error.what();
      }
      static_cast<void>(cudaStreamDestroy(stream)); // ends only if nothing on it waits for ever
    });
  for (std::thread& thread : threads)
    thread.join();
  return outcomes;
}

void check_sums() {
  const auto outcomes = together(3, [](Collective& ranks, Stream stream) {
    std::vector<float> values(1000), others(7);
    for (int step = 0; step < 20; ++step) {
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(static_cast<int>(i) + ranks.rank());
      for (float& value : others)
        value = 1.0F;
      ranks.start(stream, values.data(), static_cast<std::int64_t>(values.size()),
                  static_cast<float>(ranks.rank() + 1));
      ranks.start(stream, others.data(), static_cast<std::int64_t>(others.size()), 0.5F);
      ranks.start(stream, nullptr, 0, 1.0F);
      ranks.wait(stream);
      ranks.settle(stream);
      expect(cudaGetLastError() == cudaSuccess, "no error is left behind for the next launch");
      bool right = others[6] == 1.5F;
      for (std::size_t i = 0; i < values.size(); ++i) // i + 2 (i + 1) + 3 (i + 2)
        right = right && values[i] == static_cast<float>(6 * i + 8);
      expect(right, "sums of 3 ranks, step " + std::to_string(step));
    }
    std::int32_t told = ranks.rank() == 1 ? 42 : 0;
    ranks.broadcast(&told, sizeof told, 1);
    expect(told == 42, "broadcast");
    std::vector<std::int32_t> all(3);
    const std::int32_t mine = 10 * ranks.rank();
    ranks.all_gather(&mine, all.data(), sizeof mine);
    expect(all == std::vector<std::int32_t>{0, 10, 20}, "all_gather");
  });
  for (const Outcome& outcome : outcomes)
    expect(outcome.error.empty(), "no error: " + outcome.error);
}

// Rank 2 gives up, or just goes, while the others' GPUs wait for it.
void check_lost(bool says_so) {
  const auto outcomes = together(3, [&](Collective& ranks, Stream stream) {
    ranks.barrier(); // all have started
    if (ranks.rank() == 2) {
      if (says_so) throw Error(ErrorKind::failed, "its own reason");
      return;
    }
    std::vector<float> values(100, 1.0F);
    ranks.start(stream, values.data(), 100, 1.0F);
    ranks.wait(stream);
    try {
      ranks.settle(stream);
    } catch (...) {
      ranks.abort("ends too"); // before `values` go
      throw;
    }
  });
  for (const int rank : {0, 1}) {
    const Outcome& outcome = outcomes[static_cast<std::size_t>(rank)];
    expect(outcome.failure && outcome.failure->rank == 2, "who is to blame: " + outcome.error);
    if (says_so)
      expect(outcome.error.find("its own reason") != std::string::npos, "why: " + outcome.error);
  }
}

// The others go on queueing, without a call that waits for all: rank 2 is missed all the same.
void check_lost_on_the_way() {
  std::vector<std::vector<float>> of_ranks(3, std::vector<float>(100, 1.0F)); // outlive all sums
  const auto outcomes = together(3, [&](Collective& ranks, Stream stream) {
    ranks.barrier();
    std::vector<float>& values = of_ranks[static_cast<std::size_t>(ranks.rank())];
    for (int step = 0; step < 100; ++step) {
      if (ranks.rank() == 2 && step == 10) return;
      ranks.start(stream, values.data(), 100, 1.0F);
      ranks.wait(stream);
    }
  });
  for (const int rank : {0, 1}) {
    const Outcome& outcome = outcomes[static_cast<std::size_t>(rank)];
    expect(outcome.failure && outcome.failure->rank == 2,
           "who was lost on the way: " + outcome.error);
  }
}

void check_missing() {
  const auto outcomes = together(
      3, [](Collective&, Stream) {}, 2);
  for (const int rank : {0, 1})
    expect(!outcomes[static_cast<std::size_t>(rank)].error.empty(), "a rank that never comes");
}

} // namespace

int main() {
  check_sums();
  check_lost(true);
  check_lost(false);
  check_lost_on_the_way();
  check_missing();
  std::printf("%s\n", failures == 0 ? "all passed" : "failed");
  return failures == 0 ? 0 : 1;
}
