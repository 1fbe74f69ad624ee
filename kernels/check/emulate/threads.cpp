// The threads of a block as coroutines.
#include "kernels/check/emulate/emulate.hpp"

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

struct Fiber {
  ucontext_t context{};
  std::unique_ptr<char[]> stack = std::make_unique<char[]>(kStack);
  bool done = true;
};

struct Warp {
  Barrier barrier;
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
  Thread thread{};
  std::function<void()> kernel;
};

Machine& machine() {
  static Machine one;
  return one;
}

void yield() {
  Machine& m = machine();
  const std::size_t self = m.running;
  const Thread saved = m.thread;
  swapcontext(&m.fibers[self].context, &m.scheduler);
  m.running = self;
  m.thread = saved;
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
  m.kernel();
  m.fibers[self].done = true;
  --m.live;
  --m.warps[self / kWarp].live;
  ++m.events;
  swapcontext(&m.fibers[self].context, &m.scheduler);
}

void run_block(const dim3& grid, uint3 block, int threads, bool backwards) {
  Machine& m = machine();
  const auto count = static_cast<std::size_t>(threads);
  m.barrier = {};
  m.live = threads;
  for (std::size_t w = 0; w < m.warps.size(); ++w) {
    m.warps[w].barrier = {};
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
      m.thread = {{static_cast<unsigned>(i), 0, 0}, block, grid};
      swapcontext(&m.scheduler, &m.fibers[i].context);
    }
    if (m.events == before && m.live > 0) {
      std::fprintf(stderr, "emulated kernel: its threads wait for one another for ever\n");
      std::abort();
    }
  }
}

void run(dim3 grid, int threads, const std::function<void()>& kernel) {
  Machine& m = machine();
  const std::lock_guard lock(m.mutex);
  m.fibers.resize(static_cast<std::size_t>(threads));
  m.warps.resize(static_cast<std::size_t>(threads / kWarp));
  m.kernel = kernel;
  const bool backwards = m.launches++ % 2 == 1;
  const unsigned long blocks = static_cast<unsigned long>(grid.x) * grid.y * grid.z;
  for (unsigned long at = 0; at < blocks; ++at) {
    const unsigned long b = backwards ? blocks - 1 - at : at;
    const uint3 block{static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                      static_cast<unsigned>(b / grid.x / grid.y)};
    run_block(grid, block, threads, (at % 2 == 1) != backwards);
  }
}

} // namespace

void launch(dim3 grid, int threads, cudaStream_t stream, std::function<void()> kernel) {
  submit(stream, [grid, threads, kernel = std::move(kernel)] { run(grid, threads, kernel); });
}

const Thread& current() noexcept {
  return machine().thread;
}

void sync_block() {
  Machine& m = machine();
  wait(m.barrier, m.live);
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
