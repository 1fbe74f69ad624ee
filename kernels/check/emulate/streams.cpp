// A fake of the part of the CUDA runtime that a collective uses: streams that really run beside
// their caller, each a thread, and events between them. Memory is the host's.
#include "kernels/check/emulate/streams.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace {

class Flag {
 public:
  void set() {
    const std::lock_guard lock(mutex_);
    is_set_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return is_set_; });
  }
  bool is_set() {
    const std::lock_guard lock(mutex_);
    return is_set_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_set_ = false;
};

} // namespace

struct CUevent_st {
  std::mutex mutex;
  std::shared_ptr<Flag> last; // recorded
};

namespace {
thread_local cudaError_t last_error = cudaSuccess;
} // namespace

struct CUstream_st {
  CUstream_st() : thread([this] { run(); }) {}
  ~CUstream_st() {
    {
      const std::lock_guard lock(mutex);
      ending = true;
      changed.notify_all();
    }
    thread.join(); // after all that is queued
  }
  void submit(std::function<void()> work) {
    const std::lock_guard lock(mutex);
    queue.push_back(std::move(work));
    changed.notify_all();
  }
  bool idle() {
    const std::lock_guard lock(mutex);
    return queue.empty();
  }
  void run() {
    for (;;) {
      std::function<void()>* work = nullptr;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return ending || !queue.empty(); });
        if (queue.empty()) return;
        work = &queue.front();
      }
      (*work)();
      const std::lock_guard lock(mutex);
      queue.pop_front();
    }
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> queue;
  bool ending = false;
  std::thread thread;
};

extern "C" {
void emulate_submit(cudaStream_t stream, void (*work)(void*), void* data) {
  stream->submit([=] { work(data); });
}
cudaError_t cudaSetDevice(int) {
  return cudaSuccess;
}
cudaError_t cudaGetLastError() {
  return std::exchange(last_error, cudaSuccess);
}
const char* cudaGetErrorString(cudaError_t) {
  return "an emulated error";
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  if (stream->idle()) return cudaSuccess;
  return last_error = cudaErrorNotReady; // the runtime counts it as an error
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const auto reached = std::make_shared<Flag>();
  {
    const std::lock_guard lock(event->mutex);
    event->last = reached;
  }
  stream->submit([reached] { reached->set(); });
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::lock_guard lock(event->mutex);
  if (!event->last || event->last->is_set()) return cudaSuccess;
  return last_error = cudaErrorNotReady;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const std::lock_guard lock(event->mutex);
  if (event->last) stream->submit([reached = event->last] { reached->wait(); });
  return cudaSuccess;
}
} // extern "C"
