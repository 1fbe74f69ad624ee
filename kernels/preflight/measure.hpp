// Measuring kernels of `mlp gpu check`: what a GPU's memory, tensor cores and links do now. What
// each figure counts is defined in docs/gpu-check.md.
//
// All functions take CUDA's ordinals (CUDA_VISIBLE_DEVICES counts), block the calling thread until
// they are done, free what they allocate on all paths and leave no work behind. They may run at the
// same time in several threads, each with GPUs of its own. Errors: kernels::Error; `unsupported`
// where the GPU or its place has no such thing (no bf16 tensor cores, no second GPU), `unavailable`
// where a library is missing. A GPU that hangs makes them hang: a caller that cannot wait runs them
// in a process of its own.
#pragma once

#include "kernels/device.hpp"

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>

namespace mlp::kernels::preflight {

// Repetitions go on until `time` is over, and there are `least`; never more than `most`, nor beyond
// five times `time`. A stop between two of them ends with Error(failed, "stopped").
struct Budget {
  std::stop_token stop;
  std::chrono::milliseconds time{1000};
  int least = 5;
  int most = 1000;
};

// Over the repetitions: bytes/s, or flop/s.
struct Rate {
  double median = 0;
  double best = 0;
  int repetitions = 0;
  std::uint64_t amount = 0; // bytes or flop of one repetition, as the rate counts them
};

struct Pattern {
  std::uint64_t bytes = 0;      // of memory that were tested
  std::uint64_t mismatches = 0; // 64-bit words that read back wrong
  int rounds = 0;               // how often all of it was written and read, both patterns
  double rate = 0;              // bytes/s written and read
};

// GPUs that CUDA sees here. 0 with the reason in `reason` if none.
int visible_gpus(std::string& reason);

// y[i] = x[i] and a[i] = b[i] + s * c[i] over buffers far larger than the caches, by kernels of our
// own; 2 and 3 times the buffer are counted. (McCalpin, STREAM.)
Rate memory_copy(int gpu, const Budget& budget);
Rate memory_triad(int gpu, const Budget& budget);

// 2 m n k operations of a large square product by cuBLASLt's fastest way, on random numbers: the
// power that a product takes, and so its clock, depends on them. tf32: float32 in and out.
enum class Matrix : std::uint8_t { bf16, tf32, f32 };
Rate matrix_product(int gpu, Matrix type, const Budget& budget);

// Large copies between pinned host memory near the GPU (its NUMA node) and its own.
Rate host_to_device(int gpu, const Budget& budget);
Rate device_to_host(int gpu, const Budget& budget);

// Large copies from one GPU's memory to another's, direct where the two reach each other, else
// through the host, as CUDA does it.
Rate peer_copy(int from, int to, const Budget& budget);

// Fills up to `most_bytes` of free memory (0: nearly all of it) with words that depend on their
// place, reads them back, then the same with their complement; at least one round, and more with
// other words while there is time.
Pattern memory_pattern(int gpu, std::uint64_t most_bytes, const Budget& budget);

// Bus bandwidth of a float32 sum over GPUs 0 to `gpus` - 1 with NCCL in this process: bytes of one
// GPU's buffer / seconds * 2 (n - 1) / n. (NVIDIA, nccl-tests, PERFORMANCE.md.) Sums are checked.
Rate all_reduce(int gpus, const Budget& budget);

} // namespace mlp::kernels::preflight
