// A program on an accelerator. Each step runs where its place says; a value is copied when a step
// wants it on the other side, and then lies on both. What follows from the shapes alone stays on
// the host, and a copy of it goes along where it is wanted. A call whose shapes have come before is
// recorded, with buffers of its own, and from then on played again: one launch.
#include "backends/runtime/native/program_device.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

namespace mlp::native {

namespace {

bool wanted_there(Place place, std::size_t input) {
  return place == Place::device || (place == Place::moves && input == 0);
}

} // namespace

void Program::plan_offload(kernels::Device& accelerator) {
  const auto runs_there = [](const Step& step) { return wanted_there(step.place, 0); };
  if (std::ranges::none_of(steps_, runs_there)) return;
  auto offload = std::make_unique<Offload>(accelerator, limits_.constant_bytes);
  offload->known = find_known(graph_);
  offload->constants.resize(graph_.values.size());
  const std::vector<bool> wanted = wanted_values();
  for (std::size_t i = 0; i < graph_.values.size(); ++i) {
    const auto& constant = graph_.values[i].constant;
    if (!wanted[i] || !constant) continue;
    Value& there = offload->constants[i];
    there = offload->memory.allocate(constant->type, constant->dims);
    accelerator.copy_in({}, there.address, constant->address, constant->bytes());
  }
  accelerator.synchronize({}); // contexts have streams of their own
  for (const ValueId id : graph_.inputs)
    offload->inputs.push_back(wanted[at(id)]);
  for (std::size_t i = 0; i < steps_.size(); ++i)
    offload->picks = offload->picks || (steps_[i].place == Place::device && steps_[i].picks);
  offload_ = std::move(offload);
  offload_->recordable = is_recordable();
}

// By value: a step on the accelerator reads it, maybe under another shape.
std::vector<bool> Program::wanted_values() const {
  std::vector<bool> wanted(graph_.values.size(), false);
  std::vector<bool> shown(graph_.values.size(), false);
  for (const GraphOutput& output : graph_.outputs)
    shown[at(output.value)] = true;
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step)
    for (std::size_t i = 0; i < step->inputs.size(); ++i) {
      const bool passes_on = step->place == Place::view && i == 0 && step->outputs[0] != kAbsent &&
                             (wanted[at(step->outputs[0])] || shown[at(step->outputs[0])]);
      if (step->inputs[i] != kAbsent && (passes_on || wanted_there(step->place, i)))
        wanted[at(step->inputs[i])] = true;
    }
  return wanted;
}

bool Program::is_recordable() const {
  std::vector<bool> there(graph_.values.size(), false); // on the device
  for (std::size_t i = 0; i < graph_.values.size(); ++i)
    there[i] = static_cast<bool>(offload_->constants[i].storage);
  for (std::size_t i = 0; i < graph_.inputs.size(); ++i)
    there[at(graph_.inputs[i])] = offload_->inputs[i];
  const std::vector<bool>& fixed = offload_->known.fixed; // on the host, unless they are constants
  const auto is_at_hand = [&](ValueId id) {               // constants lie on both sides
    return fixed[at(id)] || graph_.values[at(id)].constant;
  };
  for (const Step& step : steps_) {
    const bool view_there = step.place == Place::view && there[at(step.inputs[0])];
    for (std::size_t i = 0; i < step.inputs.size(); ++i) {
      const ValueId id = step.inputs[i];
      if (id == kAbsent || step.place == Place::shape || is_at_hand(id)) continue;
      const bool reads_there = wanted_there(step.place, i) || (view_there && i == 0);
      if (!reads_there || !there[at(id)]) return false;
    }
    for (std::size_t i = 0; i < step.outputs.size(); ++i)
      if (step.outputs[i] != kAbsent)
        there[at(step.outputs[i])] = wanted_there(step.place, 0) || (view_there && i == 0);
  }
  return std::ranges::all_of(graph_.outputs, [&](const GraphOutput& output) {
    return there[at(output.value)] || graph_.values[at(output.value)].constant;
  });
}

Program::Context::Accelerated::Accelerated(Context& context)
    : context_(context), program_(context.program_), offload_(*context.program_.offload_),
      device_(offload_.accelerator), own_memory_(program_.limits_.live_bytes, &device_),
      slots_(offload_.constants),
      uploads_(offload_.constants.size()), lane_{device_.make_stream(), {}},
      records_(offload_.recordable) {
  if (!offload_.picks) return;
  faults_ = kernels::Buffer(device_, program_.steps_.size() * sizeof(std::int32_t));
  faults_here_.resize(program_.steps_.size());
}

