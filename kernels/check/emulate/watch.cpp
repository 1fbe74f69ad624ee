// Shadow memory: for each word, who wrote it last and who has read it since. A page of memory in
// which somebody uses less than a word has a cell for each byte.
#include "kernels/check/emulate/watch.hpp"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

extern char __executable_start, __bss_start, _end; // NOLINT: the linker's

namespace emulate {

namespace {

using Address = std::uintptr_t;

Address address_of(const void* pointer) noexcept {
  return reinterpret_cast<Address>(pointer);
}

struct Range {
  Address begin = 0, end = 0;
  bool holds(Address first, std::size_t bytes) const noexcept {
    return first >= begin && first < end && bytes <= end - first;
  }
};

// What may be used, by its start.
struct Memory {
  std::mutex mutex;
  std::map<Address, Address> ranges;
};
Memory& memory() {
  static Memory one;
  return one;
}

} // namespace

void memory_begins(const void* start, std::size_t bytes) {
  const std::lock_guard lock(memory().mutex);
  memory().ranges[address_of(start)] = address_of(start) + bytes;
}

void memory_ends(const void* start) noexcept {
  const std::lock_guard lock(memory().mutex);
  memory().ranges.erase(address_of(start));
}

} // namespace emulate

namespace emulate::watch {

namespace {

enum class Kind : std::uint8_t { read, write, atomic };

// One use of a cell.
struct Use {
  Place by;
  const void* code = nullptr; // null: none in this launch
  Kind kind = Kind::read;
  bool threads = false, blocks = false; // also by others of the same epoch; of other blocks
};
struct Cell {
  unsigned launch = 0;
  Use write, read;
};

constexpr std::size_t kPage = 4096, kMostPages = 4096;
struct Page {
  std::size_t grain = 4;
  std::vector<Cell> cells = std::vector<Cell>(kPage / 4);
};

// What a block has released by an atomic, or another has acquired so: all that its threads did
// before `epoch`, and what `thread` did in it.
struct Release {
  unsigned block = 0, epoch = 0, thread = 0;
};
struct Acquired {
  Release what;
  unsigned epoch = 0, thread = 0; // since when, and by whom
};

struct State {
  unsigned launch = 0, blocks = 0;
  Range arguments, stack;
  Place now;
  std::unordered_map<Address, Page> pages;
  std::unordered_map<Address, std::vector<Release>> atomics; // of this launch
  // Of the block that runs.
  std::vector<Acquired> acquired;
  std::map<unsigned, std::vector<Release>> pending; // by thread, until its next fence
  std::map<unsigned, unsigned> fenced;              // by thread: epoch
  // What was looked for last.
  Address page_number = 0;
  Page* page = nullptr;
  Range known;
};
State& state() {
  static State one;
  return one;
}

thread_local bool watching = false; // a thread of a kernel runs in this thread of the host

const Range program{address_of(&__executable_start), address_of(&_end)};
const Range shared{address_of(&__bss_start), address_of(&_end)};

bool is_shared(Address at) noexcept {
  return shared.holds(at, 1);
}

const char* name_of(Kind kind) noexcept {
  return kind == Kind::read ? "read" : kind == Kind::write ? "write" : "atomic change";
}

// Where in the source: binutils' addr2line knows, if it is there.
void print_source(const void* code) {
  std::fflush(stderr);
  char command[128];
  std::snprintf(command, sizeof command, "addr2line -Cfpise /proc/%d/exe 0x%lx 1>&2",
                static_cast<int>(getpid()),
                static_cast<unsigned long>(address_of(code) - 1 - program.begin));
  if (std::system(command) != 0) std::fprintf(stderr, "code %p\n", code); // NOLINT: a check
}

[[noreturn]] void end(const char* what, Kind kind, Address at, std::size_t bytes, const void* code,
                      const Use* before) {
  watching = false;
  const State& s = state();
  std::fprintf(stderr, "emulated kernel: %s: %s of %zu bytes at 0x%lx", what, name_of(kind), bytes,
               static_cast<unsigned long>(at));
  if (is_shared(at)) std::fprintf(stderr, " (shared memory)");
  std::fprintf(stderr, "\n  by thread %u of block %u: ", s.now.thread, s.now.block);
  print_source(code);
  if (before != nullptr) {
    std::fprintf(stderr, "  after a %s by thread %u%s of block %u%s: ", name_of(before->kind),
                 before->by.thread, before->threads ? " and others" : "", before->by.block,
                 before->blocks ? " and others" : "");
    print_source(before->code);
  }
  std::abort();
}

// Whether `use`, of another block, happened before what the thread that runs does now.
bool is_acquired(const Use& use) {
  const State& s = state();
  const auto here = [&](const Acquired& a) {
    return a.epoch < s.now.epoch || a.thread == s.now.thread;
  };
  if (use.blocks) { // all blocks that may be meant
    std::size_t seen = 0;
    for (const Acquired& a : s.acquired)
      seen += here(a) ? 1 : 0;
    return seen + 1 >= s.blocks;
  }
  for (const Acquired& a : s.acquired)
    if (a.what.block == use.by.block && here(a) &&
        (use.by.epoch < a.what.epoch ||
         (use.by.epoch == a.what.epoch && !use.threads && use.by.thread == a.what.thread)))
      return true;
  return false;
}

bool is_ordered(const Use& before, Kind kind) {
  if (before.code == nullptr) return true;
  if (before.kind == Kind::atomic && kind == Kind::atomic) return true;
  const Place& now = state().now;
  if (before.blocks || before.by.block != now.block) return is_acquired(before);
  if (before.by.epoch != now.epoch) return true;
  if (before.threads) return false;
  if (before.by.thread == now.thread) return true;
  constexpr unsigned kLanes = 32;
  return before.by.thread / kLanes == now.thread / kLanes && before.by.warp_epoch != now.warp_epoch;
}

Page& page_of(Address number) {
  State& s = state();
  if (s.page == nullptr || s.page_number != number) {
    s.page = &s.pages[number];
    s.page_number = number;
  }
  return *s.page;
}

void split(Page& page) {
  std::vector<Cell> bytes;
  bytes.reserve(kPage);
  for (const Cell& cell : page.cells)
    bytes.insert(bytes.end(), page.grain, cell);
  page.cells = std::move(bytes);
  page.grain = 1;
}

void use(Cell& cell, Kind kind, Address at, std::size_t bytes, const void* code) {
  State& s = state();
  // Shared memory is another one for each block.
  const bool of_block = is_shared(at);
  if (cell.launch != s.launch ||
      (of_block && cell.write.code != nullptr && cell.write.by.block != s.now.block)) {
    cell = {};
    cell.launch = s.launch;
  }
  if (!is_ordered(cell.write, kind)) end("race", kind, at, bytes, code, &cell.write);
  if (kind == Kind::read) {
    if (of_block && cell.write.code == nullptr)
      end("shared memory that nothing has written", kind, at, bytes, code, nullptr);
    Use& last = cell.read;
    const bool any = last.code != nullptr;
    const bool same_epoch = any && last.by.block == s.now.block && last.by.epoch == s.now.epoch;
    const bool others = same_epoch && (last.threads || last.by.thread != s.now.thread);
    const bool blocks = any && (last.blocks || last.by.block != s.now.block);
    last = {s.now, code, kind, others, blocks};
    return;
  }
  if (!is_ordered(cell.read, kind)) end("race", kind, at, bytes, code, &cell.read);
  cell.write = {s.now, code, kind, false, false};
  cell.read = {};
}

bool may_use(Address at, std::size_t bytes, Kind kind) {
  State& s = state();
  if (s.known.holds(at, bytes)) return true;
  if (shared.holds(at, bytes) || (kind == Kind::read && program.holds(at, bytes))) return true;
  const std::lock_guard lock(memory().mutex);
  auto after = memory().ranges.upper_bound(at);
  if (after == memory().ranges.begin()) return false;
  --after;
  const Range range{after->first, after->second};
  if (!range.holds(at, bytes)) return false;
  s.known = range;
  return true;
}

void watch(const void* pointer, std::size_t bytes, Kind kind, const void* code) {
  State& s = state();
  const Address at = address_of(pointer);
  if (s.stack.holds(at, bytes)) return;
  if (s.arguments.holds(at, bytes) && kind == Kind::read) return;
  if (!may_use(at, bytes, kind)) end("outside of its memory", kind, at, bytes, code, nullptr);
  if (at < shared.begin && program.holds(at, bytes)) return; // a constant
  for (Address byte = at; byte < at + bytes;) {
    Page& page = page_of(byte / kPage);
    if (page.grain != 1 && (byte % page.grain != 0 || at + bytes - byte < page.grain)) split(page);
    use(page.cells[byte % kPage / page.grain], kind, at, bytes, code);
    byte += page.grain;
  }
}

} // namespace

void launch_begins(const void* data, std::size_t bytes) {
  State& s = state();
  ++s.launch;
  s.blocks = 0;
  s.arguments = {address_of(data), address_of(data) + bytes};
  s.atomics.clear();
  if (s.pages.size() > kMostPages) {
    s.pages.clear();
    s.page = nullptr;
  }
  s.known = {}; // it may have been freed since
}

void launch_ends() noexcept {
  state().arguments = {};
}

void block_begins() noexcept {
  State& s = state();
  ++s.blocks;
  s.acquired.clear();
  s.pending.clear();
  s.fenced.clear();
}

void runs(const Place& place, const void* stack, std::size_t bytes) noexcept {
  State& s = state();
  s.now = place;
  s.stack = {address_of(stack), address_of(stack) + bytes};
  watching = true;
}

void stops() noexcept {
  watching = false;
}

void moved_on(const Place& place) noexcept {
  state().now = place;
}

void fence() {
  State& s = state();
  s.fenced[s.now.thread] = s.now.epoch;
  const auto waiting = s.pending.find(s.now.thread);
  if (waiting == s.pending.end()) return;
  for (const Release& release : waiting->second)
    s.acquired.push_back({release, s.now.epoch, s.now.thread});
  s.pending.erase(waiting);
}

void atomic(const void* address, std::size_t bytes, const void* code) {
  watch(address, bytes, Kind::atomic, code);
  State& s = state();
  std::vector<Release>& released = s.atomics[address_of(address)];
  auto& pending = s.pending[s.now.thread];
  pending.insert(pending.end(), released.begin(), released.end());
  const auto fenced = s.fenced.find(s.now.thread);
  if (fenced == s.fenced.end()) return;
  released.push_back({s.now.block, fenced->second, s.now.thread});
  for (const Acquired& a : s.acquired) // what it knows of others goes along
    released.push_back(a.what);
}

} // namespace emulate::watch

