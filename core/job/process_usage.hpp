// What a run's processes use: all that descend from this process, the run's supervisor, which is
// also the parent of those whose own parent has ended. Read from /proc, at a cost that grows with
// the run's processes and not with the machine's. Source: man 5 proc (/proc/pid/stat,
// /proc/pid/task/tid/children).
#pragma once

#include "core/base/fs.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mlp::job {

struct ProcessUsage {
  double cpu_seconds = 0.0; // of all that live, and of those that ended below them
  std::uint64_t memory = 0; // resident bytes; what processes share counts in each of them
  std::size_t processes = 0;
};

// Of the descendants of `pid`, without itself. Processes that come and go meanwhile may be missed.
// At most 20,000 processes and threads are looked at. Never throws for what is not there.
[[nodiscard]] ProcessUsage usage_below(int pid, const fs::path& proc = "/proc");

struct ProcessStat {
  std::uint64_t cpu_ticks = 0; // user and system, with children that were waited for
  std::uint64_t resident_pages = 0;
};
// A line of /proc/pid/stat; the name in it may hold anything.
[[nodiscard]] std::optional<ProcessStat> parse_process_stat(std::string_view line);

} // namespace mlp::job
