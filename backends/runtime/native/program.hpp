// A model ready to run: the optimised graph as a list of steps, each with its kernel and the values
// that nobody needs after it. Made once; run from many threads at once. With an accelerator, what
// it can do runs there, and values are copied where the next step wants them (program_device.cpp).
#pragma once

#include "backends/runtime/native/graph.hpp"
#include "backends/runtime/native/limits.hpp"
#include "backends/runtime/native/operators.hpp"
#include "backends/runtime/native/placement.hpp"
#include "backends/runtime/native/value.hpp"

#include <memory>
#include <shared_mutex>
#include <span>
#include <string_view>
#include <vector>

namespace mlp::native {

class Program {
  struct Step {
    std::string name; // for errors
    Place place = Place::host;
    bool picks = false; // elements by an index that it reads, which may be out of range
    Kernel kernel;
    std::vector<ValueId> inputs, outputs;
    std::unique_ptr<bool[]> dying, wanted; // by input, by output
    std::vector<ValueId> release;          // values that no later step reads
  };

 public:
  // From the bytes of an ONNX file. `device` is the host's. `accelerator`: null, or a device with
  // memory of its own; what it is to know of the constants is copied there. Both must outlive the
  // program. `optimize`: fold constants and fuse operators (false: run the nodes as they stand, for
  // comparison in tests).
  // Throws Error(config): not an ONNX model, what is wrong with it, or the operator that is
  // lacking. Throws kernels::Error if the accelerator has no room.
  Program(std::string_view bytes, kernels::Device& device, const Limits& limits = {},
          bool optimize = true, kernels::Device* accelerator = nullptr);
  ~Program();

  [[nodiscard]] const model::Signature& signature() const noexcept { return graph_.signature; }
  // Element types of inputs, some of which the signature has no word for.
  [[nodiscard]] std::span<const Type> input_types() const noexcept { return graph_.input_types; }
  [[nodiscard]] std::span<const Type> output_types() const noexcept { return graph_.output_types; }
  [[nodiscard]] std::size_t step_count() const noexcept { return steps_.size(); }
  // The operator of each step, as "Gemm" or, with what was fused into it, "MatMul+bias+relu".
  [[nodiscard]] std::vector<std::string> step_names() const;
  // Whether the accelerator does any of it.
  [[nodiscard]] bool offloads() const noexcept { return offload_ != nullptr; }
  // Where each step runs.
  [[nodiscard]] std::vector<Place> step_places() const;

  // One call's memory and values. For one thread; must not outlive the program.
  class Context {
   public:
    explicit Context(const Program& program);
    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    [[nodiscard]] Memory& memory() noexcept { return memory_; }
    // Inputs in the signature's order, of types and shapes that the caller has checked, made from
    // memory(). The results, in the signature's order, stay valid until clear().
    // Throws Error(failed) naming the node.
    [[nodiscard]] std::span<const Value> run(std::span<Value> inputs);
    // Gives all values of the last call back to the memory. After every run(), also a failed one.
    void clear() noexcept;
    // How many calls an accelerator's recording has answered.
    [[nodiscard]] std::uint64_t replays() const noexcept;

   private:
    class Accelerated; // what a context has on an accelerator
    void run_steps();
    void run_step(const Step& step);
    void compute(const Step& step, Memory& memory, Lane* lane);
    void drop_values() noexcept;

    const Program& program_;
    Memory memory_;
    std::vector<Value> slots_;
    std::vector<const Value*> arguments_;
    std::vector<Value> results_;
    std::vector<Value> outputs_;
    std::unique_ptr<Accelerated> accelerated_; // null: all runs on the host
  };

 private:
  // What is known of an accelerator's part at load.
  struct Offload {
    explicit Offload(kernels::Device& device, std::uint64_t limit_bytes)
        : accelerator(device), memory(limit_bytes, &device) {}

    kernels::Device& accelerator;
    Memory memory;                // of the constants
    std::vector<Value> constants; // by value: those that are there
    std::vector<bool> inputs;     // by the graph's input: it is copied there at once
    Known known;                  // by value
    bool picks = false;           // a step reads by an index that it alone can check
    // All that happens on the host follows from the shapes of the inputs, so that what the
    // accelerator did for a call can be recorded and played again for one of the same shapes.
    bool recordable = false;
    // Held alone while a context records: what other contexts allocate, free and wait for meanwhile
    // could break the recording.
    mutable std::shared_mutex recording;
  };

  void make_steps(kernels::Device& device, kernels::Device* accelerator);
  void compact_values();
  void plan_offload(kernels::Device& accelerator);
  [[nodiscard]] std::vector<bool> wanted_values() const;
  [[nodiscard]] bool is_recordable() const;

  Limits limits_;
  Memory constants_; // declared before all that holds Values
  Graph graph_;
  std::vector<Step> steps_;
  std::size_t widest_ = 0;           // most inputs of a step
  std::unique_ptr<Offload> offload_; // null: all runs on the host
};

} // namespace mlp::native
