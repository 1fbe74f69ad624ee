// Time of one inference of the native runtime, from host memory to host memory:
//   onnx_infer [--device DEVICE] MODEL BATCH THREADS SECONDS [INPUT RESULT]
// The model has one float input, whose first dimension is the batch. INPUT and RESULT are raw
// floats (one batch of each): the result is compared first. Prints one JSON line.
#include "backends/runtime/native/native.hpp"
#include "core/base/error.hpp"
#include "core/base/fs.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

using namespace mlp;
using Clock = std::chrono::steady_clock;

namespace {

double largest_difference(const model::Tensor& have, const std::string& want) {
  const auto values = have.as<float>();
  if (values.size_bytes() != want.size()) return INFINITY;
  double largest = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    float expected = 0.0F;
    std::memcpy(&expected, want.data() + i * sizeof(float), sizeof(float));
    largest = std::max(largest, std::fabs(static_cast<double>(values[i] - expected)));
  }
  return largest;
}

int run(int argc, char** argv) {
  std::string device = "cpu";
  if (argc > 2 && std::string_view(argv[1]) == "--device") {
    device = argv[2];
    argc -= 2;
    argv += 2;
  }
  if (argc != 5 && argc != 7) {
    std::fprintf(
        stderr, "usage: onnx_infer [--device DEVICE] MODEL BATCH THREADS SECONDS [INPUT RESULT]\n");
    return 2;
  }
  const auto runtime =
      native::runtime_factory().load(argv[1], {.threads = std::atoi(argv[3]), .device = device});
  const model::TensorSpec& spec = runtime->signature().inputs.at(0);
  model::Shape shape = spec.shape;
  shape.at(0) = std::atoi(argv[2]);
  std::vector<model::NamedTensor> inputs{{spec.name, model::Tensor::make(spec.type, shape)}};
  double difference = 0.0;
  if (argc == 7) {
    const std::string bytes = read_file(argv[5]);
    if (bytes.size() != inputs[0].tensor.data.size()) {
      std::fprintf(stderr, "onnx_infer: '%s' has another size than the input\n", argv[5]);
      return 1;
    }
    std::memcpy(inputs[0].tensor.data.data(), bytes.data(), bytes.size());
    difference = largest_difference(runtime->infer(inputs, {}).at(0).tensor, read_file(argv[6]));
  }

  const auto limit = std::chrono::duration<double>(std::atof(argv[4]));
  std::vector<double> times;           // microseconds
  for (int warm = 0; warm < 5; ++warm) // plans are made, and on a GPU the call is recorded
    static_cast<void>(runtime->infer(inputs, {}));
  for (const auto begin = Clock::now(); times.size() < 10 || Clock::now() - begin < limit;) {
    const auto start = Clock::now();
    static_cast<void>(runtime->infer(inputs, {}));
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  std::printf("{\"framework\": \"mlp\", \"device\": \"%s\", \"batch\": %s, \"median_us\": %.1f, "
              "\"fastest_us\": %.1f, "
              "\"difference\": %.2g}\n",
              std::string(runtime->device()).c_str(), argv[2], times[times.size() / 2], times[0],
              difference);
  return difference <= 1e-4 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "onnx_infer: %s\n", error.what());
    return 1;
  }
}
