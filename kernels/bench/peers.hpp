// What NVIDIA's own libraries do of an operation, to be timed beside ours. Each library is loaded
// when a peer of it is made; ErrorKind::unavailable where it is missing, or where the build had no
// nvcc.
#pragma once

#include "kernels/device.hpp"

#include <memory>
#include <string>

namespace mlp::kernels::bench {

// An operation over buffers of the caller, which live as long as it does.
class Peer {
 public:
  virtual ~Peer() = default;
  virtual const char* name() const noexcept = 0;
  virtual int ways() const noexcept { return 1; } // at least one; any may turn out unsupported
  virtual void run(Stream stream, int way) = 0;   // queues it; throws ErrorKind::unsupported
};

// Queues a copy within the GPU's memory, by the driver.
void driver_copy(Stream stream, void* to, const void* from, std::size_t bytes);

// The product of dense operands by each of the first `most` algorithms that cuBLASLt's heuristic
// names, with bias and relu in its epilogue, and as much workspace as our plans may take.
std::unique_ptr<Peer> cublas_product(Device& device, const MatmulSpec& spec, Precision precision,
                                     int most, const void* a, const void* b, const void* bias,
                                     void* c);

// cuDNN's pooling over two axes, with channels first or last. It needs no index for its way back,
// but x and y.
std::unique_ptr<Peer> cudnn_pool(const PoolSpec& spec, bool channels_last, const float* x,
                                 float* y);
std::unique_ptr<Peer> cudnn_pool_backward(const PoolSpec& spec, bool channels_last, const float* x,
                                          const float* y, const float* dy, float* dx);

} // namespace mlp::kernels::bench
