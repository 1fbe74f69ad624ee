// A fake of NCCL for ranks that are threads of one process, or all in one thread: sums run on the
// callers' streams, wait there for all ranks as the real ones do, and end only then or by
// ncclCommAbort().
#include "kernels/check/emulate/streams.hpp"

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace {

constexpr int kFailed = 1;
constexpr int kSum = 0;
constexpr int kFirstScaled = 5; // after NCCL's own operations

struct Id {
  char bytes[128];
};

// One sum of all ranks.
struct Sum {
  std::size_t arrived = 0, left = 0;
  std::vector<double> total;
};

struct Group {
  std::mutex mutex;
  std::condition_variable changed;
  int size = 0, joined = 0;
  std::map<std::uint64_t, Sum> sums; // by number
};

std::mutex groups_mutex;
std::map<std::string, std::shared_ptr<Group>> groups;

struct Comm {
  std::shared_ptr<Group> group;
  int rank = 0;
  std::uint64_t posted = 0;
  std::map<int, float> scales;
  int next_scale = kFirstScaled;
  bool aborted = false;    // guarded by the group's mutex
  std::size_t pending = 0; // the same
};

std::atomic<int> spoiled_rank{-1};

struct Work {
  Comm* comm;
  const float* from;
  float* to;
  std::size_t count;
  double scale;
  std::uint64_t number;
};

// The first half of a sum: what is there of this rank.
void give(void* data) {
  const Work& work = *static_cast<Work*>(data);
  Group& group = *work.comm->group;
  const std::lock_guard lock(group.mutex);
  Sum& sum = group.sums[work.number];
  sum.total.resize(work.count);
  for (std::size_t i = 0; i < work.count; ++i)
    sum.total[i] += work.scale * static_cast<double>(work.from[i]);
  ++sum.arrived;
  group.changed.notify_all();
}

// The second: all ranks' results.
void take(void* data) {
  const std::unique_ptr<Work> work(static_cast<Work*>(data));
  Group& group = *work->comm->group;
  std::unique_lock lock(group.mutex);
  Sum& sum = group.sums[work->number];
  const auto all = static_cast<std::size_t>(group.size);
  group.changed.wait(lock, [&] { return sum.arrived == all || work->comm->aborted; });
  if (sum.arrived == all)
    for (std::size_t i = 0; i < work->count; ++i)
      work->to[i] = static_cast<float>(sum.total[i]);
  if (work->comm->rank == spoiled_rank && work->count > 0) work->to[work->count / 2] += 1.0F;
  if (++sum.left == all) group.sums.erase(work->number);
  --work->comm->pending;
  group.changed.notify_all();
}

struct Queued {
  cudaStream_t stream;
  Work* work;
};
thread_local int depth = 0; // of groups that are open
thread_local std::vector<Queued> queued;

// A stream may do its work as it is queued: all ranks give before one takes.
void queue_all() {
  for (const Queued& entry : queued)
    emulate_submit(entry.stream, give, entry.work);
  for (const Queued& entry : queued)
    emulate_submit(entry.stream, take, entry.work);
  queued.clear();
}

} // namespace

extern "C" {
int ncclGetUniqueId(Id* id) {
  static std::uint64_t next = 0;
  const std::lock_guard lock(groups_mutex);
  std::memset(id, 0, sizeof *id);
  std::memcpy(id->bytes, &++next, sizeof next);
  return 0;
}
int ncclCommInitRank(Comm** comm, int size, Id id, int rank) {
  std::shared_ptr<Group> group;
  {
    const std::lock_guard lock(groups_mutex);
    auto& entry = groups[std::string(id.bytes, sizeof id.bytes)];
    if (!entry) entry = std::make_shared<Group>();
    group = entry;
  }
  std::unique_lock lock(group->mutex);
  group->size = size;
  ++group->joined;
  group->changed.notify_all();
  group->changed.wait(lock, [&] { return group->joined == size; });
  *comm = new Comm{.group = group, .rank = rank, .scales = {}};
  return 0;
}
int ncclCommInitAll(Comm** comms, int size, const int*) {
  const auto group = std::make_shared<Group>();
  group->size = group->joined = size;
  for (int rank = 0; rank < size; ++rank)
    comms[rank] = new Comm{.group = group, .rank = rank, .scales = {}};
  return 0;
}
// A fault: from now on this rank gets a wrong sum; -1: none does.
void fake_nccl_spoil(int rank) {
  spoiled_rank = rank;
}
int ncclCommAbort(Comm* comm) {
  std::unique_lock lock(comm->group->mutex);
  comm->aborted = true;
  comm->group->changed.notify_all();
  comm->group->changed.wait(lock, [&] { return comm->pending == 0; });
  lock.unlock();
  delete comm;
  return 0;
}
int ncclCommDestroy(Comm* comm) {
  delete comm;
  return 0;
}
int ncclCommGetAsyncError(Comm*, int* status) {
  *status = 0;
  return 0;
}
int ncclGroupStart() {
  ++depth;
  return 0;
}
int ncclGroupEnd() {
  if (--depth == 0) queue_all();
  return 0;
}
int ncclRedOpCreatePreMulSum(int* operation, void* scale, int, int, Comm* comm) {
  *operation = comm->next_scale++;
  std::memcpy(&comm->scales[*operation], scale, sizeof(float));
  return 0;
}
int ncclRedOpDestroy(int operation, Comm* comm) {
  return comm->scales.erase(operation) == 1 ? 0 : kFailed;
}
int ncclAllReduce(const void* from, void* to, std::size_t count, int, int operation, Comm* comm,
                  cudaStream_t stream) {
  const auto scaled = comm->scales.find(operation);
  if (operation != kSum && scaled == comm->scales.end()) return kFailed;
  {
    const std::lock_guard lock(comm->group->mutex);
    ++comm->pending;
  }
  const double scale = operation == kSum ? 1.0 : static_cast<double>(scaled->second);
  auto work = std::make_unique<Work>(Work{comm, static_cast<const float*>(from),
                                          static_cast<float*>(to), count, scale, comm->posted++});
  queued.push_back({stream, work.release()});
  if (depth == 0) queue_all();
  return 0;
}
const char* ncclGetErrorString(int) {
  return "an emulated failure";
}
} // extern "C"
