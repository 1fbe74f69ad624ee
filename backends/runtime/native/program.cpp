// Makes the steps with their liveness, and runs them.
#include "backends/runtime/native/program.hpp"

#include "backends/runtime/native/model_reader.hpp"
#include "backends/runtime/native/optimize.hpp"
#include "backends/runtime/native/program_device.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "kernels/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <new>

namespace mlp::native {

Program::Program(std::string_view bytes, kernels::Device& device, const Limits& limits,
                 bool optimize, kernels::Device* accelerator)
    : limits_(limits), constants_(limits.constant_bytes) {
  graph_ = read_model(bytes, constants_, limits);
  remove_dead_nodes(graph_);
  if (optimize) optimize_graph(graph_, device, constants_, limits);
  if (optimize && accelerator != nullptr) fuse_elementwise(graph_, device);
  compact_values();
  make_steps(device, accelerator);
  if (accelerator != nullptr) plan_offload(*accelerator);
}

Program::~Program() = default;

// Numbers the values that are still used from 0 on.
void Program::compact_values() {
  std::vector<ValueId> renumbered(graph_.values.size(), kAbsent);
  std::vector<GraphValue> kept;
  const auto use = [&](ValueId& id) {
    if (id == kAbsent) return;
    ValueId& to = renumbered[at(id)];
    if (to == kAbsent) {
      to = static_cast<ValueId>(kept.size());
      kept.push_back(std::move(graph_.values[at(id)]));
    }
    id = to;
  };
  for (ValueId& id : graph_.inputs)
    use(id);
  for (Node& node : graph_.nodes) {
    for (ValueId& id : node.inputs)
      use(id);
    for (ValueId& id : node.outputs)
      use(id);
  }
  for (GraphOutput& output : graph_.outputs)
    use(output.value);
  graph_.values = std::move(kept);
}

void Program::make_steps(kernels::Device& device, kernels::Device* accelerator) {
  const Known known = accelerator != nullptr ? find_known(graph_) : Known{};
  constexpr std::size_t kNever = SIZE_MAX;
  const std::size_t count = graph_.nodes.size();
  std::vector<std::size_t> last_use(graph_.values.size(), kNever);
  for (std::size_t n = 0; n < count; ++n)
    for (const ValueId id : graph_.nodes[n].inputs)
      if (id != kAbsent) last_use[at(id)] = n;
  for (std::size_t i = 0; i < graph_.values.size(); ++i)
    if (graph_.values[i].constant) last_use[i] = kNever;
  for (const GraphOutput& output : graph_.outputs)
    last_use[at(output.value)] = kNever;

  for (std::size_t n = 0; n < count; ++n) {
    const Node& node = graph_.nodes[n];
    Step step;
    step.name = describe(graph_, node);
    if (accelerator != nullptr) step.place = place_of(graph_, node, known);
    step.picks = node.op == "Gather" && node.expression == nullptr;
    const bool there = step.place == Place::device || step.place == Place::moves;
    step.kernel = make_kernel(graph_, node, there ? *accelerator : device);
    step.inputs = node.inputs;
    step.outputs = node.outputs;
    step.dying = std::make_unique<bool[]>(std::max<std::size_t>(node.inputs.size(), 1));
    step.wanted = std::make_unique<bool[]>(std::max<std::size_t>(node.outputs.size(), 1));
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      if (id == kAbsent || last_use[at(id)] != n) continue;
      step.dying[i] = true;
      if (std::find(step.release.begin(), step.release.end(), id) == step.release.end())
        step.release.push_back(id);
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i)
      step.wanted[i] = node.outputs[i] != kAbsent;
    widest_ = std::max(widest_, node.inputs.size());
    steps_.push_back(std::move(step));
  }
}

std::vector<std::string> Program::step_names() const {
  static constexpr const char* kActivations[] = {"", "+relu", "+gelu", "+tanh", "+sigmoid"};
  std::vector<std::string> names;
  for (const Node& node : graph_.nodes)
    names.push_back(node.expression != nullptr
                        ? join(node.expression->ops, "+")
                        : node.op + (node.fused_bias ? "+bias" : "") +
                              kActivations[static_cast<std::size_t>(node.activation)]);
  return names;
}

std::vector<Place> Program::step_places() const {
  std::vector<Place> places;
  for (const Step& step : steps_)
    places.push_back(step.place);
  return places;
}

Program::Context::Context(const Program& program)
    : program_(program), memory_(program.limits_.live_bytes), slots_(program.graph_.values.size()),
      arguments_(program.widest_) {
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (program.graph_.values[i].constant) slots_[i] = *program.graph_.values[i].constant;
  if (program.offload_ != nullptr) accelerated_ = std::make_unique<Accelerated>(*this);
}

Program::Context::~Context() = default;

// Puts the results of `arguments_` into `results_`.
void Program::Context::compute(const Step& step, Memory& memory, Lane* lane) {
  results_.assign(step.outputs.size(), Value());
  Call call(memory, std::span(arguments_).first(step.inputs.size()),
            {step.dying.get(), step.inputs.size()}, results_,
            {step.wanted.get(), step.outputs.size()}, lane);
  step.kernel(call);
  for (std::size_t i = 0; i < step.outputs.size(); ++i)
    if (step.outputs[i] != kAbsent && !results_[i].storage)
      throw Error(ErrorKind::failed, fmt::format("does not compute output {}", i));
}

void Program::Context::run_step(const Step& step) {
  for (std::size_t i = 0; i < step.inputs.size(); ++i)
    arguments_[i] = step.inputs[i] == kAbsent ? nullptr : &slots_[at(step.inputs[i])];
  compute(step, memory_, nullptr);
  for (std::size_t i = 0; i < step.outputs.size(); ++i)
    if (step.outputs[i] != kAbsent) slots_[at(step.outputs[i])] = std::move(results_[i]);
  for (const ValueId id : step.release)
    slots_[at(id)].storage = StorageRef();
}

void Program::Context::run_steps() {
  for (const Step& step : program_.steps_) {
    const auto fail = [&](Error error) {
      error.add_context(fmt::format("while computing {}", step.name));
      throw error;
    };
    try {
      if (accelerated_ != nullptr)
        accelerated_->run_step(step);
      else
        run_step(step);
    } catch (const Error& error) {
      fail(error);
    } catch (const kernels::Error& error) {
      fail(Error(ErrorKind::failed, error.what()).with_hint(error.hint()));
    } catch (const std::bad_alloc&) {
      fail(Error(ErrorKind::failed, "the machine has no more memory"));
    }
  }
}

std::span<const Value> Program::Context::run(std::span<Value> inputs) {
  const Graph& graph = program_.graph_;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i)
    slots_[at(graph.inputs[i])] = std::move(inputs[i]);
  outputs_.clear();
  if (accelerated_ != nullptr) {
    accelerated_->run();
    return outputs_;
  }
  run_steps();
  for (const GraphOutput& output : graph.outputs)
    outputs_.push_back(slots_[at(output.value)]);
  return outputs_;
}

void Program::Context::drop_values() noexcept {
  results_.clear();
  const auto& values = program_.graph_.values;
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (!values[i].constant) slots_[i].storage = StorageRef();
}

void Program::Context::clear() noexcept {
  outputs_.clear();
  drop_values();
  if (accelerated_ != nullptr) accelerated_->clear();
  memory_.end_call();
}

std::uint64_t Program::Context::replays() const noexcept {
  return accelerated_ != nullptr ? accelerated_->replays() : 0;
}

} // namespace mlp::native
