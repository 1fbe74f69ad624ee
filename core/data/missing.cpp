// A walk over the version's nodes alone.
#include "core/data/missing.hpp"

#include "core/base/interrupt.hpp"

#include <unordered_set>

namespace mlp::data {

namespace {

constexpr std::size_t most_seen = 1u << 20;

class Counter final : public ObjectVisitor {
 public:
  Counter(const MissingQuery& query, const std::stop_token& stop) : query_(query), stop_(stop) {}

  bool enter(const Digest& node) override {
    throw_if_stopped(stop_);
    return !query_.has_below(node) && add(node);
  }
  void chunk(const Ref& ref) override { (void)add(ref.id); }
  void leave(const Digest&) override {}
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  // False: it was seen before.
  bool add(const Digest& id) {
    if (seen_.size() < most_seen ? !seen_.insert(id).second : seen_.contains(id)) return false;
    if (const auto location = query_.find(id))
      bytes_ += entry_header_size + location->entry.stored_size;
    return true;
  }

  const MissingQuery& query_;
  const std::stop_token& stop_;
  std::unordered_set<Digest> seen_;
  std::uint64_t bytes_ = 0;
};

} // namespace

std::uint64_t missing_bytes(ObjectSource& source, const Digest& manifest, const MissingQuery& query,
                            const std::stop_token& stop) {
  Counter counter(query, stop);
  walk_objects(source, manifest, counter);
  return counter.bytes();
}

} // namespace mlp::data
