// Runs ONNX's own backend tests on the native runtime: onnx_node_test [-v] [--cuda] FOLDER...
//
// A test is a folder with model.onnx and test_data_set_N/{input,output}_I.pb. Each model is run as
// it stands, optimised, and through the Runtime interface, and compared with the tolerance of
// ONNX's own runner. A model with an operator that the runtime lacks must be refused with the
// operator's name; anything else that does not pass must stand in `exceptions` below, with the
// reason. With --cuda each model also runs on a GPU: four times, so that the call that is recorded
// and those that are played again are compared too.
#include "backends/runtime/native/floats.hpp"
#include "backends/runtime/native/native.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "backends/runtime/native/program.hpp"
#include "backends/runtime/native/tensor_proto.hpp"
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "kernels/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

using namespace mlp;
using namespace mlp::native;

namespace {

struct Exception {
  std::string_view test;
  std::string_view reason;
};
constexpr Exception exceptions[] = {
    // Of ONNX 1.12 (Debian's) only: the later files of the same names pass.
    {"test_cast_FLOAT_to_BFLOAT16", "its results are cut off, not rounded to even"},
    {"test_castlike_FLOAT_to_BFLOAT16", "its results are cut off, not rounded to even"},
    {"test_castlike_FLOAT_to_BFLOAT16_expanded", "its results are cut off, not rounded to even"},
    {"test_castlike_BFLOAT16_to_FLOAT", "its input has another shape than the model says"},
    {"test_castlike_BFLOAT16_to_FLOAT_expanded", "its input has another shape than the model says"},
    // Of any version.
    {"test_identity_sequence", "its value is a sequence; the runtime has tensors only"},
    {"test_identity_opt", "its value is an optional; the runtime has tensors only"},
};

constexpr double kRelative = 1e-3; // onnx/backend/test/runner: rtol and atol of node tests
constexpr double kAbsolute = 1e-7;

bool is_real(Type type) {
  return type == Type::f32 || type == Type::f64 || is_half(type) || is_small_float(type);
}

double real_at(const Value& value, std::int64_t i) {
  switch (value.type) {
  case Type::f32:
    return static_cast<double>(value.data<float>()[i]);
  case Type::f64:
    return value.data<double>()[i];
  case Type::f16:
    return static_cast<double>(float_from_half(value.data<std::uint16_t>()[i]));
  case Type::bf16:
    return static_cast<double>(float_from_bfloat(value.data<std::uint16_t>()[i]));
  default:
    return static_cast<double>(float_from_small(value.type, value.data<std::uint8_t>()[i]));
  }
}

bool close(double have, double want) {
  if (std::isnan(want) || std::isnan(have)) return std::isnan(want) && std::isnan(have);
  if (std::isinf(want) || std::isinf(have)) return want == have;
  return std::fabs(have - want) <= kAbsolute + kRelative * std::fabs(want);
}

// What differs, or nothing.
std::string difference(const Value& have, const Value& want) {
  if (have.type != want.type)
    return fmt::format("type {}, not {}", type_name(have.type), type_name(want.type));
  if (!(have.dims == want.dims))
    return fmt::format("shape {}, not {}", to_string(have.dims), to_string(want.dims));
  const std::size_t size = type_size(want.type);
  for (std::int64_t i = 0; i < want.count; ++i) {
    const auto at = static_cast<std::size_t>(i) * size;
    if (is_real(want.type)) {
      if (!close(real_at(have, i), real_at(want, i)))
        return fmt::format("element {} is {}, not {}", i, real_at(have, i), real_at(want, i));
    } else if (want.type == Type::string) {
      if (have.data<std::string>()[i] != want.data<std::string>()[i])
        return fmt::format("element {} is '{}', not '{}'", i, have.data<std::string>()[i],
                           want.data<std::string>()[i]);
    } else if (!std::equal(have.data<char>() + at, have.data<char>() + at + size,
                           want.data<char>() + at)) {
      return fmt::format("element {} differs", i);
    }
  }
  return {};
}

std::vector<Value> read_values(const fs::path& folder, std::string_view kind, Memory& memory) {
  std::vector<Value> values;
  for (int i = 0;; ++i) {
    const auto bytes = read_file_if_exists(folder / fmt::format("{}_{}.pb", kind, i));
    if (!bytes) return values;
    values.push_back(read_tensor(*bytes, memory, fmt::format("{} {}", kind, i)));
  }
}

std::string compare(std::span<const Value> have, std::span<const Value> want) {
  if (have.size() < want.size()) return fmt::format("{} outputs", have.size());
  for (std::size_t i = 0; i < want.size(); ++i)
    if (const std::string what = difference(have[i], want[i]); !what.empty())
      return fmt::format("output {}: {}", i, what);
  return {};
}

std::string run_program(const Program& program, std::span<const Value> inputs,
                        std::span<const Value> outputs) {
  Program::Context context(program);
  std::vector<Value> copies(inputs.begin(), inputs.end());
  const std::string what = compare(context.run(copies), outputs);
  context.clear();
  return what;
}

std::string run_interface(const fs::path& model, std::span<const Value> inputs,
                          std::span<const Value> outputs) {
  const auto runtime = runtime_factory().load(model, {.threads = 1});
  std::vector<model::NamedTensor> tensors;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    tensors.push_back({runtime->signature().inputs.at(i).name, export_tensor(inputs[i])});
  Memory memory(Limits().live_bytes);
  std::vector<Value> have;
  for (const model::NamedTensor& output : runtime->infer(tensors, {}))
    have.push_back(memory.import(output.tensor));
  return compare(have, outputs);
}

bool has_boundary_types(const Program& program) {
  const auto named = [](Type type) { return to_data_type(type).has_value(); };
  return std::ranges::all_of(program.input_types(), named) &&
         std::ranges::all_of(program.output_types(), named);
}

// ONNX 1.12 (Debian's) wrote the bfloat16 of its tests as uint16: the model says what they are.
void restore_types(std::span<Value> values, std::span<const Type> declared) {
  for (std::size_t i = 0; i < values.size() && i < declared.size(); ++i)
    if (values[i].type == Type::u16 && declared[i] == Type::bf16) values[i].type = Type::bf16;
}

struct Accelerator {
  kernels::Device& device;
  std::set<std::string> operators; // that have run there
  int models = 0, recorded = 0;
};

std::string run_accelerated(std::string_view bytes, kernels::Device& host, Accelerator& accelerator,
                            std::span<const Value> inputs, std::span<const Value> outputs) {
  const Program program(bytes, host, {}, true, &accelerator.device);
  Program::Context context(program);
  for (int call = 0; call < 4; ++call) {
    std::vector<Value> copies;
    for (const Value& input : inputs)
      copies.push_back(context.memory().import(export_tensor(input)));
    for (std::size_t i = 0; i < copies.size(); ++i) // types that a boundary has no word for
      copies[i] = to_data_type(inputs[i].type) ? copies[i] : inputs[i];
    const std::string what = compare(context.run(copies), outputs);
    context.clear();
    if (!what.empty())
      return fmt::format("on {}, call {}: {}", accelerator.device.name(), call, what);
  }
  bool any = false;
  const std::vector<std::string> names = program.step_names();
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Place place = program.step_places()[i];
    if (place != Place::device && place != Place::moves) continue;
    any = true;
    accelerator.operators.insert(names[i]);
  }
  if (any) ++accelerator.models;
  if (context.replays() > 0) ++accelerator.recorded;
  return {};
}

