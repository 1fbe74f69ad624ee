// Two SHA-256 digests at once in one thread, where the CPU has SHA instructions: a round waits for
// the one before it, so a second message costs little beside the first.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlp {

// Whether this CPU has what compress_two_lanes() uses.
[[nodiscard]] bool has_sha_instructions() noexcept;

// Takes `blocks` blocks of 64 bytes into each of two running states (FIPS 180-4, 6.2.2: the eight
// words a to h). Only where has_sha_instructions(). Thread-safe.
void compress_two_lanes(std::uint32_t* state_a, const std::byte* data_a, std::uint32_t* state_b,
                        const std::byte* data_b, std::size_t blocks) noexcept;

} // namespace mlp
