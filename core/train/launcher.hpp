// The ranks of a training on one machine, each a process: starts them, passes on signals and lines,
// and goes on without one that is lost.
#pragma once

#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "kernels/collective/collective.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::train {

struct RankLaunch {
  std::vector<std::string> command; // of a rank; it finds its place by rank_place()
  std::vector<int> gpus;            // one a rank; -1: the CPU
  std::int64_t threads = 0;         // of all ranks together; 0: as many as this process may use
  std::function<void(std::string_view)> on_message; // for the log
};

// Blocks until the training has ended; at least two ranks to begin with. Rank 0 has our standard
// output and error, what the others print comes with "[rank N] " before each line. A stop request
// is passed on as SIGTERM. Ranks end when this process does, however it ends.
//
// A rank that is killed, crashes or no longer answers is lost: the others are ended, and all that
// are left start anew (from the last checkpoint, if they keep one), until none would be left.
// Throws the Error that a rank has ended with, and Error{interrupted} after a stop request.
void run_ranks(const RankLaunch& launch, std::stop_token stop);

// Where a process stands that run_ranks() has started.
struct RankPlace {
  int rank = 0, size = 1;
  int gpu = -1;    // -1: the CPU
  int threads = 0; // 0: as many as this process may use
  fs::path status; // for report_end()
  kernels::CollectiveOptions meeting;
};

// From the environment: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT and MLP_RANK_*; nullopt if this
// process is not a rank. The token is removed from the environment. Throws Error{config}.
[[nodiscard]] std::optional<RankPlace> rank_place();

// The ring, or NCCL on GPUs; null for one rank. Blocks until all have joined. Throws Error.
[[nodiscard]] std::unique_ptr<kernels::Collective> join_ranks(const RankPlace& place);

// Leaves for run_ranks() why this rank ends: an error of its own, or that of `collective` (may be
// null), which names the rank to blame.
void report_end(const RankPlace& place, const Error& error, const kernels::Collective* collective);

} // namespace mlp::train
