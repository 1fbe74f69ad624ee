// Reading and understanding XIDs.
#include "core/gpu/xid.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

namespace mlp::gpu {

namespace {

struct Meaning {
  int xid;
  bool fatal;
  std::string_view words;
};

constexpr Meaning meanings[] = {
    {13, false, "graphics engine exception: most often a program's mistake"},
    {31, false, "memory page fault: most often a program's mistake"},
    {43, false, "reset channel verification error: a program was stopped"},
    {45, false, "preemptive channel removal: a program was stopped"},
    {48, true, "double bit ECC error"},
    {61, true, "internal micro-controller breakpoint"},
    {62, true, "internal micro-controller halt"},
    {63, false, "a row or page was recorded for remapping"},
    {64, true, "a row or page could not be remapped"},
    {74, true, "NVLink error"},
    {79, true, "the GPU has fallen off the bus"},
    {92, true, "high rate of single bit ECC errors"},
    {94, true, "contained memory error"},
    {95, true, "uncontained memory error"},
    {119, true, "the GPU's system processor does not answer"},
    {120, true, "error of the GPU's system processor"},
    {140, true, "unrecovered ECC error"},
};

const Meaning* find_meaning(int xid) noexcept {
  const auto* found = std::find_if(std::begin(meanings), std::end(meanings),
                                   [&](const Meaning& m) { return m.xid == xid; });
  return found == std::end(meanings) ? nullptr : found;
}

constexpr std::string_view marker = "NVRM: Xid (PCI:";
constexpr std::size_t most_lines = 4096;
constexpr std::size_t most_bytes = 64U << 20;

void keep(std::vector<XidLine>& found, std::string_view line) {
  auto xid = parse_xid_line(line);
  if (!xid) return;
  if (found.size() == most_lines) found.erase(found.begin());
  found.push_back(std::move(*xid));
}

} // namespace

std::optional<XidLine> parse_xid_line(std::string_view line) {
  const std::size_t at = line.find(marker);
  if (at == std::string_view::npos) return std::nullopt;
  line.remove_prefix(at + marker.size());
  const std::size_t close = line.find(')');
  if (close == std::string_view::npos || close < 7 || close > 20) return std::nullopt;
  XidLine out{.bus_id = std::string(line.substr(0, close))};
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
  };
  std::transform(out.bus_id.begin(), out.bus_id.end(), out.bus_id.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (!std::all_of(out.bus_id.begin(), out.bus_id.end(), allowed)) return std::nullopt;
  if (out.bus_id.find('.') == std::string::npos) out.bus_id += ".0";
  line.remove_prefix(close + 1);
  if (!line.starts_with(": ")) return std::nullopt;
  line.remove_prefix(2);
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), out.xid);
  if (error != std::errc() || out.xid <= 0) return std::nullopt;
  // "79," or the end of the line: not the beginning of some other number.
  if (end != line.data() + line.size() && *end != ',' && *end != ' ' && *end != '\n' &&
      *end != '\r')
    return std::nullopt;
  return out;
}

std::optional<std::vector<XidLine>> read_xids(const std::filesystem::path& log) {
  const int fd = ::open(log.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::vector<XidLine> found;
  std::string pending;
  std::array<char, 16384> buffer{};
  std::size_t bytes = 0;
  bool readable = true;
  while (bytes < most_bytes) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    // EPIPE: records of /dev/kmsg were overwritten before we came to them; the next read goes on.
    if (got < 0 && (errno == EINTR || errno == EPIPE)) continue;
    if (got < 0) readable = errno == EAGAIN; // Linux: the same as EWOULDBLOCK
    if (got <= 0) break;
    bytes += static_cast<std::size_t>(got);
    pending.append(buffer.data(), static_cast<std::size_t>(got));
    std::size_t start = 0;
    for (std::size_t end = pending.find('\n'); end != std::string::npos;
         end = pending.find('\n', start)) {
      keep(found, std::string_view(pending).substr(start, end - start));
      start = end + 1;
    }
    pending.erase(0, start);
    if (pending.size() > buffer.size()) pending.clear(); // no line of a log is that long
  }
  ::close(fd);
  if (!readable) return std::nullopt;
  keep(found, pending);
  return found;
}

void add_xids(const std::vector<XidLine>& lines, std::vector<Gpu>& gpus) {
  constexpr std::size_t most_a_gpu = 64;
  for (const XidLine& line : lines)
    for (Gpu& gpu : gpus) {
      if (gpu.bus_id != line.bus_id) continue;
      if (gpu.xids.size() == most_a_gpu) gpu.xids.erase(gpu.xids.begin());
      gpu.xids.push_back(line.xid);
      gpu.last_xid = line.xid;
    }
}

std::optional<std::string_view> xid_meaning(int xid) noexcept {
  const Meaning* meaning = find_meaning(xid);
  if (meaning == nullptr) return std::nullopt;
  return meaning->words;
}

bool xid_fatal(int xid) noexcept {
  const Meaning* meaning = find_meaning(xid);
  return meaning != nullptr && meaning->fatal;
}

} // namespace mlp::gpu
