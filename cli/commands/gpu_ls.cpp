// `mlp gpu ls`: the GPUs of this machine and how they are, as the driver tells it.
#include "cli/gpus.hpp"
#include "cli/session.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/gpu/nvml.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace mlp {

namespace {

constexpr double gib = 1024.0 * 1024.0 * 1024.0;

// "12.5/79.6 GiB", with "-" for what is not known.
std::string memory_text(const gpu::Gpu& gpu) {
  if (!gpu.memory_total) return "-";
  const double total = static_cast<double>(*gpu.memory_total) / gib;
  if (!gpu.memory_used) return fmt::format("-/{:.1f} GiB", total);
  return fmt::format("{:.1f}/{:.1f} GiB", static_cast<double>(*gpu.memory_used) / gib, total);
}

std::string power_text(const gpu::Gpu& gpu) {
  if (!gpu.power) return "-";
  return gpu.power_limit ? fmt::format("{:.0f}/{:.0f} W", *gpu.power, *gpu.power_limit)
                         : fmt::format("{:.0f} W", *gpu.power);
}

template <class T>
std::string with_unit(const std::optional<T>& value, std::string_view unit) {
  return value ? fmt::format("{} {}", *value, unit) : "-";
}

// "1980/1980": now, and at most.
std::string of_most(const std::optional<unsigned>& now, const std::optional<unsigned>& most) {
  const auto text = [](const std::optional<unsigned>& value) {
    return value ? std::to_string(*value) : std::string("-");
  };
  return now || most ? text(now) + "/" + text(most) : "-";
}

// "2/0": errors that were corrected and that were not, since the driver was loaded.
std::string ecc_text(const gpu::Gpu& gpu) {
  if (!gpu.ecc) return "-";
  if (!*gpu.ecc) return "off";
  const auto count = [](const std::optional<std::uint64_t>& errors) {
    return errors ? std::to_string(*errors) : std::string("-");
  };
  return count(gpu.ecc_corrected) + "/" + count(gpu.ecc_uncorrected);
}

// "4/4: GPU 1 x2, GPU 2 x2": active links of all, and how many of them reach what.
std::string nvlinks_text(const gpu::Gpu& gpu, const gpu::Inventory& inventory) {
  if (!gpu.nvlinks) return "-";
  if (*gpu.nvlinks == 0) return "none";
  std::vector<std::pair<std::string, int>> ends;
  for (const std::string& end : gpu.nvlink_ends) {
    const auto known = std::ranges::find(
        inventory.gpus, end, [](const gpu::Gpu& other) { return other.bus_id.value_or(""); });
    const std::string name = end.empty()                     ? "?"
                             : known == inventory.gpus.end() ? end
                                                             : fmt::format("GPU {}", known->index);
    const auto counted = std::ranges::find(ends, name, &std::pair<std::string, int>::first);
    if (counted == ends.end())
      ends.emplace_back(name, 1);
    else
      ++counted->second;
  }
  std::string text = of_most(gpu.nvlinks_active, gpu.nvlinks);
  for (const auto& [name, links] : ends)
    text += fmt::format("{}{} x{}", &name == &ends.front().first ? ": " : ", ", name, links);
  return text;
}

// What the table has no room for.
std::string details_text(const gpu::Inventory& inventory) {
  constexpr const char* line = "{:>3}  {:>9}  {:>9}  {:>8}  {:>8}  {:>9}  {}\n";
  std::string text = fmt::format(fmt::runtime("\n" + std::string(line)), "GPU", "SM MHZ", "MEM MHZ",
                                 "ECC", "PCIE GEN", "WIDTH", "NVLINKS");
  for (const gpu::Gpu& gpu : inventory.gpus)
    text += fmt::format(fmt::runtime(line), gpu.index, of_most(gpu.sm_clock, gpu.sm_clock_max),
                        of_most(gpu.memory_clock, gpu.memory_clock_max), ecc_text(gpu),
                        of_most(gpu.pcie_generation, gpu.pcie_generation_max),
                        of_most(gpu.pcie_width, gpu.pcie_width_max), nvlinks_text(gpu, inventory));
  return text;
}

// 80 columns at most, as long as the state is of two short words.
std::string table_text(const gpu::Inventory& inventory) {
  constexpr const char* line = "{:>3}  {:<24}  {:>15}  {:>5}  {:>5}  {:>10}  {}\n";
  std::string text =
      fmt::format(fmt::runtime(line), "GPU", "MODEL", "MEMORY", "USE", "TEMP", "POWER", "STATE");
  for (const gpu::Gpu& gpu : inventory.gpus)
    text += fmt::format(fmt::runtime(line), gpu.index, fit_width(short_model(gpu), 24),
                        memory_text(gpu), with_unit(gpu.utilization, "%"),
                        with_unit(gpu.temperature, "C"), power_text(gpu), gpu_state(gpu));
  return text;
}

std::string processes_text(const gpu::Inventory& inventory) {
  std::string text =
      fmt::format("\n{:>3}  {:>10}  {:>10}  {}\n", "GPU", "PID", "MEMORY", "PROCESS");
  bool any = false;
  for (const gpu::Gpu& gpu : inventory.gpus)
    for (const gpu::GpuProcess& process : gpu.processes.value_or(std::vector<gpu::GpuProcess>{})) {
      any = true;
      const std::string name = printable(process.name.value_or("?"));
      text +=
          fmt::format("{:>3}  {:>10}  {:>10}  {}\n", gpu.index, process.pid,
                      process.memory ? format_bytes(*process.memory) : "-", fit_width(name, 50));
    }
  return any ? text : "\nno process uses a GPU, or none that we may see\n";
}

void run(Session& session) {
  const bool processes = session.arguments().has("--processes");
  const gpu::Inventory inventory = gpu::Nvml().read(processes);
  if (inventory.state == gpu::Driver::denied || inventory.state == gpu::Driver::broken)
    throw_driver_error(inventory);
  const auto visible = get_env("CUDA_VISIBLE_DEVICES");
  Json rows = json_array();
  for (const gpu::Gpu& gpu : inventory.gpus)
    rows.push_back(gpu_json(gpu));
  const Json record =
      json_object({{"gpus", rows},
                   {"reason", inventory.reason.empty() ? Json() : Json(inventory.reason)},
                   {"driver", inventory.driver ? Json(*inventory.driver) : Json()},
                   {"cuda", inventory.cuda ? Json(*inventory.cuda) : Json()},
                   {"xids_known", inventory.xids_known},
                   {"cuda_visible_devices", visible ? Json(*visible) : Json()}});
  std::string text;
  if (!inventory.gpus.empty()) {
    text = table_text(inventory);
    if (session.arguments().has("--wide")) text += details_text(inventory);
    if (processes) text += processes_text(inventory);
  }
  session.output().emit(record, TextView{text});
  if (inventory.gpus.empty())
    session.output().status(inventory.reason.empty() ? "the NVIDIA driver finds no GPU"
                                                     : inventory.reason);
  else if (visible)
    session.output().status(fmt::format("CUDA_VISIBLE_DEVICES={}: CUDA programs started here see "
                                        "only these",
                                        printable(*visible)));
}

} // namespace

extern const Command gpu_ls_command;
const Command gpu_ls_command = {
    .path = "gpu ls",
    .summary = "list the GPUs of this machine: memory, use, temperature, health",
    .category = Category::training,
    .options = {{.name = "--processes",
                 .help = "list the processes on each GPU too",
                 .letter = 'p'},
                {.name = "--wide", .help = "show clocks, ECC errors and links too", .letter = 'w'}},
    .examples = {{"mlp gpu ls", "the GPUs and how they are"},
                 {"mlp gpu ls --processes", "and who uses them"},
                 {"mlp gpu ls --wide", "clocks, memory errors, PCIe and NVLink too"},
                 {"mlp gpu ls --json", "everything that the driver tells, for a script"}},
    .run = run};

} // namespace mlp
