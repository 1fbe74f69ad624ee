// A fake of NCCL for ranks that are threads of one process: sums run on the callers' streams, wait
// there for all ranks as the real ones do, and end only then or by ncclCommAbort().
#include "kernels/check/emulate/streams.hpp"

#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace {

constexpr int kFailed = 1;
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
  std::uint64_t posted = 0;
  std::map<int, float> scales;
  int next_scale = kFirstScaled;
  bool aborted = false;    // guarded by the group's mutex
  std::size_t pending = 0; // the same
};

struct Work {
  Comm* comm;
  const float* from;
  float* to;
  std::size_t count;
  double scale;
  std::uint64_t number;
};

void run(void* data) {
  const std::unique_ptr<Work> work(static_cast<Work*>(data));
  Group& group = *work->comm->group;
  std::unique_lock lock(group.mutex);
  Sum& sum = group.sums[work->number];
  sum.total.resize(work->count);
  for (std::size_t i = 0; i < work->count; ++i)
    sum.total[i] += work->scale * static_cast<double>(work->from[i]);
  ++sum.arrived;
  const auto all = static_cast<std::size_t>(group.size);
  group.changed.notify_all();
  group.changed.wait(lock, [&] { return sum.arrived == all || work->comm->aborted; });
  if (sum.arrived == all)
    for (std::size_t i = 0; i < work->count; ++i)
      work->to[i] = static_cast<float>(sum.total[i]);
  if (++sum.left == all) group.sums.erase(work->number);
  --work->comm->pending;
  group.changed.notify_all();
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
int ncclCommInitRank(Comm** comm, int size, Id id, int) {
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
  *comm = new Comm{.group = group, .scales = {}};
  return 0;
}
int ncclCommInitAll(Comm**, int, const int*) {
  return kFailed; // of the preflight, which is not run here
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
  return 0;
}
int ncclGroupEnd() {
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
  const auto scale = comm->scales.find(operation);
  if (scale == comm->scales.end()) return kFailed;
  {
    const std::lock_guard lock(comm->group->mutex);
    ++comm->pending;
  }
  auto work =
      std::make_unique<Work>(Work{comm, static_cast<const float*>(from), static_cast<float*>(to),
                                  count, static_cast<double>(scale->second), comm->posted++});
  emulate_submit(stream, run, work.release());
  return 0;
}
const char* ncclGetErrorString(int) {
  return "an emulated failure";
}
} // extern "C"
