// How two runs differ, in what they were asked to do, what they were made from, and what came out.
#pragma once

#include "core/track/run_record.hpp"

#include <optional>
#include <string>
#include <vector>

namespace mlp::track {

struct RunDifference {
  std::string group; // "spec", "code", "data", "params", "metrics", "result", in this order
  std::string name;  // within the group: "lr", "commit", the name of a dataset
  std::optional<std::string> a, b; // JSON text; absent: that run has none
  bool operator==(const RunDifference&) const = default;
};

// What is equal is left out, and so is what always differs: ids, times, processes. Reads both
// runs' copies of mlp.yaml; one that cannot be read counts as absent.
[[nodiscard]] std::vector<RunDifference> diff_runs(const RunRecord& a, const RunRecord& b);

// Names of params that are not the same in all of the runs, sorted; of one run: all.
[[nodiscard]] std::vector<std::string> differing_params(const std::vector<RunRecord>& runs);

} // namespace mlp::track