Program::Context::Accelerated::~Accelerated() {
  device_.release(lane_.stream); // waits: nothing reads or writes the memory any more
}

Value Program::Context::Accelerated::upload(const Value& value, Memory& memory) {
  Value there = memory.allocate(value.type, value.dims);
  device_.copy_in(lane_.stream, there.address, value.address, value.bytes());
  return there;
}

Value Program::Context::Accelerated::download(const Value& value) {
  Value here = context_.memory_.allocate(value.type, value.dims);
  device_.copy_out(lane_.stream, here.address, value.address, value.bytes());
  return here;
}

const Value& Program::Context::Accelerated::on_host(ValueId id) {
  Value& here = context_.slots_[at(id)];
  if (!here.storage) here = download(slots_[at(id)]);
  return here;
}

const Value& Program::Context::Accelerated::on_device(ValueId id) {
  if (slots_[at(id)].storage) return slots_[at(id)];
  const Value& here = context_.slots_[at(id)];
  if (here.type != offload_.known.types[at(id)]) refuse_type(here.type); // the model says another
  if (!offload_.known.fixed[at(id)]) return slots_[at(id)] = upload(here, *memory_);
  // Steps on the host go on with what they have, so that it does not count as being on the device.
  Value& there = uploads_[at(id)];
  if (there.storage) return there;
  if (records_ && memory_ == &own_memory_) uploaded_.emplace_back(id, here);
  return there = upload(here, *memory_);
}

void Program::Context::Accelerated::run_step(const Step& step) {
  const bool there = wanted_there(step.place, 0);
  const bool view_there = step.place == Place::view && slots_[at(step.inputs[0])].storage;
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    const ValueId id = step.inputs[i];
    const Value*& argument = context_.arguments_[i];
    if (id == kAbsent)
      argument = nullptr;
    else if (wanted_there(step.place, i))
      argument = &on_device(id);
    else if (i == 0 &&
             (view_there || (step.place == Place::shape && !context_.slots_[at(id)].storage)))
      argument = &slots_[at(id)];
    else
      argument = &on_host(id);
  }
  if (step.picks && faults_.data() != nullptr)
    lane_.fault = faults_.as<std::int32_t>() + (&step - program_.steps_.data());
  context_.compute(step, there ? *memory_ : context_.memory_, there ? &lane_ : nullptr);
  for (std::size_t i = 0; i < step.outputs.size(); ++i) {
    if (step.outputs[i] == kAbsent) continue;
    auto& slots = there || (view_there && i == 0) ? slots_ : context_.slots_;
    slots[at(step.outputs[i])] = std::move(context_.results_[i]);
  }
  for (const ValueId id : step.release)
    slots_[at(id)].storage = uploads_[at(id)].storage = context_.slots_[at(id)].storage =
        StorageRef();
}

void Program::Context::Accelerated::run_once() {
  const Graph& graph = program_.graph_;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i)
    if (offload_.inputs[i]) static_cast<void>(on_device(graph.inputs[i]));
  run_steps();
  for (const GraphOutput& output : graph.outputs)
    context_.outputs_.push_back(on_host(output.value));
  check_faults();
}

void Program::Context::Accelerated::run_steps() {
  if (faults_.data() != nullptr) device_.zero(lane_.stream, faults_.data(), faults_.bytes());
  context_.run_steps();
}

void Program::Context::Accelerated::check_faults() {
  if (faults_.data() == nullptr) return;
  device_.copy_out(lane_.stream, faults_here_.data(), faults_.data(), faults_.bytes());
  const auto fault = std::ranges::find(faults_here_, 1);
  if (fault == faults_here_.end()) return;
  const auto step = static_cast<std::size_t>(fault - faults_here_.begin());
  throw Error(ErrorKind::failed, "an index is outside of the axis that it picks from")
      .with_context(fmt::format("while computing {}", program_.steps_[step].name));
}

