// A model ready to run: the optimised graph as a list of steps, each with its kernel and the values
// that nobody needs after it. Made once; run from many threads at once.
#pragma once

#include "backends/runtime/native/graph.hpp"
#include "backends/runtime/native/limits.hpp"
#include "backends/runtime/native/operators.hpp"
#include "backends/runtime/native/value.hpp"

#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

namespace mlp::native {

class Program {
 public:
  // From the bytes of an ONNX file. `device` must outlive it. `optimize`: fold constants and fuse
  // operators (false: run the nodes as they stand, for comparison in tests).
  // Throws Error(config): not an ONNX model, what is wrong with it, or the operator that is
  // lacking.
  Program(std::string_view bytes, kernels::Device& device, const Limits& limits = {},
          bool optimize = true);

  [[nodiscard]] const model::Signature& signature() const noexcept { return graph_.signature; }
  // Element types of inputs, some of which the signature has no word for.
  [[nodiscard]] std::span<const Type> input_types() const noexcept { return graph_.input_types; }
  [[nodiscard]] std::span<const Type> output_types() const noexcept { return graph_.output_types; }
  [[nodiscard]] std::size_t step_count() const noexcept { return steps_.size(); }
  // The operator of each step, as "Gemm" or, with what was fused into it, "MatMul+bias+relu".
  [[nodiscard]] std::vector<std::string> step_names() const;

  // One call's memory and values. For one thread; must not outlive the program.
  class Context {
   public:
    explicit Context(const Program& program);
    [[nodiscard]] Memory& memory() noexcept { return memory_; }
    // Inputs in the signature's order, of types and shapes that the caller has checked, made from
    // memory(). The results, in the signature's order, stay valid until clear().
    // Throws Error(failed) naming the node.
    [[nodiscard]] std::span<const Value> run(std::span<Value> inputs);
    // Gives all values of the last call back to the memory. After every run(), also a failed one.
    void clear() noexcept;

   private:
    void run_step(std::size_t index);

    const Program& program_;
    Memory memory_;
    std::vector<Value> slots_;
    std::vector<const Value*> arguments_;
    std::vector<Value> results_;
    std::vector<Value> outputs_;
  };

 private:
  struct Step {
    std::string name; // for errors
    Kernel kernel;
    std::vector<ValueId> inputs, outputs;
    std::unique_ptr<bool[]> dying, wanted; // by input, by output
    std::vector<ValueId> release;          // values that no later step reads
  };

  void make_steps(kernels::Device& device);
  void compact_values();

  Limits limits_;
  Memory constants_; // declared before all that holds Values
  Graph graph_;
  std::vector<Step> steps_;
  std::size_t widest_ = 0; // most inputs of a step
};

} // namespace mlp::native
