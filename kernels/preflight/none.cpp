// What stands in for the measuring kernels where the build had no nvcc.
#include "kernels/preflight/measure.hpp"

namespace mlp::kernels::preflight {

namespace {

[[noreturn]] void refuse() {
  throw Error(ErrorKind::unavailable, "mlp was built without CUDA",
              "build it where the CUDA Toolkit's nvcc is installed");
}

} // namespace

int visible_gpus(std::string& reason) {
  reason = "mlp was built without CUDA";
  return 0;
}
Rate memory_copy(int, const Budget&) {
  refuse();
}
Rate memory_triad(int, const Budget&) {
  refuse();
}
Rate matrix_product(int, Matrix, const Budget&) {
  refuse();
}
Rate host_to_device(int, const Budget&) {
  refuse();
}
Rate device_to_host(int, const Budget&) {
  refuse();
}
Rate peer_copy(int, int, const Budget&) {
  refuse();
}
Pattern memory_pattern(int, std::uint64_t, const Budget&) {
  refuse();
}
Rate all_reduce(int, const Budget&) {
  refuse();
}

} // namespace mlp::kernels::preflight
