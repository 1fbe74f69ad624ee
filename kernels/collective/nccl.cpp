// NCCL sums gradients on the GPUs; a ring of sockets beside it carries everything on the host. The
// ring also finds out who is gone: NCCL by itself would wait for a lost rank for ever. The sums are
// not for graphs: ncclCommAbort(), by which such a wait ends, itself waits until every graph that
// holds some of them is gone.
#include "kernels/cuda/nccl.hpp"

#include "kernels/collective/ring.hpp"
#include "kernels/collective/socket.hpp"

#include <array>
#include <atomic>
#include <mutex>
#include <thread>

namespace mlp::kernels {

namespace {

using cuda::check_nccl;
using cuda::nccl;
using Comm = cuda::Nccl::Comm;

constexpr auto kLook = std::chrono::microseconds(50);
// How many waits the caller may be ahead of the GPU: enough that the GPU never waits for it, and
// so few that no copy or buffer of a step before has to be waited for elsewhere, where a lost rank
// would not be noticed.
constexpr std::size_t kAhead = 3;

// Starting has no time limit of its own: a thread does it, which is left behind if others are gone.
struct Starting {
  std::atomic<bool> done{false};
  int status = 0;
  Comm comm = nullptr;
};

class NcclCollective final : public Collective {
 public:
  NcclCollective(const CollectiveOptions& options, int gpu)
      : gpu_(selected(gpu)), longest_(seconds(options.operation_seconds)) {
    ring_ = make_host_ring(options);
    start_nccl(seconds(options.join_seconds));
    cuda::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "make a stream");
  }
  NcclCollective(const NcclCollective&) = delete;
  ~NcclCollective() override {
    // A sum that waits for ranks that are gone would never end.
    if (comm_ != nullptr) static_cast<void>(ended_ ? nccl().destroy(comm_) : nccl().abort(comm_));
    if (stream_ != nullptr) static_cast<void>(cudaStreamDestroy(stream_));
  }

  int rank() const noexcept override { return ring_->rank(); }
  int size() const noexcept override { return ring_->size(); }

  void start(Stream stream, float* data, std::int64_t count, float scale) override {
    if (count < 0) throw Error(ErrorKind::invalid, "a reduction has a negative size");
    if (count == 0) return;
    cuda::use(gpu_);
    const std::lock_guard lock(mutex_);
    require_comm();
    ended_ = false;
    ring_->expect(true);
    order(handle(stream), stream_, ready_);
    int sum = cuda::Nccl::kSum;
    check_nccl(
        nccl().make_scaled_sum(&sum, &scale, cuda::Nccl::kFloat32, cuda::Nccl::kHostScalar, comm_),
        "prepare a sum over GPUs");
    const int status = nccl().all_reduce(data, data, static_cast<std::size_t>(count),
                                         cuda::Nccl::kFloat32, sum, comm_, stream_);
    static_cast<void>(nccl().drop_scaled_sum(sum, comm_));
    check_nccl(status, "queue a sum over GPUs");
  }

  void wait(Stream stream) override {
    cuda::use(gpu_);
    const cuda::Event& oldest = passed_[turn_++ % kAhead];
    await([&] { return is_ready(cudaEventQuery(oldest.get())); });
    order(stream_, handle(stream), done_);
    cuda::check(cudaEventRecord(oldest.get(), handle(stream)), "record an event");
  }

  void settle(Stream stream) override {
    // Who has come here has queued all that the others' GPUs wait for.
    ring_->barrier();
    cuda::use(gpu_);
    await([&] {
      return is_ready(cudaStreamQuery(handle(stream))) && is_ready(cudaStreamQuery(stream_));
    });
    const std::lock_guard lock(mutex_);
    ended_ = true;
    ring_->expect(false);
  }

  void broadcast(void* data, std::size_t bytes, int root) override {
    ring_->broadcast(data, bytes, root);
  }
  void all_gather(const void* mine, void* all, std::size_t bytes) override {
    ring_->all_gather(mine, all, bytes);
  }

  void abort(const std::string& reason) noexcept override {
    ring_->abort(reason);
    stop_nccl();
  }
  std::optional<CollectiveFailure> failure() const override { return ring_->failure(); }

