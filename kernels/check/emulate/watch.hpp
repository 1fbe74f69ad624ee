// Watches what the threads of emulated kernels read and write, as compute-sanitizer does on a GPU.
// Kernels are compiled with -fsanitize=thread, and the functions that this makes them call are ours
// (watch.cpp): no runtime of the compiler's is linked. Found are
//  - races: two threads use the same bytes, one of them writes, and nothing orders them: within a
//    block a barrier does, within a warp __syncwarp(), between blocks fence, atomic, atomic, fence;
//  - bytes outside of allocations, the stack of the thread and shared memory, or freed;
//  - shared memory that is read before a thread of the block has written it.
// What is found is told on stderr, with both places in the source, and ends the process.
#pragma once

#include <cstddef>

namespace emulate {

// Memory that kernels may use, by any thread of the host.
void memory_begins(const void* start, std::size_t bytes);
void memory_ends(const void* start) noexcept;

} // namespace emulate

// For the emulator alone, which runs one kernel at a time.
namespace emulate::watch {

struct Place {
  unsigned block = 0, epoch = 0; // epoch: barriers of the block so far
  unsigned thread = 0, warp_epoch = 0;
};

// A launch of `data` (its arguments) begins and ends; the calling thread runs its kernel.
void launch_begins(const void* data, std::size_t bytes);
void launch_ends() noexcept;
// A thread is about to run on its stack, or no thread is.
void runs(const Place& place, const void* stack, std::size_t bytes) noexcept;
void stops() noexcept;
void moved_on(const Place& place) noexcept; // past a barrier
void block_begins() noexcept;
void fence();
void atomic(const void* address, std::size_t bytes, const void* code);

} // namespace emulate::watch
