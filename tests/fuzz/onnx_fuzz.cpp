// Any bytes as an ONNX model: it is refused with an Error, or it loads and runs on small inputs.
// Limits are far below the usual ones, so that a run is quick and an excess is found.
#include "backends/runtime/native/program.hpp"
#include "core/base/error.hpp"
#include "kernels/device.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

using namespace mlp;
using namespace mlp::native;

namespace {

constexpr std::int64_t kMostElements = 4096;

// Zeros, with 2 for every dimension that is open; false if that is too large.
bool make_inputs(const Program& program, Program::Context& context, std::vector<Value>& inputs) {
  const auto& specs = program.signature().inputs;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    Dims dims;
    std::int64_t count = 1;
    for (const std::int64_t d : specs[i].shape) {
      dims.push_back(d < 0 ? 2 : d);
      if (dims.back() > kMostElements || (count *= dims.back()) > kMostElements) return false;
    }
    Value value = context.memory().allocate(program.input_types()[i], dims);
    if (value.type != Type::string) std::memset(value.address, 0, value.bytes());
    inputs.push_back(std::move(value));
  }
  return true;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto device = kernels::make_cpu_device(1);
  Limits limits;
  limits.structure_bytes = 4u << 20;
  limits.nodes = 64;
  limits.constant_bytes = limits.live_bytes = limits.folded_bytes = 1u << 20;
  try {
    const Program program({reinterpret_cast<const char*>(data), size}, *device, limits);
    Program::Context context(program);
    std::vector<Value> inputs;
    if (make_inputs(program, context, inputs)) static_cast<void>(context.run(inputs));
    context.clear();
  } catch (const Error&) {
  }
  return 0;
}
