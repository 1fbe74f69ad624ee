// The CUDA runtime for our C++ files: errors as kernels::Error, handles that free themselves. The
// runtime is linked statically; the driver and NVIDIA's libraries are loaded on need, see
// library.hpp.
#pragma once

#include "kernels/device.hpp"

#include <cuda_runtime_api.h>

namespace mlp::kernels::cuda {

// Throws ErrorKind::failed "cannot WHAT: the runtime's words", out_of_memory or unavailable where
// that is what `status` says. The runtime's own record of the error is cleared.
void check(cudaError_t status, const char* what);

// What the last launch of a kernel of ours in this thread has reported.
inline void check_launch(const char* what) {
  check(cudaGetLastError(), what);
}

// Selects a GPU for the calling thread; cheap where it already is.
inline void use(int ordinal) {
  check(cudaSetDevice(ordinal), "select a GPU");
}

// cudaEvent_t without timing, or with it.
class Event {
 public:
  explicit Event(bool timed = false) {
    check(cudaEventCreateWithFlags(&event_, timed ? cudaEventDefault : cudaEventDisableTiming),
          "make an event");
  }
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&&) = delete;
  ~Event() {
    if (event_ != nullptr) static_cast<void>(cudaEventDestroy(event_));
  }
  cudaEvent_t get() const noexcept { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

} // namespace mlp::kernels::cuda
