// Whole packs that two stores share in place of copying what is in them: which are worth it, and
// doing it. Used by push and fetch (transfer.hpp).
#pragma once

#include "core/data/pack_index.hpp"
#include "core/data/task_pool.hpp"

#include <functional>
#include <map>
#include <optional>
#include <vector>

namespace mlp::data {

inline constexpr std::size_t batch_chunks = 32768; // about 2 GiB

// What a batch of objects has of each pack, in bytes as they lie there.
struct PackShare {
  std::uint64_t objects = 0, bytes = 0;
};
[[nodiscard]] std::map<Digest, PackShare> shares_of(const std::vector<Location>& batch);
// The size of a pack that has these and nothing else.
[[nodiscard]] std::uint64_t pack_bytes(std::uint64_t objects, std::uint64_t bytes);
// Packs of which most is wanted, where their size is known.
[[nodiscard]] std::vector<Digest>
worth_sharing(const std::vector<Location>& batch,
              const std::function<std::optional<std::uint64_t>(const Digest& pack)>& size_of);

struct Linked {
  std::uint64_t objects = 0, bytes = 0, packs = 0;
};
// Shares packs in the pool, with `link`, which returns the bytes of the pack that it shared, and is
// called from several threads. What was shared leaves the batch. After one that cannot be,
// `possible` is false and no more are tried.
Linked link_packs(std::vector<Location>& batch, const std::vector<Digest>& packs, TaskPool& pool,
                  bool& possible,
                  const std::function<std::optional<std::uint64_t>(const Digest& pack)>& link);

} // namespace mlp::data
