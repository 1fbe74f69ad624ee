// What a model may ask for. A model file is input from outside: each limit turns what would be a
// crash or an exhausted machine into an Error that names it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlp::native {

struct Limits {
  std::uint64_t file_bytes = 2'000'000'000;   // protobuf itself ends at 2 GiB
  std::uint64_t structure_bytes = 512u << 20; // of nodes, names and shapes in memory
  std::size_t nodes = 1'000'000;
  std::uint64_t constant_bytes = 8ULL << 30; // of all constants together
  std::uint64_t live_bytes = 4ULL << 30;     // of one call's inputs and intermediate results
  std::uint64_t folded_bytes = 256u << 20;   // of what one node takes to be computed at load
};

} // namespace mlp::native
