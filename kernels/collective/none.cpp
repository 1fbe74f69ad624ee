// What stands in for NCCL where the build had no nvcc.
#include "kernels/collective/collective.hpp"

namespace mlp::kernels {

std::unique_ptr<Collective> make_nccl(const CollectiveOptions&, int) {
  throw Error(ErrorKind::unavailable, "mlp was built without CUDA",
              "build it where the CUDA Toolkit's nvcc is installed");
}

} // namespace mlp::kernels
