// GPUs as JSON and as text.
#include "cli/gpus.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/gpu/xid.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

namespace {

template <class T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json processes_json(const gpu::Gpu& gpu) {
  if (!gpu.processes) return nullptr;
  Json list = json_array();
  for (const gpu::GpuProcess& process : *gpu.processes)
    list.push_back(json_object({{"pid", process.pid},
                                {"name", value_or_null(process.name)},
                                {"memory", value_or_null(process.memory)}}));
  return list;
}

// Of each active link: a GPU's bus id, "switch", or null.
Json nvlink_ends_json(const gpu::Gpu& gpu) {
  if (!gpu.nvlinks) return nullptr;
  Json list = json_array();
  for (const std::string& end : gpu.nvlink_ends)
    list.push_back(end.empty() ? Json() : Json(end));
  return list;
}

} // namespace

Json gpu_json(const gpu::Gpu& gpu) {
  const Json ecc = json_object({{"enabled", value_or_null(gpu.ecc)},
                                {"corrected", value_or_null(gpu.ecc_corrected)},
                                {"uncorrected", value_or_null(gpu.ecc_uncorrected)},
                                {"corrected_lifetime", value_or_null(gpu.ecc_corrected_life)},
                                {"uncorrected_lifetime", value_or_null(gpu.ecc_uncorrected_life)},
                                {"retirement_pending", value_or_null(gpu.retirement_pending)},
                                {"remap_pending", value_or_null(gpu.remap_pending)},
                                {"remap_failed", value_or_null(gpu.remap_failed)},
                                {"remapped_rows", value_or_null(gpu.remapped_rows)}});
  const Json pcie = json_object({{"bus_id", value_or_null(gpu.bus_id)},
                                 {"generation", value_or_null(gpu.pcie_generation)},
                                 {"generation_max", value_or_null(gpu.pcie_generation_max)},
                                 {"width", value_or_null(gpu.pcie_width)},
                                 {"width_max", value_or_null(gpu.pcie_width_max)}});
  return json_object(
      {{"index", gpu.index},
       {"state", gpu_state(gpu)},
       {"lost", value_or_null(gpu.lost)},
       {"uuid", value_or_null(gpu.uuid)},
       {"model", value_or_null(gpu.model)},
       {"compute_capability", value_or_null(gpu.compute)},
       {"memory_total", value_or_null(gpu.memory_total)},
       {"memory_used", value_or_null(gpu.memory_used)},
       {"utilization_percent", value_or_null(gpu.utilization)},
       {"temperature_c", value_or_null(gpu.temperature)},
       {"power_w", value_or_null(gpu.power)},
       {"power_limit_w", value_or_null(gpu.power_limit)},
       {"sm_clock_mhz", value_or_null(gpu.sm_clock)},
       {"sm_clock_max_mhz", value_or_null(gpu.sm_clock_max)},
       {"memory_clock_mhz", value_or_null(gpu.memory_clock)},
       {"memory_clock_max_mhz", value_or_null(gpu.memory_clock_max)},
       {"throttle", gpu.throttle ? Json(gpu::throttle_names(*gpu.throttle)) : Json()},
       {"ecc", ecc},
       {"pcie", pcie},
       {"nvlinks", value_or_null(gpu.nvlinks)},
       {"nvlinks_active", value_or_null(gpu.nvlinks_active)},
       {"nvlink_ends", nvlink_ends_json(gpu)},
       {"mig", value_or_null(gpu.mig)},
       {"last_xid", value_or_null(gpu.last_xid)},
       {"xids", Json(gpu.xids)},
       {"processes", processes_json(gpu)}});
}

std::string gpu_state(const gpu::Gpu& gpu) {
  if (gpu.lost) return "lost";
  const auto fatal = std::find_if(gpu.xids.rbegin(), gpu.xids.rend(), gpu::xid_fatal);
  if (fatal != gpu.xids.rend()) return fmt::format("xid {}", *fatal);
  if (gpu.ecc_uncorrected.value_or(0) > 0) return fmt::format("ecc {}", *gpu.ecc_uncorrected);
  if (gpu.remap_failed.value_or(false)) return "remap!";
  if (gpu.remap_pending.value_or(false) || gpu.retirement_pending.value_or(false)) return "reset";
  if ((gpu.throttle.value_or(0) & gpu::throttle_harmful) != 0) return "slowed";
  if (gpu.mig.value_or(false)) return "mig";
  return "ok";
}

std::string short_model(const gpu::Gpu& gpu) {
  if (!gpu.model) return "?";
  std::string_view model = *gpu.model;
  if (model.starts_with("NVIDIA ")) model.remove_prefix(7);
  return printable(model);
}

void throw_driver_error(const gpu::Inventory& inventory) {
  Error error(inventory.state == gpu::Driver::denied ? ErrorKind::denied : ErrorKind::unreachable,
              inventory.reason);
  if (!inventory.hint.empty()) error.add_hint(inventory.hint);
  throw error;
}

} // namespace mlp
