// The preflight on the emulator: what it counts, that its kernels do what is timed, and that it
// finds memory that does not keep a word and an all-reduce that gives a wrong sum.
#include "kernels/check/emulate/control.hpp"
#include "kernels/check/emulate/emulate.hpp"
#include "kernels/check/emulate/streams.hpp"
#include "kernels/preflight/measure.hpp"

#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

using namespace mlp::kernels;
using namespace mlp::kernels::preflight;

// For the fake of NCCL.
extern "C" void emulate_submit(cudaStream_t stream, void (*work)(void*), void* data) {
  emulate::submit(stream, [=] { work(data); });
}

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
const Budget kOnce{.stop = {}, .time = std::chrono::milliseconds(0), .least = 1, .most = 1};
int failures = 0;

void expect(bool right, const std::string& what) {
  if (right) return;
  ++failures;
  std::printf("FAIL: %s\n", what.c_str());
}

template <class Body>
std::string error_of(ErrorKind kind, const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    expect(error.kind() == kind, std::string("the kind of: ") + error.what());
    return error.what();
  }
  return "no error";
}

std::span<const float> floats(std::span<const std::byte> block) {
  return {reinterpret_cast<const float*>(block.data()), block.size() / sizeof(float)};
}

void check_rate(const std::string& what, const Rate& rate, std::uint64_t amount) {
  expect(rate.amount == amount, what + " counts " + std::to_string(rate.amount) + " bytes");
  expect(rate.repetitions == 1, what + ": repetitions");
  expect(rate.median > 0 && rate.best >= rate.median, what + " has a rate");
}

void check_bandwidth() {
  emulate::tell_memory(4 * kMiB);
  int looked = 0;
  emulate::at_wait([&] {
    const auto blocks = emulate::blocks();
    ++looked;
    expect(blocks.size() == 2 && blocks[0].size() == kMiB && blocks[1].size() == kMiB &&
               std::memcmp(blocks[0].data(), blocks[1].data(), kMiB) == 0,
           "the copy is one");
    const auto from = floats(blocks[0]);
    expect(from[0] >= -1.0F && from[0] < 1.0F && from[0] != from[1], "of random numbers");
  });
  check_rate("the copy", memory_copy(0, kOnce), 2 * kMiB);
  expect(looked >= 1, "the copy is waited for");
  looked = 0;
  emulate::at_wait([&] {
    const auto blocks = emulate::blocks();
    ++looked;
    bool right = blocks.size() == 3;
    for (std::size_t i = 0; right && i < kMiB / sizeof(float); ++i)
      right = floats(blocks[0])[i] == floats(blocks[1])[i] + 0.5F * floats(blocks[2])[i];
    expect(right, "the triad is one");
  });
  check_rate("the triad", memory_triad(0, kOnce), 3 * kMiB);
  expect(looked >= 1, "the triad is waited for");
  emulate::at_wait({});
  emulate::tell_memory(kMiB);
  expect(error_of(ErrorKind::out_of_memory, [] { memory_copy(0, kOnce); })
                 .find("too little free GPU memory") != std::string::npos,
         "a GPU without room is not measured");
}

void check_links() {
  emulate::tell_memory(4 * kMiB);
  const std::uint64_t most = 3 * kMiB; // nine tenths of four, rounded down
  check_rate("to the GPU", host_to_device(0, kOnce), most);
  check_rate("to the host", device_to_host(0, kOnce), most);
  int looked = 0;
  emulate::at_wait([&] {
    const auto blocks = emulate::blocks();
    ++looked;
    expect(blocks.size() == 2 && std::memcmp(blocks[0].data(), blocks[1].data(), most) == 0,
           "what one GPU had, the other has");
  });
  check_rate("from GPU to GPU", peer_copy(0, 1, kOnce), most);
  expect(looked >= 1, "the copy to a GPU is waited for");
  emulate::at_wait({});
}

