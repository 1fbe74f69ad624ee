// Links: to the host both ways, and from GPU to GPU.
#include "kernels/preflight/timing.hpp"

#include <sched.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

namespace mlp::kernels::preflight {

namespace {

constexpr std::size_t link_bytes = std::size_t{256} << 20;

// Keeps the calling thread on the processors beside a GPU, so that pinned memory is allocated
// there; without the kernel's word on them (virtual machines) it changes nothing.
class Nearby {
 public:
  explicit Nearby(int gpu) {
    char bus_id[32] = {};
    if (cudaDeviceGetPCIBusId(bus_id, sizeof bus_id, gpu) != cudaSuccess) {
      static_cast<void>(cudaGetLastError()); // no launch is to find it
      return;
    }
    for (char& c : bus_id)
      if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    std::ifstream file(std::string("/sys/bus/pci/devices/") + bus_id + "/local_cpulist");
    std::string list;
    if (!std::getline(file, list) || sched_getaffinity(0, sizeof before_, &before_) != 0) return;
    cpu_set_t near;
    CPU_ZERO(&near);
    std::istringstream ranges(list);
    for (std::string range; std::getline(ranges, range, ',');) {
      int first = 0, last = 0;
      const int read = std::sscanf(range.c_str(), "%d-%d", &first, &last);
      if (read < 1) continue;
      if (read == 1) last = first;
      for (int cpu = first; cpu >= 0 && cpu <= last && cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &before_)) CPU_SET(cpu, &near);
    }
    moved_ = CPU_COUNT(&near) > 0 && sched_setaffinity(0, sizeof near, &near) == 0;
  }
  Nearby(const Nearby&) = delete;
  ~Nearby() {
    if (moved_) static_cast<void>(sched_setaffinity(0, sizeof before_, &before_));
  }

 private:
  cpu_set_t before_{};
  bool moved_ = false;
};

Rate host_link(int gpu, bool to_host, const Budget& budget) {
  cuda::use(gpu);
  const Nearby nearby(gpu);
  const std::size_t bytes = buffer_bytes(link_bytes, 1);
  const PinnedMemory host(bytes);
  std::memset(host.data(), 0x5a, bytes); // no zero page, and every page is there
  const GpuMemory device(bytes);
  const OwnStream stream;
  check(cudaMemsetAsync(device.data(), 0x5a, bytes, stream.get()), "fill GPU memory");
  return time_on(stream, budget, bytes, [&] {
    check(to_host ? cudaMemcpyAsync(host.data(), device.data(), bytes, cudaMemcpyDeviceToHost,
                                    stream.get())
                  : cudaMemcpyAsync(device.data(), host.data(), bytes, cudaMemcpyHostToDevice,
                                    stream.get()),
          "copy between host and GPU");
  });
}

// Lets the selected GPU reach `other`, where it can.
void reach(int gpu, int other) {
  int can = 0;
  check(cudaDeviceCanAccessPeer(&can, gpu, other), "ask for a way between GPUs");
  if (can == 0) return;
  cuda::use(gpu);
  const cudaError_t status = cudaDeviceEnablePeerAccess(other, 0);
  if (status == cudaErrorPeerAccessAlreadyEnabled)
    static_cast<void>(cudaGetLastError());
  else
    check(status, "open a way between GPUs");
}

} // namespace

int visible_gpus(std::string& reason) {
  const CudaStatus status = cuda_status();
  reason = status.reason;
  return status.devices;
}

Rate host_to_device(int gpu, const Budget& budget) {
  return host_link(gpu, false, budget);
}

Rate device_to_host(int gpu, const Budget& budget) {
  return host_link(gpu, true, budget);
}

Rate peer_copy(int from, int to, const Budget& budget) {
  reach(to, from);
  reach(from, to);
  cuda::use(to);
  const std::size_t there = buffer_bytes(link_bytes, 1);
  cuda::use(from);
  const std::size_t bytes = std::min(there, buffer_bytes(link_bytes, 1));
  const GpuMemory source(bytes);
  cuda::use(to);
  const GpuMemory target(bytes);
  cuda::use(from);
  const OwnStream stream;
  check(cudaMemsetAsync(source.data(), 0x5a, bytes, stream.get()), "fill GPU memory");
  return time_on(stream, budget, bytes, [&] {
    check(cudaMemcpyPeerAsync(target.data(), to, source.data(), from, bytes, stream.get()),
          "copy between GPUs");
  });
}

} // namespace mlp::kernels::preflight
