// What a test may ask of the emulator, and how it sets it. Needs no header of CUDA.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace emulate {

// In this process so far: calls of cudaMalloc and cudaHostAlloc, and graphs that were made; copies
// by cudaMemcpyAsync that have been done; graphs that were launched.
unsigned long allocations() noexcept;
unsigned long copies() noexcept;
unsigned long graph_launches() noexcept;

// The GPU's memory: cudaMalloc and graphs fail beyond `bytes` (SIZE_MAX at first). What is in use,
// and the most since the limit was set.
void limit_memory(std::size_t bytes) noexcept;
std::size_t memory_in_use() noexcept;
std::size_t most_memory_used() noexcept;
// Memory of cudaMalloc that is there, in the order in which it was allocated.
std::vector<std::span<std::byte>> blocks();
// What cudaMemGetInfo() tells of: so many bytes, less those in use.
void tell_memory(std::size_t bytes);

// Called whenever a stream is waited for, its work done: a place for faults. Null: nothing.
void at_wait(std::function<void()> hook);

// When work on a stream is done. 0: at once. Else as CUDA allows, drawn by `seed`: some streams run
// ahead, some stop and go, and some do nothing until somebody waits for them, so that what only a
// lucky order makes right goes wrong. Holds for streams that are made after this call; at first the
// environment's EMULATE_SCHEDULE holds, or 0.
void schedule(unsigned seed);

} // namespace emulate
