// The threads of a block as coroutines.
#include "kernels/check/emulate/emulate.hpp"
#include "kernels/check/emulate/watch.hpp"

#include <ucontext.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

namespace emulate {

namespace {

constexpr std::size_t kStack = std::size_t{64} << 10;

struct Barrier {
  int arrived = 0;
  unsigned long generation = 0;
};

// What is launched.
struct Kernel {
  void (*run)(const void* data) = nullptr;
  std::vector<std::byte> data;
};

struct Fiber {
  ucontext_t context{};
  std::unique_ptr<char[]> stack = std::make_unique<char[]>(kStack);
  bool done = true;
};

struct Warp {
  Barrier barrier;
  unsigned synced = 0; // __syncwarp() so far
  int live = 0;
  std::array<std::array<unsigned char, 16>, kWarp> slots{};
};

// One block at a time, of one launch at a time.
struct Machine {
  std::mutex mutex;
  ucontext_t scheduler{};
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  Barrier barrier;
  int live = 0;
  unsigned long events = 0; // arrivals and ends: a turn without any is a deadlock
  unsigned long launches = 0;
  std::size_t running = 0;
  uint3 thread{}, block{};
  dim3 grid;
  Kernel kernel;
};

Machine& machine() {
  static Machine one;
  return one;
}

watch::Place place() {
  const Machine& m = machine();
  const auto block = (m.block.z * m.grid.y + m.block.y) * m.grid.x + m.block.x;
  return {block, static_cast<unsigned>(m.barrier.generation), static_cast<unsigned>(m.running),
          m.warps[m.running / kWarp].synced};
}

void yield() {
  Machine& m = machine();
  swapcontext(&m.fibers[m.running].context, &m.scheduler);
}

void wait(Barrier& barrier, const int& live) {
  Machine& m = machine();
  const unsigned long generation = barrier.generation;
  ++barrier.arrived;
  ++m.events;
  while (barrier.generation == generation) {
    if (barrier.arrived == live) {
      barrier.arrived = 0;
      ++barrier.generation;
      return;
    }
    yield();
  }
}

void enter() {
  Machine& m = machine();
  const std::size_t self = m.running;
  m.kernel.run(m.kernel.data.data());
  m.fibers[self].done = true;
  --m.live;
  --m.warps[self / kWarp].live;
  ++m.events;
  swapcontext(&m.fibers[self].context, &m.scheduler);
}

void run_block(int threads, bool backwards) {
  Machine& m = machine();
  watch::block_begins();
  const auto count = static_cast<std::size_t>(threads);
  m.barrier = {};
  m.live = threads;
  for (std::size_t w = 0; w < m.warps.size(); ++w) {
    m.warps[w].barrier = {};
    m.warps[w].synced = 0;
    m.warps[w].live = kWarp;
  }
  for (std::size_t i = 0; i < count; ++i) {
    Fiber& fiber = m.fibers[i];
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = &m.scheduler;
    makecontext(&fiber.context, enter, 0);
  }
  while (m.live > 0) {
    const unsigned long before = m.events;
    for (std::size_t turn = 0; turn < count; ++turn) {
      const std::size_t i = backwards ? count - 1 - turn : turn;
      if (m.fibers[i].done) continue;
      m.running = i;
      m.thread = {static_cast<unsigned>(i), 0, 0};
      watch::runs(place(), m.fibers[i].stack.get(), kStack);
      swapcontext(&m.scheduler, &m.fibers[i].context);
      watch::stops();
    }
    if (m.events == before && m.live > 0) {
      std::fprintf(stderr, "emulated kernel: its threads wait for one another for ever\n");
      std::abort();
    }
  }
}

// As the GPU's limits are; and all our kernels are of whole warps.
void require_possible(const dim3& grid, int threads) {
  constexpr unsigned kMostX = 0x7FFFFFFF;
  constexpr unsigned kMostYZ = 65535;
  constexpr int kMostThreads = 1024;
  if (grid.x >= 1 && grid.x <= kMostX && grid.y >= 1 && grid.y <= kMostYZ && grid.z >= 1 &&
      grid.z <= kMostYZ && threads >= kWarp && threads <= kMostThreads && threads % kWarp == 0)
    return;
  std::fprintf(stderr, "emulated kernel: no GPU runs a grid of %u x %u x %u blocks of %d threads\n",
               grid.x, grid.y, grid.z, threads);
  std::abort();
}

void run(dim3 grid, int threads, const Kernel& kernel) {
  Machine& m = machine();
  const std::lock_guard lock(m.mutex);
  m.fibers.resize(static_cast<std::size_t>(threads));
  m.warps.resize(static_cast<std::size_t>(threads / kWarp));
  m.kernel = kernel;
  m.grid = grid;
  watch::launch_begins(m.kernel.data.data(), m.kernel.data.size());
  const bool backwards = m.launches++ % 2 == 1;
  const unsigned long blocks = static_cast<unsigned long>(grid.x) * grid.y * grid.z;
  for (unsigned long at = 0; at < blocks; ++at) {
    const unsigned long b = backwards ? blocks - 1 - at : at;
    m.block = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
               static_cast<unsigned>(b / grid.x / grid.y)};
    run_block(threads, (at % 2 == 1) != backwards);
  }
  watch::launch_ends();
}

} // namespace

void launch_copy(dim3 grid, int threads, cudaStream_t stream, void (*run_kernel)(const void* data),
                 const void* data, std::size_t bytes) {
  require_possible(grid, threads);
  const auto* first = static_cast<const std::byte*>(data);
  submit(stream, [grid, threads, kernel = Kernel{run_kernel, {first, first + bytes}}] {
    run(grid, threads, kernel);
  });
}

uint3 thread_index() noexcept {
  return machine().thread;
}
uint3 block_index() noexcept {
  return machine().block;
}
dim3 grid_size() noexcept {
  return machine().grid;
}

void sync_block() {
  Machine& m = machine();
  wait(m.barrier, m.live);
  watch::moved_on(place());
}

void sync_warp() {
  Machine& m = machine();
  Warp& warp = m.warps[m.running / kWarp];
  const unsigned before = warp.synced;
  wait(warp.barrier, warp.live);
  if (warp.synced == before) ++warp.synced; // the first one that goes on
  watch::moved_on(place());
}

void fence() {
  watch::fence();
}

void atomic(const void* address, std::size_t bytes) {
  watch::atomic(address, bytes, __builtin_return_address(0));
}

void exchange(const void* value, std::size_t bytes, int source, void* result) {
  Machine& m = machine();
  Warp& warp = m.warps[m.running / kWarp];
  std::memcpy(warp.slots[m.running % kWarp].data(), value, bytes);
  wait(warp.barrier, warp.live);
  std::memcpy(result, warp.slots[static_cast<std::size_t>(source)].data(), bytes);
  wait(warp.barrier, warp.live); // nobody writes the slots before all have read
}

} // namespace emulate
