// The all-reduce over all GPUs: NCCL, one communicator a GPU in this one process.
#include "kernels/cuda/nccl.hpp"
#include "kernels/preflight/timing.hpp"

namespace mlp::kernels::preflight {

namespace {

using cuda::check_nccl;
using cuda::nccl;
using Comm = cuda::Nccl::Comm;

// One GPU's part: buffers, stream, events. Made and destroyed with its GPU selected.
struct Rank {
  GpuMemory send, receive, wrong;
  OwnStream stream;
  cuda::Event begin{true}, end{true};

  explicit Rank(std::size_t bytes) : send(bytes), receive(bytes), wrong(sizeof(long long)) {}
};

class Comms {
 public:
  explicit Comms(const std::vector<int>& gpus) : comms_(gpus.size(), nullptr) {
    check_nccl(nccl().init_all(comms_.data(), static_cast<int>(gpus.size()), gpus.data()),
               "start NCCL");
  }
  Comms(const Comms&) = delete;
  ~Comms() {
    for (Comm comm : comms_)
      if (comm != nullptr) static_cast<void>(nccl().destroy(comm));
  }
  Comm operator[](std::size_t rank) const { return comms_[rank]; }

 private:
  std::vector<Comm> comms_;
};

constexpr std::size_t reduce_bytes = std::size_t{256} << 20;
constexpr int in_a_row = 5; // a repetition: the start of the first is hidden behind the others

class AllReduce {
 public:
  explicit AllReduce(const std::vector<int>& gpus) : gpus_(gpus), comms_(gpus) {
    for (const int gpu : gpus_) {
      cuda::use(gpu);
      bytes_ = std::min(bytes_, buffer_bytes(reduce_bytes, 2));
    }
    for (std::size_t rank = 0; rank < gpus_.size(); ++rank) {
      cuda::use(gpus_[rank]);
      ranks_.push_back(std::make_unique<Rank>(bytes_));
      // Small whole numbers: any order of adding gives the same sum exactly.
      fill_f32(ranks_[rank]->stream.get(), static_cast<float*>(ranks_[rank]->send.data()), size(),
               static_cast<float>(rank + 1));
    }
  }

  // Seconds of one all-reduce: of the GPU that took longest.
  double run() {
    each([&](Rank& rank, std::size_t) {
      check(cudaEventRecord(rank.begin.get(), rank.stream.get()), "record an event");
    });
    for (int i = 0; i < in_a_row; ++i) {
      check_nccl(nccl().group_start(), "queue an all-reduce");
      int failed = 0;
      for (std::size_t i_rank = 0; i_rank < ranks_.size() && failed == 0; ++i_rank) {
        const Rank& rank = *ranks_[i_rank];
        failed =
            nccl().all_reduce(rank.send.data(), rank.receive.data(), size(), cuda::Nccl::kFloat32,
                              cuda::Nccl::kSum, comms_[i_rank], rank.stream.get());
      }
      const int ended = nccl().group_end(); // also after a failure: a group must not stay open
      check_nccl(failed, "queue an all-reduce");
      check_nccl(ended, "queue an all-reduce");
    }
    each([&](Rank& rank, std::size_t) {
      check(cudaEventRecord(rank.end.get(), rank.stream.get()), "record an event");
    });
    double longest = 0;
    each([&](Rank& rank, std::size_t) {
      check(cudaEventSynchronize(rank.end.get()), "wait for the GPU");
      float milliseconds = 0;
      check(cudaEventElapsedTime(&milliseconds, rank.begin.get(), rank.end.get()), "read a time");
      longest = std::max(longest, static_cast<double>(milliseconds) * 1e-3);
    });
    return std::max(longest, 5e-7) / in_a_row;
  }

  // Throws if a sum is wrong anywhere.
  void verify() {
    const double n = static_cast<double>(ranks_.size());
    each([&](Rank& rank, std::size_t index) {
      auto* count = static_cast<unsigned long long*>(rank.wrong.data());
      check(cudaMemsetAsync(count, 0, sizeof *count, rank.stream.get()), "clear a counter");
      count_other_f32(rank.stream.get(), static_cast<const float*>(rank.receive.data()), size(),
                      static_cast<float>(n * (n + 1) / 2), count);
      unsigned long long wrong = 0;
      check(cudaMemcpyAsync(&wrong, count, sizeof wrong, cudaMemcpyDeviceToHost, rank.stream.get()),
            "read a counter");
      rank.stream.wait();
      if (wrong > 0)
        throw Error(ErrorKind::failed, "the all-reduce gave " + std::to_string(wrong) +
                                           " wrong sums on its GPU " + std::to_string(index));
    });
  }

  std::size_t bytes() const noexcept { return bytes_; }

 private:
  template <class Body>
  void each(const Body& body) {
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
      cuda::use(gpus_[rank]);
      body(*ranks_[rank], rank);
    }
  }
  std::size_t size() const noexcept { return bytes_ / sizeof(float); }

  std::vector<int> gpus_;
  Comms comms_; // before the ranks: their streams have ended when it is destroyed
  std::size_t bytes_ = reduce_bytes;
  std::vector<std::unique_ptr<Rank>> ranks_;
};

} // namespace

Rate all_reduce(int gpus, const Budget& budget) {
  if (gpus < 2) throw Error(ErrorKind::unsupported, "an all-reduce takes two GPUs");
  std::vector<int> ordinals;
  for (int gpu = 0; gpu < gpus; ++gpu)
    ordinals.push_back(gpu);
  AllReduce work(ordinals);
  throw_if_stopped(budget);
  work.run();
  work.verify();
  std::vector<double> seconds;
  const Clock::time_point began = Clock::now();
  while (goes_on(budget, began, static_cast<int>(seconds.size())))
    seconds.push_back(work.run());
  work.verify();
  const double n = gpus;
  const double counted = static_cast<double>(work.bytes()) * 2 * (n - 1) / n;
  return rate_of(std::move(seconds), static_cast<std::uint64_t>(counted));
}

} // namespace mlp::kernels::preflight