// Empty if the test passes.
std::string run_test(const fs::path& folder, kernels::Device& device, Accelerator* accelerator) {
  const std::string bytes = read_file(folder / "model.onnx");
  const Program optimized(bytes, device);
  const Program plain(bytes, device, {}, false);
  int sets = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with("test_data_set_")) continue;
    ++sets;
    Memory memory(Limits().live_bytes);
    std::vector<Value> inputs = read_values(entry.path(), "input", memory);
    std::vector<Value> outputs = read_values(entry.path(), "output", memory);
    restore_types(inputs, optimized.input_types());
    restore_types(outputs, optimized.output_types());
    if (inputs.size() != optimized.signature().inputs.size())
      return fmt::format("the test gives {} inputs", inputs.size());
    std::string what = run_program(plain, inputs, outputs);
    if (what.empty()) what = run_program(optimized, inputs, outputs);
    if (what.empty() && has_boundary_types(optimized))
      what = run_interface(folder / "model.onnx", inputs, outputs);
    if (what.empty() && accelerator != nullptr)
      what = run_accelerated(bytes, device, *accelerator, inputs, outputs);
    if (!what.empty()) return what;
  }
  return sets > 0 ? "" : "no test data";
}

struct Counts {
  int passed = 0, unsupported = 0, excepted = 0, failed = 0;
  std::map<std::string, int> lacking;
};