// What the compiler calls, see "ThreadSanitizer" in the compilers' manuals.
#define MLP_WATCH(name, bytes, kind)                                                               \
  extern "C" void name(void* address);                                                             \
  extern "C" void name(void* address) {                                                            \
    using namespace emulate::watch;                                                                \
    if (watching) watch(address, bytes, Kind::kind, __builtin_return_address(0));                  \
  }
MLP_WATCH(__tsan_read1, 1, read)
MLP_WATCH(__tsan_read2, 2, read)
MLP_WATCH(__tsan_read4, 4, read)
MLP_WATCH(__tsan_read8, 8, read)
MLP_WATCH(__tsan_read16, 16, read)
MLP_WATCH(__tsan_write1, 1, write)
MLP_WATCH(__tsan_write2, 2, write)
MLP_WATCH(__tsan_write4, 4, write)
MLP_WATCH(__tsan_write8, 8, write)
MLP_WATCH(__tsan_write16, 16, write)
MLP_WATCH(__tsan_unaligned_read2, 2, read)
MLP_WATCH(__tsan_unaligned_read4, 4, read)
MLP_WATCH(__tsan_unaligned_read8, 8, read)
MLP_WATCH(__tsan_unaligned_read16, 16, read)
MLP_WATCH(__tsan_unaligned_write2, 2, write)
MLP_WATCH(__tsan_unaligned_write4, 4, write)
MLP_WATCH(__tsan_unaligned_write8, 8, write)
MLP_WATCH(__tsan_unaligned_write16, 16, write)
#undef MLP_WATCH

extern "C" {
void __tsan_init();
void __tsan_func_entry(void* caller);
void __tsan_func_exit();
void __tsan_vptr_update(void** at, void* value);
void __tsan_vptr_read(void** at);
void __tsan_read_range(void* address, unsigned long bytes);
void __tsan_write_range(void* address, unsigned long bytes);
int __tsan_atomic32_load(const volatile int* address, int order);

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(void* address, unsigned long bytes) {
  using namespace emulate::watch;
  if (watching) watch(address, bytes, Kind::read, __builtin_return_address(0));
}
void __tsan_write_range(void* address, unsigned long bytes) {
  using namespace emulate::watch;
  if (watching) watch(address, bytes, Kind::write, __builtin_return_address(0));
}
// Of launchers, in a std::stop_token; kernels have atomics of their own, see emulate.hpp.
int __tsan_atomic32_load(const volatile int* address, int) {
  return __atomic_load_n(address, __ATOMIC_SEQ_CST);
}
} // extern "C"
