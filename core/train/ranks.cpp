// Decisions are gathered rather than made alone, so that no rank waits for one that has stopped.
#include "core/train/ranks.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"

#include <algorithm>
#include <string>

namespace mlp::train {

Share share_of(std::int64_t rows, int rank, int size) noexcept {
  const std::int64_t begin = rows * rank / size;
  return {begin, rows * (rank + 1) / size - begin};
}

Ranks::Ranks(const FitSpec& spec, const Dataset& data)
    : collective_(spec.collective != nullptr && spec.collective->size() > 1 ? spec.collective
                                                                            : nullptr),
      spec_(spec), data_(data) {
  if (!several()) return;
  rank_ = collective_->rank();
  size_ = collective_->size();
  const auto batch = std::min(spec.batch, static_cast<std::int64_t>(data.train.size()));
  const bool normalised = std::ranges::any_of(spec.hidden, &HiddenLayer::batch_norm) ||
                          std::ranges::any_of(spec.conv, &ConvLayer::batch_norm);
  // A normalisation needs two rows of each rank.
  if (batch < size_ * (normalised ? 2 : 1))
    throw Error(ErrorKind::config, "a batch of " + std::to_string(batch) +
                                       " rows cannot be shared by " + std::to_string(size_) +
                                       " ranks" + (normalised ? " with batch_norm" : ""))
        .with_hint("choose a larger batch_size, or fewer devices");
}

std::uint64_t Ranks::dropout_key(std::uint64_t seed) const noexcept {
  return seed + static_cast<std::uint64_t>(rank_) * 0xD1B54A32D192ED03ULL;
}

float Ranks::gradient_scale(std::span<const std::int32_t> batch_rows) const noexcept {
  const auto count = static_cast<std::int64_t>(batch_rows.size());
  const Share mine = share(count);
  if (spec_.class_weights.empty())
    return static_cast<float>(static_cast<double>(mine.rows) / static_cast<double>(count));
  double all = 0.0;
  double ours = 0.0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto row = static_cast<std::size_t>(batch_rows[static_cast<std::size_t>(i)]);
    const auto label = static_cast<std::size_t>(data_.labels[row]);
    const auto weight = static_cast<double>(spec_.class_weights[label]);
    all += weight;
    if (i >= mine.first && i < mine.first + mine.rows) ours += weight;
  }
  return static_cast<float>(ours / all);
}

Ranks::Meeting Ranks::meet(const Meeting& mine) {
  if (!several()) return mine;
  std::vector<Meeting> all(static_cast<std::size_t>(size_));
  collective_->all_gather(&mine, all.data(), sizeof mine);
  Meeting agreed = all[0];
  for (const Meeting& other : std::span(all).subspan(1)) {
    agreed.stop = agreed.stop || other.stop;
    agreed.stats.loss += other.stats.loss;
    agreed.stats.weight += other.stats.weight;
    agreed.stats.correct += other.stats.correct;
    agreed.stats.rows += other.stats.rows;
  }
  return agreed;
}

void Ranks::average(std::span<float> values) {
  if (!several() || values.empty()) return;
  std::vector<float> all(values.size() * static_cast<std::size_t>(size_));
  collective_->all_gather(values.data(), all.data(), values.size_bytes());
  for (std::size_t i = 0; i < values.size(); ++i) {
    double sum = 0.0;
    for (std::size_t at = i; at < all.size(); at += values.size())
      sum += static_cast<double>(all[at]);
    values[i] = static_cast<float>(sum / size_);
  }
}

void Ranks::spread(std::vector<float>& values) {
  if (!several()) return;
  std::uint64_t count = values.size();
  spread(count);
  values.resize(count);
  collective_->broadcast(values.data(), values.size() * sizeof(float), 0);
}

void Ranks::require_same(std::span<const float> values, std::int64_t epoch) {
  if (!several()) return;
  Sha256 hash;
  hash.update(std::as_bytes(values));
  const Digest mine = hash.finish();
  std::vector<Digest> all(static_cast<std::size_t>(size_));
  collective_->all_gather(&mine, all.data(), sizeof mine);
  std::string others;
  for (std::size_t rank = 1; rank < all.size(); ++rank)
    if (all[rank] != all[0]) others += (others.empty() ? "" : ", ") + std::to_string(rank);
  if (others.empty()) return;
  throw Error(ErrorKind::integrity, "after epoch " + std::to_string(epoch) +
                                        " the weights of rank 0 and of rank " + others +
                                        " are not the same")
      .with_hint("look for a device or memory that computes wrongly");
}

} // namespace mlp::train
