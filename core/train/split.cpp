// Rows are shuffled, then sorted by class keeping that order; taking the rows at even distances
// takes from each class its share.
#include "core/train/split.hpp"

#include "kernels/philox.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace mlp::train {

RowSplit split_rows(std::span<const std::int32_t> rows, std::span<const std::int32_t> labels,
                    double share, std::uint64_t seed, std::uint64_t purpose) {
  const std::size_t count = rows.size();
  const auto wanted = static_cast<std::size_t>(std::llround(share * static_cast<double>(count)));
  std::vector<std::size_t> order(count); // positions in rows
  std::iota(order.begin(), order.end(), std::size_t{0});
  kernels::PhiloxSequence random(seed, purpose);
  for (std::size_t i = count; i > 1; --i)
    std::swap(order[i - 1], order[random.below(static_cast<std::uint32_t>(i))]);
  if (!labels.empty()) {
    const auto label = [&](std::size_t at) { return labels[static_cast<std::size_t>(rows[at])]; };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return label(a) < label(b); });
  }
  std::vector<bool> is_cut(count);
  for (std::size_t i = 0; i < count; ++i) // cut where (i + 1) * wanted / count steps up
    is_cut[order[i]] = (i + 1) * wanted / count != i * wanted / count;
  RowSplit split;
  for (std::size_t i = 0; i < count; ++i)
    (is_cut[i] ? split.cut : split.kept).push_back(rows[i]);
  return split;
}

} // namespace mlp::train
