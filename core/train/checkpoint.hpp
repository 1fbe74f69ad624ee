// The state of a training between two steps, as one file that is whole or not there.
//
// Layout, little-endian: "mlpckpt" and a format number (1); 32 bytes that identify settings and
// data; the counters; the float arrays, each with its length; SHA-256 of all before it.
#pragma once

#include "core/base/digest.hpp"
#include "core/train/early_stopping.hpp"
#include "kernels/device.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace mlp::train {

struct Checkpoint {
  Digest identity;          // of settings and data: only the same training goes on
  std::int64_t epoch = 0;   // completed epochs
  std::int64_t samples = 0; // done in the epoch that is under way
  std::uint64_t step = 0;   // optimiser steps done; also the position of the random sequences
  kernels::LossStats stats; // of the epoch that is under way
  double seconds = 0.0;     // spent so far, over all calls
  EarlyStopping stopping;   // patience and min_delta are the caller's
  std::vector<float> values, statistics, optimizer; // as Network and Engine lay them out
  std::vector<float> best_values, best_statistics;  // empty: no epoch was validated yet
};

// Atomic and durable; replaces what is there. Blocks. Throws mlp::Error of the file system.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

// nullopt if there is no such file. Throws mlp::Error{integrity} if it is cut or damaged,
// {conflict} if it is of another training than `identity`, {failed} if a later version wrote it.
[[nodiscard]] std::optional<Checkpoint> read_checkpoint(const std::filesystem::path& path,
                                                        const Digest& identity);

} // namespace mlp::train