// fault(n, word) at wait number n: what the memory does to a word of it.
void check_pattern(const std::string& what, const std::function<void(int, std::uint64_t&)>& fault,
                   std::uint64_t mismatches, int rounds = 1) {
  emulate::tell_memory(515 * kMiB); // 512 of them are left alone
  int waits = 0;
  emulate::at_wait([&] {
    const auto chunk = emulate::blocks().front();
    if (chunk.size() == 2 * kMiB)
      fault(waits, *reinterpret_cast<std::uint64_t*>(chunk.data() + 2 * kMiB - 800));
    ++waits;
  });
  Budget budget = kOnce;
  budget.time = std::chrono::hours(1);
  budget.most = rounds;
  const Pattern found = memory_pattern(0, 0, budget);
  emulate::at_wait({});
  expect(found.bytes == 2 * kMiB, what + ": " + std::to_string(found.bytes) + " bytes tested");
  expect(found.rounds == rounds, what + ": rounds");
  expect(found.mismatches == mismatches,
         what + ": " + std::to_string(found.mismatches) + " words found wrong");
  expect(found.rate > 0, what + ": a rate");
  expect(waits >= 4 * rounds, what + ": written before it is read, and back");
}

void check_patterns() {
  check_pattern(
      "good memory", [](int, std::uint64_t&) {}, 0);
  check_pattern(
      "a bit that flips once",
      [](int wait, std::uint64_t& word) {
        if (wait == 0) word ^= std::uint64_t{1} << 41U;
      },
      1);
  // A word and its complement: a bit that is stuck is wrong in one of the two, whichever it is.
  check_pattern(
      "a bit stuck at 1", [](int, std::uint64_t& word) { word |= 1U; }, 2, 2);
  check_pattern(
      "a bit stuck at 0", [](int, std::uint64_t& word) { word &= ~std::uint64_t{1}; }, 2, 2);
  emulate::tell_memory(516 * kMiB);
  expect(memory_pattern(0, 2 * kMiB, kOnce).bytes == 2 * kMiB, "no more is tested than is asked");
  emulate::tell_memory(512 * kMiB);
  expect(error_of(ErrorKind::out_of_memory, [] { memory_pattern(0, 0, kOnce); })
                 .find("too little free GPU memory") != std::string::npos,
         "a full GPU is not tested");
}

void check_all_reduce() {
  emulate::tell_memory(4 * kMiB);
  for (const int gpus : {2, 3})
    check_rate("the all-reduce", all_reduce(gpus, kOnce),
               static_cast<std::uint64_t>(kMiB * 2.0 * (gpus - 1) / gpus));
  void* nccl = dlopen("libnccl.so.2", RTLD_NOW);
  void* spoil = nccl != nullptr ? dlsym(nccl, "fake_nccl_spoil") : nullptr;
  expect(spoil != nullptr, "the library is the fake");
  if (spoil == nullptr) return;
  reinterpret_cast<void (*)(int)>(spoil)(1);
  const std::string words = error_of(ErrorKind::failed, [] { all_reduce(3, kOnce); });
  expect(words == "the all-reduce gave 1 wrong sums on its GPU 1", "a wrong sum: " + words);
  reinterpret_cast<void (*)(int)>(spoil)(-1);
  error_of(ErrorKind::unsupported, [] { all_reduce(1, kOnce); });
  expect(emulate::blocks().empty(), "all memory is given back");
}

void check_stop() {
  emulate::tell_memory(516 * kMiB);
  std::stop_source source;
  source.request_stop();
  Budget budget = kOnce;
  budget.stop = source.get_token();
  expect(error_of(ErrorKind::failed, [&] { memory_pattern(0, 0, budget); }) == "stopped",
         "a stop ends it");
  expect(emulate::blocks().empty(), "and gives its memory back");
}

} // namespace

int main() {
  check_bandwidth();
  check_links();
  check_patterns();
  check_all_reduce();
  check_stop();
  std::printf("%s\n", failures == 0 ? "all passed" : "failed");
  return failures == 0 ? 0 : 1;
}
