// The operators of the runtime: one table, a function a row.
//
// To add an operator: write `Kernel make_x(const NodeSpec&)` in the file of its family (op_*.cpp),
// add a row {domain, name, since, until, make_x, half, place, moves} to the table at the end of
// that file, and run the conformance suite (tests/conformance/onnx_node_test.cpp): it picks up
// ONNX's own tests of it.
#pragma once

#include "backends/runtime/native/graph.hpp"
#include "backends/runtime/native/value.hpp"
#include "kernels/device.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::native {

// The queue of an accelerator on which a call's operations run, and what has to live until they
// have run (or, recorded, as long as they may be run again).
struct Lane {
  kernels::Stream stream;
  std::vector<std::shared_ptr<const void>> kept;
  // The word of the step that runs, on the accelerator: 1 once an index was out of range.
  std::int32_t* fault = nullptr;
};

// One execution of one node. Not shared between threads.
class Call {
 public:
  // `lane`: null on the host; else `memory` is the accelerator's.
  Call(Memory& memory, std::span<const Value*> inputs, std::span<const bool> dying,
       std::span<Value> outputs, std::span<const bool> wanted, Lane* lane = nullptr)
      : memory_(memory), inputs_(inputs), dying_(dying), outputs_(outputs), wanted_(wanted),
        lane_(lane) {}

  [[nodiscard]] std::size_t input_count() const noexcept { return inputs_.size(); }
  [[nodiscard]] bool has(std::size_t i) const noexcept {
    return i < inputs_.size() && inputs_[i] != nullptr;
  }
  // Throws Error(failed) if it was left out.
  [[nodiscard]] const Value& in(std::size_t i) const;
  // True if the memory of input i may be written over: nobody reads it after this node.
  [[nodiscard]] bool reusable(std::size_t i) const noexcept {
    return has(i) && dying_[i] && inputs_[i]->storage.unique();
  }

  // Whether output i exists; out() and set() do nothing useful for one that does not.
  [[nodiscard]] bool wants(std::size_t i) const noexcept {
    return i < wanted_.size() && wanted_[i];
  }
  [[nodiscard]] std::size_t output_count() const noexcept { return outputs_.size(); }
  [[nodiscard]] Value& output(std::size_t i) noexcept { return outputs_[i]; } // i < output_count()
  // Allocates output i.
  Value& out(std::size_t i, Type type, const Dims& dims);
  // Makes output i share `value`'s memory.
  void set(std::size_t i, Value value);
  [[nodiscard]] Memory& memory() noexcept { return memory_; }

  // For a kernel that may run on an accelerator: then input and output addresses are the device's,
  // and nothing here may read through them.
  [[nodiscard]] bool on_accelerator() const noexcept { return lane_ != nullptr; }
  [[nodiscard]] kernels::Stream stream() const noexcept {
    return lane_ != nullptr ? lane_->stream : kernels::Stream{};
  }
  [[nodiscard]] std::int32_t* fault() const noexcept {
    return lane_ != nullptr ? lane_->fault : nullptr;
  }
  void keep(std::shared_ptr<const void> used) {
    if (lane_ != nullptr) lane_->kept.push_back(std::move(used));
  }

 private:
  friend class HalfCall;
  Memory& memory_;
  std::span<const Value*> inputs_;
  std::span<const bool> dying_;
  std::span<Value> outputs_;
  std::span<const bool> wanted_;
  Lane* lane_;
};

// What a node does when it runs. Called from several threads at once: what it captures is constant
// or guards itself. Throws Error(failed).
using Kernel = std::function<void(Call&)>;

// What a kernel is made from: the node's attributes, and what is known about its inputs at load.
// Reading an attribute marks it as understood; one that nobody read is an error.
class NodeSpec {
 public:
  NodeSpec(const Graph& graph, const Node& node, kernels::Device& device)
      : graph_(graph), node_(node), device_(device) {}

