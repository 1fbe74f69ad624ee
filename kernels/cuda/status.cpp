// Whether there is a GPU that this process can use, and if not, why.
#include "kernels/cuda/library.hpp"
#include "kernels/cuda/runtime.hpp"

namespace mlp::kernels {

namespace {

// "12.4" of 12040.
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

CudaStatus look() {
  try {
    const cuda::Library driver("the NVIDIA driver", {"libcuda.so.1"}, "");
  } catch (const Error&) {
    return {.devices = 0, .reason = "no NVIDIA driver: libcuda.so.1 is not installed"};
  }
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status == cudaSuccess && devices > 0) return {.devices = devices, .reason = ""};
  static_cast<void>(cudaGetLastError());
  if (status == cudaErrorInsufficientDriver) {
    int driver = 0;
    int runtime = 0;
    static_cast<void>(cudaDriverGetVersion(&driver));
    static_cast<void>(cudaRuntimeGetVersion(&runtime));
    if (driver == 0) return {.devices = 0, .reason = "the NVIDIA driver finds no GPU"};
    return {.devices = 0,
            .reason = "the NVIDIA driver is for CUDA " + version_text(driver) +
                      ", mlp needs one for CUDA " + version_text(runtime)};
  }
  if (status == cudaSuccess || status == cudaErrorNoDevice)
    return {.devices = 0, .reason = "the NVIDIA driver finds no GPU"};
  return {.devices = 0,
          .reason = std::string("the NVIDIA driver fails: ") + cudaGetErrorString(status)};
}

} // namespace

CudaStatus cuda_status() {
  try {
    return look();
  } catch (const std::exception& error) {
    return {.devices = 0, .reason = error.what()};
  }
}

} // namespace mlp::kernels
