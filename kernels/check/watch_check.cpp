// What the emulator has to find in kernels that are wrong, and not in those that are right. Each
// runs in a process of its own.
#include "kernels/check/emulate/emulate.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

namespace {

constexpr int kThreads = 64;

struct Arguments {
  float* data;       // kThreads * 4
  unsigned* tickets; // 1, zero
};

unsigned self() {
  return threadIdx.x;
}

// Every thread writes where its neighbour has just read.
template <bool kBarrier>
void neighbours(Arguments) {
  __shared__ float numbers[kThreads];
  numbers[self()] = 1.0F;
  __syncthreads();
  const float other = numbers[(self() + 1) % kThreads];
  if (kBarrier) __syncthreads();
  numbers[self()] = other;
}

// Within a warp; a shuffle is no barrier.
template <bool kBarrier>
void lanes(Arguments) {
  __shared__ float numbers[kThreads];
  numbers[self()] = 1.0F;
  if (kBarrier)
    __syncwarp();
  else
    static_cast<void>(__shfl_xor_sync(~0U, 1.0F, 1));
  static_cast<void>(__shfl_xor_sync(~0U, numbers[self() ^ 1U], 1));
}

// The last block adds up what all have written.
template <bool kFence>
void blocks(Arguments a) {
  __shared__ bool last;
  if (self() < 2) a.data[2 * blockIdx.x + self()] = 1.0F;
  __syncthreads();
  if (self() == 0) {
    if (kFence) __threadfence();
    last = atomicInc(a.tickets, gridDim.x - 1) == gridDim.x - 1;
    if (kFence) __threadfence();
  }
  __syncthreads();
  if (!last || self() != 1) return;
  float sum = 0.0F;
  for (unsigned i = 0; i < 2 * gridDim.x; ++i)
    sum += __ldcg(a.data + i);
  a.data[0] = sum;
}

void one_cell(Arguments a) {
  a.data[0] = 1.0F; // all threads of all blocks
}

// Halves of a word by two threads.
void halves(Arguments a) {
  reinterpret_cast<std::uint16_t*>(a.data)[self()] = 1;
}

template <unsigned kBeyond>
void bounds(Arguments a) {
  a.data[(3 + kBeyond) * kThreads + self()] = 1.0F;
}

void stacks(Arguments) {
  __shared__ float* of_first;
  volatile float mine = 1.0F;
  if (self() == 0) of_first = const_cast<float*>(&mine);
  __syncthreads();
  *of_first = 2.0F;
}

void unwritten(Arguments a) {
  __shared__ float numbers[kThreads];
  if (self() > 0) numbers[self()] = 1.0F;
  a.data[self()] = numbers[self()];
}

int failures = 0;

// What the kernel says, run on `grid` blocks; "" if it ends well.
std::string outcome(void (*kernel)(Arguments), dim3 grid) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    Arguments arguments{};
    void* memory = nullptr;
    static_cast<void>(cudaMalloc(&memory, kThreads * 4 * sizeof(float)));
    arguments.data = static_cast<float*>(memory);
    static_cast<void>(cudaMalloc(&memory, sizeof(unsigned)));
    static_cast<void>(cudaMemset(memory, 0, sizeof(unsigned)));
    arguments.tickets = static_cast<unsigned*>(memory);
    emulate::launch(grid, kThreads, nullptr, [=] { kernel(arguments); });
    _exit(0);
  }
  close(ends[1]);
  std::string said;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = read(ends[0], buffer.data(), buffer.size())) > 0;)
    said.append(buffer.data(), static_cast<std::size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  return said.empty() ? "it ended without a word" : said;
}

void good(const char* name, void (*kernel)(Arguments), dim3 grid = 3) {
  const std::string said = outcome(kernel, grid);
  if (said.empty()) return;
  ++failures;
  std::printf("FAIL: %s is right, and the emulator says: %s\n", name, said.c_str());
}
void bad(const char* name, void (*kernel)(Arguments), const std::string& words, dim3 grid = 3) {
  const std::string said = outcome(kernel, grid);
  if (said.find(words) != std::string::npos) return;
  ++failures;
  std::printf("FAIL: %s is wrong: '%s' is expected, the emulator says: %s\n", name, words.c_str(),
              said.c_str());
}

} // namespace

int main() {
  good("neighbours with barriers", neighbours<true>);
  bad("neighbours without a barrier", neighbours<false>, "race: write");
  good("lanes with __syncwarp", lanes<true>);
  bad("lanes with a shuffle alone", lanes<false>, "race: read");
  good("a last block that fences", blocks<true>);
  bad("a last block without fences", blocks<false>, "race: read");
  bad("one cell for all threads", one_cell, "race: write", 1);
  bad("one cell for all blocks", one_cell, "race: write");
  good("halves of words", halves, 1);
  bad("halves of words by two blocks", halves, "race: write", 2);
  good("the last of an allocation", bounds<0>, 1);
  bad("what is beyond an allocation", bounds<1>, "outside of its memory: write", 1);
  bad("another thread's stack", stacks, "outside of its memory: write", 1);
  bad("shared memory that was not written", unwritten, "nothing has written", 1);
  bad("a grid that is too high", neighbours<true>, "no GPU runs a grid", dim3(1, 65536));
  bad("a grid of nothing", neighbours<true>, "no GPU runs a grid", dim3(0));
  std::printf("%s\n", failures == 0 ? "all passed" : "failed");
  return failures == 0 ? 0 : 1;
}