void Program::Context::Accelerated::run() {
  std::vector<Value> inputs;
  std::vector<Dims> shapes;
  for (const ValueId id : program_.graph_.inputs) {
    inputs.push_back(context_.slots_[at(id)]);
    shapes.push_back(inputs.back().dims);
  }
  busy_ = true;
  try {
    bool again = false;
    {
      const std::shared_lock lock(offload_.recording);
      if (const Recording* recording = find_recording(shapes)) {
        replay(*recording);
      } else {
        run_once();
        again = records_ && seen(shapes);
      }
    }
    if (again) {
      const std::unique_lock lock(offload_.recording);
      record(shapes, inputs);
    }
  } catch (const kernels::Error& error) {
    throw Error(ErrorKind::failed, error.what()).with_hint(error.hint());
  }
  busy_ = false;
}

Program::Context::Accelerated::Recording*
Program::Context::Accelerated::find_recording(const std::vector<Dims>& shapes) {
  const auto place =
      std::ranges::find_if(recordings_, [&](const auto& r) { return r->shapes == shapes; });
  if (place == recordings_.end()) return nullptr;
  std::rotate(recordings_.begin(), place, place + 1);
  return recordings_.front().get();
}

// Whether a call has had these shapes.
bool Program::Context::Accelerated::seen(const std::vector<Dims>& shapes) {
  if (std::ranges::find(seen_, shapes) != seen_.end()) return true;
  if (seen_.size() == kMostSeen) seen_.pop_back();
  seen_.insert(seen_.begin(), shapes);
  return false;
}

// After a call of these shapes, so that all plans are made. The call has its results already, and
// so a failure only means that there will be no recordings.
void Program::Context::Accelerated::record(const std::vector<Dims>& shapes,
                                           std::span<const Value> inputs) {
  const Graph& graph = program_.graph_;
  auto recording = std::make_unique<Recording>(program_.limits_, device_);
  recording->shapes = shapes;
  context_.drop_values();
  drop_values();
  lane_.kept.clear(); // the results have been waited for
  try {
    for (const auto& [id, here] : uploaded_) {
      uploads_[at(id)] = upload(here, recording->memory);
      recording->uploads.push_back(uploads_[at(id)]);
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      context_.slots_[at(graph.inputs[i])] = inputs[i];
      recording->inputs.emplace_back();
      if (!offload_.inputs[i]) continue;
      recording->inputs[i] = recording->memory.allocate(inputs[i].type, inputs[i].dims);
      slots_[at(graph.inputs[i])] = recording->inputs[i];
    }
    memory_ = &recording->memory;
    recording->graph = device_.capture(lane_.stream, [&] { run_steps(); });
    for (const GraphOutput& output : graph.outputs)
      recording->outputs.push_back(slots_[at(output.value)]);
    recording->kept = std::move(lane_.kept);
  } catch (const Error&) {
    records_ = false;
  } catch (const kernels::Error&) {
    records_ = false;
  }
  memory_ = &own_memory_;
  lane_.kept.clear();
  context_.drop_values();
  drop_values();
  if (recording->graph == nullptr) records_ = false;
  if (!records_) return;
  if (recordings_.size() == kMostRecordings) recordings_.pop_back();
  recordings_.insert(recordings_.begin(), std::move(recording));
}

void Program::Context::Accelerated::replay(const Recording& recording) {
  const Graph& graph = program_.graph_;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const Value& here = context_.slots_[at(graph.inputs[i])];
    if (offload_.inputs[i])
      device_.copy_in(lane_.stream, recording.inputs[i].address, here.address, here.bytes());
  }
  recording.graph->launch(lane_.stream);
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const auto& constant = graph.values[at(graph.outputs[i].value)].constant;
    context_.outputs_.push_back(constant ? *constant : download(recording.outputs[i]));
  }
  check_faults();
  ++replays_;
}

void Program::Context::Accelerated::drop_values() noexcept {
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (!offload_.constants[i].storage) slots_[i].storage = StorageRef();
  for (Value& upload : uploads_)
    upload.storage = StorageRef();
}

void Program::Context::Accelerated::clear() noexcept {
  if (busy_) { // what has failed may still be running
    try {
      device_.synchronize(lane_.stream);
    } catch (const kernels::Error&) { // the next call says so
    }
    busy_ = false;
  }
  const std::shared_lock lock(offload_.recording);
  uploaded_.clear();
  lane_.kept.clear();
  drop_values();
  own_memory_.end_call();
}

} // namespace mlp::native
