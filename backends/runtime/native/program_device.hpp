// What a call has on an accelerator: its stream, its memory, its values there, and recordings of
// calls of shapes that come again. For one thread at a time, as the context that it belongs to.
#pragma once

#include "backends/runtime/native/program.hpp"
#include "kernels/device.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace mlp::native {

class Program::Context::Accelerated {
 public:
  explicit Accelerated(Context& context);
  Accelerated(const Accelerated&) = delete;
  Accelerated& operator=(const Accelerated&) = delete;
  ~Accelerated();

  // From the inputs in the context's slots to its outputs_. Throws Error(failed).
  void run();
  // One step where its place says, with copies of what lies elsewhere.
  void run_step(const Step& step);
  void clear() noexcept;
  [[nodiscard]] std::uint64_t replays() const noexcept { return replays_; }

 private:
  // What the accelerator did for a call, with the memory that it did it in.
  struct Recording {
    Recording(const Limits& limits, kernels::Device& device) : memory(limits.live_bytes, &device) {}
    std::vector<Dims> shapes; // of the inputs
    Memory memory;
    std::vector<Value> inputs, outputs;
    std::vector<Value> uploads; // copies of what follows from the shapes
    std::vector<std::shared_ptr<const void>> kept;
    std::unique_ptr<kernels::Graph> graph;
  };

  void run_once();
  void run_steps();
  void check_faults(); // waits for the steps; throws Error(failed) naming the one that met one
  void record(const std::vector<Dims>& shapes, std::span<const Value> inputs);
  void replay(const Recording& recording);
  Recording* find_recording(const std::vector<Dims>& shapes);
  bool seen(const std::vector<Dims>& shapes);

  const Value& on_host(ValueId id);
  const Value& on_device(ValueId id);
  Value upload(const Value& value, Memory& memory);
  Value download(const Value& value);
  void drop_values() noexcept;

  static constexpr std::size_t kMostRecordings = 8;
  static constexpr std::size_t kMostSeen = 32;

  Context& context_;
  const Program& program_;
  const Offload& offload_;
  kernels::Device& device_;
  Memory own_memory_;
  Memory* memory_ = &own_memory_; // or that of the recording that is made
  std::vector<Value> slots_;      // by value: what is on the device
  std::vector<Value> uploads_;    // by value: copies of what stays on the host
  // What of these copies this call has made, so that a recording of it has them from the start.
  std::vector<std::pair<ValueId, Value>> uploaded_;
  kernels::Buffer faults_; // a word a step, see Lane; none where no step picks by an index
  std::vector<std::int32_t> faults_here_;
  Lane lane_;
  bool busy_ = false; // a call has not come to its end
  bool records_;
  std::uint64_t replays_ = 0;
  std::vector<std::unique_ptr<Recording>> recordings_; // used last first
  std::vector<std::vector<Dims>> seen_;                // shapes of calls, the last first
};

} // namespace mlp::native