void judge(const fs::path& folder, kernels::Device& device, Accelerator* accelerator, bool verbose,
           Counts& counts) {
  const std::string name = folder.filename().string();
  std::string what;
  try {
    what = run_test(folder, device, accelerator);
  } catch (const Error& error) {
    what = error.message();
    for (const std::string& context : error.contexts())
      what += "; " + context;
    constexpr std::string_view kLacks = "the native runtime lacks operator '";
    if (what.starts_with(kLacks) && error.kind() == ErrorKind::config) {
      ++counts.unsupported;
      ++counts.lacking[what.substr(kLacks.size(), what.find('\'', kLacks.size()) - kLacks.size())];
      return;
    }
  } catch (const std::exception& error) {
    what = error.what();
  }
  const auto excepted = std::ranges::find(exceptions, std::string_view(name), &Exception::test);
  if (what.empty()) {
    ++counts.passed;
  } else if (excepted != std::end(exceptions)) {
    ++counts.excepted;
    if (verbose) std::printf("except %s: %s\n", name.c_str(), what.c_str());
  } else {
    ++counts.failed;
    std::printf("FAIL %s: %s\n", name.c_str(), what.c_str());
  }
}

std::set<fs::path> find_tests(const fs::path& root) {
  std::set<fs::path> tests;
  for (const auto& entry : fs::recursive_directory_iterator(root))
    if (entry.path().filename() == "model.onnx") tests.insert(entry.path().parent_path());
  return tests;
}

} // namespace

int main(int argc, char** argv) {
  bool verbose = false;
  Counts counts;
  const auto device = kernels::make_cpu_device(1);
  std::unique_ptr<kernels::Device> gpu;
  std::optional<Accelerator> accelerator;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "-v") {
      verbose = true;
      continue;
    }
    if (std::string_view(argv[i]) == "--cuda") {
      if (const auto status = kernels::cuda_status(); status.devices == 0) {
        std::printf("skipped: no CUDA device: %s\n", status.reason.c_str());
        return 77;
      }
      gpu = kernels::make_cuda_device(0);
      accelerator.emplace(Accelerator{*gpu, {}});
      continue;
    }
    for (const fs::path& test : find_tests(argv[i]))
      judge(test, *device, accelerator ? &*accelerator : nullptr, verbose, counts);
  }
  if (verbose)
    for (const auto& [op, count] : counts.lacking)
      std::printf("lacks %s: %d\n", op.c_str(), count);
  std::printf("%d passed, %d refused for an operator that is lacking, %d exceptions, %d failed\n",
              counts.passed, counts.unsupported, counts.excepted, counts.failed);
  bool offloaded = true;
  if (accelerator) {
    std::string names;
    for (const std::string& name : accelerator->operators)
      names += " " + name;
    if (verbose) std::printf("ran on %s:%s\n", gpu->name(), names.c_str());
    std::printf("%d models ran on %s, %d of them recorded and played again\n", accelerator->models,
                gpu->name(), accelerator->recorded);
    offloaded = accelerator->models >= 100 && accelerator->recorded >= 100;
  }
  return counts.failed == 0 && counts.passed > 0 && offloaded ? 0 : 1;
}
