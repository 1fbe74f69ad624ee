// What runs a model. One implementation a folder in backends/runtime.
#pragma once

#include "core/model/tensor.hpp"

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::serve {

// A loaded model.
class Runtime {
 public:
  virtual ~Runtime() = default;

  // Names, types and shapes of inputs and outputs; valid as long as the object.
  [[nodiscard]] virtual const model::Signature& signature() const noexcept = 0;
  // What it computes on: "cpu", "cuda:0".
  [[nodiscard]] virtual std::string_view device() const noexcept { return "cpu"; }
  // Why that is the CPU, where it was not asked for: "no NVIDIA driver: ...". Empty otherwise.
  [[nodiscard]] virtual std::string_view cpu_reason() const noexcept { return {}; }

  // Computes the outputs named in `outputs` (empty: all, in the signature's order). Inputs come in
  // any order. Blocks while it computes. Thread-safe: may be called from many threads at once.
  // Throws Error(usage) for an input that is missing, unknown, or of the wrong type or shape
  // (naming it and what was wanted), Error(failed) when the computation fails.
  [[nodiscard]] virtual std::vector<model::NamedTensor>
  infer(std::span<const model::NamedTensor> inputs, std::span<const std::string> outputs) const = 0;
};

// Checks inputs against a signature and throws the Errors that infer() promises. For
// implementations.
void check_inputs(const model::Signature& signature, std::span<const model::NamedTensor> inputs);

struct RuntimeOptions {
  int threads = 0; // for one infer(); 0: the number of CPUs
  // "cpu", "cuda" (the first GPU that this process sees), "cuda:N", or "auto": a GPU where there is
  // one that can run the model, else the CPU.
  std::string device = "cpu";
};

// A kind of runtime, by name ("native").
class RuntimeFactory {
 public:
  virtual ~RuntimeFactory() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  // True if a model folder or file is of a format that this runtime reads.
  [[nodiscard]] virtual bool accepts(const std::filesystem::path& model) const = 0;
  // Throws Error: not_found, config (not a model, or an operator it lacks, by name), usage (a
  // device that this runtime does not know), unreachable (the device is not there, or a library
  // that it needs is not installed).
  [[nodiscard]] virtual std::unique_ptr<Runtime> load(const std::filesystem::path& model,
                                                      const RuntimeOptions& options) const = 0;
};

} // namespace mlp::serve