 private:
  // Before any handle is made. A missing library is an error before others are waited for.
  static int selected(int gpu) {
    static_cast<void>(nccl());
    cuda::use(gpu);
    return gpu;
  }
  static cudaStream_t handle(Stream stream) noexcept {
    return static_cast<cudaStream_t>(stream.handle);
  }
  static void order(cudaStream_t earlier, cudaStream_t later, const cuda::Event& event) {
    cuda::check(cudaEventRecord(event.get(), earlier), "record an event");
    cuda::check(cudaStreamWaitEvent(later, event.get(), 0), "order two streams");
  }
  // Polls until then; throws if a rank is gone, and after operation_seconds.
  template <class Ready>
  void await(const Ready& ready) {
    const auto until = Clock::now() + longest_;
    while (!ready()) {
      look_for_errors();
      if (Clock::now() >= until) fail("the GPU has not finished its work in time");
      std::this_thread::sleep_for(kLook);
    }
  }
  static bool is_ready(cudaError_t status) {
    if (status == cudaErrorNotReady) {
      // The runtime keeps it as this thread's last error, where the next launch would find it.
      static_cast<void>(cudaGetLastError());
      return false;
    }
    cuda::check(status, "wait for the GPU");
    return true;
  }

  void start_nccl(Clock::duration patience) {
    cuda::Nccl::UniqueId id{};
    if (rank() == 0) check_nccl(nccl().get_unique_id(&id), "start NCCL");
    ring_->broadcast(&id, sizeof id, 0);
    const auto starting = std::make_shared<Starting>();
    std::thread([starting, id, gpu = gpu_, rank = rank(), size = size()] {
      starting->status = cudaSetDevice(gpu) == cudaSuccess
                             ? nccl().init_rank(&starting->comm, size, id, rank)
                             : -1;
      starting->done = true;
    }).detach();
    const auto until = Clock::now() + patience;
    while (!starting->done) {
      ring_->settle({}); // throws if a rank is gone
      if (Clock::now() >= until) fail("NCCL has not started in time");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (starting->status != cuda::Nccl::kSuccess) {
      const std::string words = nccl().words(starting->status);
      fail("cannot start NCCL: " + words);
    }
    comm_ = starting->comm;
  }

  void look_for_errors() {
    try {
      ring_->settle({});
    } catch (...) {
      stop_nccl();
      throw;
    }
    int status = cuda::Nccl::kSuccess;
    {
      const std::lock_guard lock(mutex_);
      require_comm();
      check_nccl(nccl().async_error(comm_, &status), "ask NCCL for errors");
    }
    if (status != cuda::Nccl::kSuccess && status != cuda::Nccl::kInProgress)
      fail(std::string("NCCL has failed: ") + nccl().words(status));
  }

  // This rank's own failure: the others are told, and nothing on the GPU waits for them any more.
  [[noreturn]] void fail(const std::string& reason) {
    abort(reason);
    throw Error(ErrorKind::failed, reason);
  }
  void stop_nccl() noexcept {
    const std::lock_guard lock(mutex_);
    if (comm_ != nullptr) static_cast<void>(nccl().abort(comm_));
    comm_ = nullptr;
  }
  void require_comm() const {
    if (comm_ != nullptr) return;
    const auto known = ring_->failure();
    throw Error(ErrorKind::failed,
                known ? known->reason : "the training of several GPUs has ended");
  }

  int gpu_;
  Clock::duration longest_;
  std::unique_ptr<HostRing> ring_;
  std::mutex mutex_; // of comm_, which abort() may take away, and ended_
  Comm comm_ = nullptr;
  bool ended_ = true; // nothing is queued
  cudaStream_t stream_ = nullptr;
  cuda::Event ready_, done_;
  std::array<cuda::Event, kAhead> passed_; // what was queued by the last waits
  std::size_t turn_ = 0;
};

} // namespace

std::unique_ptr<Collective> make_nccl(const CollectiveOptions& options, int gpu) {
  return std::make_unique<NcclCollective>(options, gpu);
}

} // namespace mlp::kernels
