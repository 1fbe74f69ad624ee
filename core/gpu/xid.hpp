// XIDs: how the NVIDIA driver reports a GPU's errors, as lines of the kernel log:
//   NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python3, GPU has fallen off the bus.
// NVML has no query for those of the past, so they are read from the log, where that is readable.
// Source of the numbers: "XID Errors", NVIDIA.
#pragma once

#include "core/gpu/gpu.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::gpu {

struct XidLine {
  std::string bus_id; // "0000:3b:00.0"
  int xid = 0;
};

// nullopt: the line tells of no XID. Takes lines of dmesg, of a syslog and of /dev/kmsg.
[[nodiscard]] std::optional<XidLine> parse_xid_line(std::string_view line);

// All of them in the log, oldest first; at most the newest 4096. nullopt: `log` cannot be read
// (/dev/kmsg wants root or CAP_SYSLOG where kernel.dmesg_restrict is set). Does not wait for lines
// to come. A plain file is read to its end, 64 MiB at most.
[[nodiscard]] std::optional<std::vector<XidLine>> read_xids(const std::filesystem::path& log);

// Puts each into its GPU, by bus id.
void add_xids(const std::vector<XidLine>& lines, std::vector<Gpu>& gpus);

// What it stands for, in a few words; nullopt: one that we have no words for.
[[nodiscard]] std::optional<std::string_view> xid_meaning(int xid) noexcept;
// True if the hardware is to be reset or looked at before the next job; false for what a program
// brings about by itself (an illegal access), and for numbers that we do not know.
[[nodiscard]] bool xid_fatal(int xid) noexcept;

} // namespace mlp::gpu
