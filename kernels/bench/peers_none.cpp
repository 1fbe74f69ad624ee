// What stands in for NVIDIA's libraries where the build had no nvcc.
#include "kernels/bench/peers.hpp"

namespace mlp::kernels::bench {

namespace {

[[noreturn]] void refuse() {
  throw Error(ErrorKind::unavailable, "kernels_bench was built without CUDA",
              "build it where the CUDA Toolkit's nvcc is installed");
}

} // namespace

void driver_copy(Stream, void*, const void*, std::size_t) {
  refuse();
}
std::unique_ptr<Peer> cublas_product(Device&, const MatmulSpec&, Precision, int, const void*,
                                     const void*, const void*, void*) {
  refuse();
}
std::unique_ptr<Peer> cudnn_pool(const PoolSpec&, bool, const float*, float*) {
  refuse();
}
std::unique_ptr<Peer> cudnn_pool_backward(const PoolSpec&, bool, const float*, const float*,
                                          const float*, float*) {
  refuse();
}

} // namespace mlp::kernels::bench