  [[nodiscard]] int opset() const noexcept { return node_.opset; }
  [[nodiscard]] std::string_view op() const noexcept { return node_.op; }
  [[nodiscard]] std::size_t input_count() const noexcept { return node_.inputs.size(); }
  [[nodiscard]] std::size_t output_count() const noexcept { return node_.outputs.size(); }
  [[nodiscard]] FusedActivation activation() const noexcept { return node_.activation; }
  [[nodiscard]] bool is_fused() const noexcept { return node_.fused_bias || node_.fused_parts; }
  [[nodiscard]] kernels::Device& device() const noexcept { return device_; }

  // Throw Error(config) if the attribute is of another kind.
  [[nodiscard]] std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
  [[nodiscard]] bool flag(std::string_view name, bool otherwise) const;
  [[nodiscard]] float real(std::string_view name, float otherwise) const;
  [[nodiscard]] std::string text(std::string_view name, std::string_view otherwise) const;
  [[nodiscard]] std::optional<std::vector<std::int64_t>> integers(std::string_view name) const;
  [[nodiscard]] std::optional<std::vector<float>> reals(std::string_view name) const;
  [[nodiscard]] std::optional<std::vector<std::string>> texts(std::string_view name) const;
  [[nodiscard]] std::optional<Value> tensor(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const;
  // An attribute that changes nothing here.
  void ignore(std::string_view name) const { used_.insert(std::string(name)); }
  // Throws Error(config) naming an attribute that was not read.
  void check_all_read() const;

  // The number of inputs must be in [least, most]; throws Error(config).
  void expect_inputs(std::size_t least, std::size_t most) const;
  // Input i if its value is known at load.
  [[nodiscard]] const Value* constant(std::size_t i) const;

 private:
  template <class T>
  const T* find(std::string_view name, std::string_view kind) const;

  const Graph& graph_;
  const Node& node_;
  kernels::Device& device_;
  mutable std::set<std::string, std::less<>> used_;
};

// How an operator takes float16 and bfloat16.
enum class Half {
  as_is,     // its kernel handles them (or only moves bytes)
  via_float, // inputs are widened to float, and the float results narrowed again
};

// What of an operator an accelerator does, for the types of its inputs that Moves names. Everything
// else runs on the host.
enum class Place {
  host,
  device, // all of it, with all inputs on the device: its kernel uses NodeSpec::device() alone
  moves,  // input 0 is on the device and only moves; the other inputs stay on the host
  view,   // output 0 is input 0 under another shape, wherever that lies; no element is read
  shape,  // only the shape of input 0 is read; the output is on the host
};

// The types of the inputs that an accelerator takes.
enum class Moves {
  floats,   // float32 alone
  any,      // all but strings: elements move by their width
  by_index, // the same, and input 1 is int32 or int64
  indices,  // int32 and int64; the output may be all but strings
};

struct Operator {
  std::string_view domain;
  std::string_view name;
  int since = 1; // first opset with this meaning
  int until = kNewest;
  Kernel (*make)(const NodeSpec&) = nullptr;
  Half half = Half::as_is;
  Place place = Place::host;
  Moves moves = Moves::floats;
  static constexpr int kNewest = 1 << 30;
};

// nullptr if there is none.
[[nodiscard]] const Operator* find_operator(std::string_view domain, std::string_view name,
                                            int opset);
// The same for a node; throws Error(config) "the native runtime lacks operator 'X' of ai.onnx opset
// N", with the node.
const Operator& require_operator(const Graph& graph, const Node& node);
// All names of a domain, sorted.
[[nodiscard]] std::vector<std::string> operator_names(std::string_view domain);

// The kernel of a node. Throws Error(config) as require_operator(), and for attributes or input
// counts that the operator does not have. `device` must outlive it.
[[nodiscard]] Kernel make_kernel(const Graph& graph, const Node& node, kernels::Device& device);

} // namespace mlp::native
