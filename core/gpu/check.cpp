// What happens around the measuring: which GPUs, sampling while they work, and the verdict.
#include "core/gpu/check.hpp"

#include "core/base/error.hpp"
#include "core/base/progress.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace mlp::gpu {

namespace {

using std::chrono::milliseconds;

const Gpu* find_gpu(const Inventory& inventory, std::string_view word) {
  unsigned index = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), index);
  const bool number = error == std::errc() && end == word.data() + word.size();
  for (const Gpu& gpu : inventory.gpus)
    if (number ? gpu.index == index
               : word.size() > 4 && gpu.uuid && std::string_view(*gpu.uuid).starts_with(word))
      return &gpu;
  return nullptr;
}

void add_once(std::vector<unsigned>& indices, unsigned index) {
  if (std::find(indices.begin(), indices.end(), index) == indices.end()) indices.push_back(index);
}

// What sampling sees of one GPU goes into its Load.
void add_sample(const LoadSample& sample, Figure figure, Load& load) {
  if (figure == Figure::host_to_device || figure == Figure::device_to_host) {
    if (sample.pcie_generation)
      load.pcie_generation = std::max(load.pcie_generation.value_or(0), *sample.pcie_generation);
    if (sample.pcie_width)
      load.pcie_width = std::max(load.pcie_width.value_or(0), *sample.pcie_width);
  }
  if (sample.temperature)
    load.temperature = std::max(load.temperature.value_or(0), *sample.temperature);
  if (sample.power) load.power = std::max(load.power.value_or(0), *sample.power);
  load.throttle |= sample.throttle.value_or(0);
}

std::string item_words(const Item& item, const std::vector<Subject*>& ways) {
  std::string gpus;
  for (const unsigned way : item.gpus)
    gpus += fmt::format("{}{}", gpus.empty() ? "" : ",", ways[way]->before.index);
  return fmt::format("GPU {}: {}", gpus, figure_name(item.figure));
}

// CUDA numbers its GPUs in the order of this list.
std::string visible_list(const std::vector<Subject*>& ways) {
  std::string list;
  for (const Subject* way : ways)
    list +=
        (list.empty() ? "" : ",") + way->before.uuid.value_or(std::to_string(way->before.index));
  return list;
}

std::vector<Measured> measure_all(Nvml& nvml, const CheckOptions& options,
                                  const std::vector<Subject*>& ways) {
  const std::vector<Item> items = plan_items(static_cast<unsigned>(ways.size()), options.full);
  Progress& progress = options.progress == nullptr ? no_progress() : *options.progress;
  MeasuringOptions measuring{.program = options.program, .stop = options.stop};
  measuring.program.push_back(std::to_string(ways.size()));
  measuring.environment = {{"CUDA_VISIBLE_DEVICES", visible_list(ways)},
                           {"CUDA_DEVICE_ORDER", "PCI_BUS_ID"}};
  measuring.item_limit = milliseconds(options.full ? 120'000 : 30'000);
  measuring.begun = [&](const Item& item) { progress.note(item_words(item, ways)); };
  measuring.ended = [&](const Item&) { progress.advance(1); };
  measuring.tick = [&](const Item& item) {
    for (const unsigned way : item.gpus)
      if (const auto sample = nvml.sample(ways[way]->before.index))
        add_sample(*sample, item.figure, ways[way]->load);
    for (const XidEvent& event : nvml.new_xids(milliseconds(0)))
      for (Subject* way : ways)
        if (way->before.bus_id == event.bus_id) way->xids.push_back(event.xid);
    progress.advance(0);
  };
  progress.begin("checking", items.size(), ProgressUnit::count);
  std::vector<Measured> figures = measure_apart(items, measuring);
  progress.end();
  for (Measured& figure : figures)
    for (unsigned& gpu : figure.gpus)
      gpu = ways[gpu]->before.index;
  return figures;
}

} // namespace

std::vector<unsigned> visible_gpus(const Inventory& inventory,
                                   const std::optional<std::string>& variable) {
  std::vector<unsigned> indices;
  if (!variable) {
    for (const Gpu& gpu : inventory.gpus)
      indices.push_back(gpu.index);
    return indices;
  }
  for (const std::string& word : split(*variable, ',')) {
    const Gpu* gpu = find_gpu(inventory, trim(word));
    if (gpu == nullptr) break;
    add_once(indices, gpu->index);
  }
  std::sort(indices.begin(), indices.end());
  return indices;
}

std::vector<unsigned> named_gpus(const Inventory& inventory, std::string_view list) {
  std::vector<unsigned> indices;
  for (const std::string& word : split(list, ',')) {
    if (trim(word).empty())
      throw Error(ErrorKind::usage, fmt::format("'{}' is no list of GPUs", printable(list)))
          .with_hint("for example: --gpu 0,2");
    const Gpu* gpu = find_gpu(inventory, trim(word));
    if (gpu == nullptr)
      throw Error(ErrorKind::not_found, fmt::format("no GPU '{}'", printable(trim(word))))
          .with_hint("mlp gpu ls shows them; name one by its number or UUID");
    add_once(indices, gpu->index);
  }
  std::sort(indices.begin(), indices.end());
  return indices;
}

CheckResult check(Nvml& nvml, const Inventory& before, const CheckOptions& options) {
  CheckResult result;
  for (const unsigned index : options.gpus) {
    const Gpu& gpu = before.gpus.at(index);
    if (gpu.mig.value_or(false))
      throw Error(ErrorKind::conflict, fmt::format("GPU {} is split by MIG", index))
          .with_hint("leave it out with --gpu, or check it with MIG off: nvidia-smi -mig 0");
    result.subjects.push_back({.before = gpu, .after = gpu});
    if (gpu.model) result.subjects.back().chip = find_chip(*gpu.model, gpu.memory_total);
  }
  std::vector<Subject*> ways; // by CUDA's ordinal: a lost one would hide those behind it
  for (Subject& subject : result.subjects)
    if (!subject.before.lost) ways.push_back(&subject);
  static_cast<void>(nvml.new_xids(milliseconds(0))); // from now on
  std::vector<Measured> figures;
  if (!ways.empty()) figures = measure_all(nvml, options, ways);
  const Inventory after = nvml.read(false);
  for (Subject& subject : result.subjects)
    if (subject.before.index < after.gpus.size()) subject.after = after.gpus[subject.before.index];
  result.report = judge(result.subjects, figures);
  return result;
}

} // namespace mlp::gpu
