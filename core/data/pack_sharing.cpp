// The first pack is tried alone, to see whether it can be done at all.
#include "core/data/pack_sharing.hpp"

#include <algorithm>
#include <unordered_set>

namespace mlp::data {

namespace {

// A pack of which this share is wanted is shared whole.
constexpr double worth_linking = 0.8;

} // namespace

std::map<Digest, PackShare> shares_of(const std::vector<Location>& batch) {
  std::map<Digest, PackShare> shares;
  for (const Location& location : batch) {
    PackShare& share = shares[location.pack];
    ++share.objects;
    share.bytes += entry_header_size + location.entry.stored_size;
  }
  return shares;
}

std::uint64_t pack_bytes(std::uint64_t objects, std::uint64_t bytes) {
  return pack_header_size + bytes + objects * index_entry_size + pack_footer_size;
}

std::vector<Digest>
worth_sharing(const std::vector<Location>& batch,
              const std::function<std::optional<std::uint64_t>(const Digest& pack)>& size_of) {
  std::vector<Digest> most;
  for (const auto& [pack, share] : shares_of(batch)) {
    const std::optional<std::uint64_t> size = size_of(pack);
    if (size && static_cast<double>(share.bytes) >= worth_linking * static_cast<double>(*size))
      most.push_back(pack);
  }
  return most;
}

Linked link_packs(std::vector<Location>& batch, const std::vector<Digest>& packs, TaskPool& pool,
                  bool& possible,
                  const std::function<std::optional<std::uint64_t>(const Digest& pack)>& link) {
  Linked result;
  std::vector<std::pair<Digest, std::future<std::optional<std::uint64_t>>>> linking;
  std::unordered_set<Digest> linked;
  const auto take = [&] {
    for (auto& [pack, bytes] : linking) {
      if (const auto size = bytes.get()) {
        linked.insert(pack);
        result.bytes += *size;
        ++result.packs;
      } else {
        possible = false;
      }
    }
    linking.clear();
  };
  for (const Digest& pack : packs) {
    if (!possible) break;
    linking.emplace_back(pack, pool.submit([link, pack] { return link(pack); }));
    // The first alone, to see whether it can be done.
    if (linked.empty() || linking.size() > 2 * pool.threads()) take();
  }
  take();
  result.objects = static_cast<std::uint64_t>(std::erase_if(
      batch, [&](const Location& location) { return linked.contains(location.pack); }));
  return result;
}

} // namespace mlp::data
