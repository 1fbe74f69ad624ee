// Errors of the CUDA runtime as kernels::Error.
#include "kernels/cuda/runtime.hpp"

namespace mlp::kernels::cuda {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  const std::string message = std::string("cannot ") + what + ": " + cudaGetErrorString(status);
  switch (status) {
  case cudaErrorMemoryAllocation:
    throw Error(ErrorKind::out_of_memory, message,
                "use a smaller batch, or end what else uses the GPU");
  case cudaErrorNoDevice:
  case cudaErrorInsufficientDriver:
  case cudaErrorInvalidDevice:
  case cudaErrorDevicesUnavailable:
    throw Error(ErrorKind::unavailable, message);
  case cudaErrorNoKernelImageForDevice:
    throw Error(ErrorKind::unavailable, message,
                "mlp has code for GPUs of compute capability 8.0 and from 9.0 on");
  default:
    throw Error(ErrorKind::failed, message);
  }
}

} // namespace mlp::kernels::cuda
