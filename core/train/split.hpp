// Cutting rows into parts by seed: the same rows, share and seed give the same cut on any machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mlp::train {

struct RowSplit {
  std::vector<std::int32_t> kept, cut; // in the order of `rows`
};

// Cuts round(share * rows) of the rows. With `labels` (a class for every row number; empty: none)
// each class gives its share, to within a row. share in [0, 1). Uses Philox keyed by `seed`;
// `purpose` tells apart the cuts of one seed.
[[nodiscard]] RowSplit split_rows(std::span<const std::int32_t> rows,
                                  std::span<const std::int32_t> labels, double share,
                                  std::uint64_t seed, std::uint64_t purpose);

} // namespace mlp::train
