// How much a transfer has to move, before it moves any: for a progress that somebody sees.
#pragma once

#include "core/data/manifest_reader.hpp"
#include "core/data/pack_index.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>

namespace mlp::data {

struct MissingQuery {
  std::function<bool(const Digest& node)> has_below; // nothing below it is missing
  // Where an object lies that is to be moved; nullopt: it is there already.
  std::function<std::optional<Location>(const Digest& id)> find;
};

// The bytes, as they lie, of what a version still needs. Memory is bounded: of a version of more
// than a million objects some that occur twice may count twice. Throws what reading a node throws,
// and Error(interrupted).
[[nodiscard]] std::uint64_t missing_bytes(ObjectSource& source, const Digest& manifest,
                                          const MissingQuery& query, const std::stop_token& stop);

} // namespace mlp::data
