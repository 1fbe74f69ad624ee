// What stands in for the CUDA device where the build had no nvcc.
#include "kernels/device.hpp"

namespace mlp::kernels {

CudaStatus cuda_status() {
  return {.devices = 0, .reason = "mlp was built without CUDA"};
}

std::unique_ptr<Device> make_cuda_device(int, const CudaOptions&) {
  throw Error(ErrorKind::unavailable, "mlp was built without CUDA",
              "build it where the CUDA Toolkit's nvcc is installed");
}

} // namespace mlp::kernels
