// Mending a local store: damaged packs are set aside, and what is sound in them is stored anew.
#pragma once

#include "core/base/progress.hpp"
#include "core/data/store.hpp"

#include <stop_token>
#include <vector>

namespace mlp::data {

struct RepairStats {
  std::uint64_t packs = 0;   // set aside
  std::uint64_t objects = 0; // taken over from them
  std::uint64_t lost = 0;    // objects that were damaged, as far as the packs tell
};

// Moves the packs to `damaged/` of the store's folder and puts their sound objects into new ones,
// durably. Objects that are lost count as missing from then on: a fetch brings those that a remote
// has. `store` is opened anew after it. Blocks. Throws Error; run again, it goes on.
RepairStats repair_packs(const fs::path& store, const std::vector<Digest>& packs,
                         Progress& progress, const std::stop_token& stop);

} // namespace mlp::data
