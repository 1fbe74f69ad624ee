// From parent to child through /proc.
#include "core/job/process_usage.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

namespace mlp::job {

namespace {

constexpr std::size_t max_looks = 20'000;

// The beginning of a small file of /proc; empty if it is not there.
std::string_view read_small(const std::string& path, std::string& buffer) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return {};
  buffer.resize(16u << 10);
  const ssize_t n = ::read(file.fd(), buffer.data(), buffer.size());
  return n <= 0 ? std::string_view() : std::string_view(buffer.data(), static_cast<std::size_t>(n));
}

// The next number of a list with spaces between; nullopt at its end.
std::optional<std::int64_t> next_number(std::string_view& list) {
  while (!list.empty() && (list.front() == ' ' || list.front() == '\n'))
    list.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(list.data(), list.data() + list.size(), value);
  if (error != std::errc()) return std::nullopt;
  list.remove_prefix(static_cast<std::size_t>(end - list.data()));
  return value;
}

std::vector<int> numbered_entries(const std::string& path) {
  struct CloseDirectory {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
  };
  std::vector<int> out;
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
  if (!directory) return out;
  while (const dirent* entry = ::readdir(directory.get())) {
    std::string_view name = static_cast<const char*>(entry->d_name);
    if (const auto number = next_number(name); number && name.empty())
      out.push_back(static_cast<int>(*number));
  }
  return out;
}

} // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view line) {
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string_view::npos || name_end + 3 >= line.size()) return std::nullopt;
  std::string_view rest = line.substr(name_end + 3); // behind the state, field 3
  ProcessStat stat;
  for (int field = 4; field <= 24; ++field) {
    const auto value = next_number(rest);
    if (!value) return std::nullopt;
    if (field >= 14 && field <= 17 && *value > 0)
      stat.cpu_ticks += static_cast<std::uint64_t>(*value);
    if (field == 24 && *value > 0) stat.resident_pages = static_cast<std::uint64_t>(*value);
  }
  return stat;
}

ProcessUsage usage_below(int pid, const fs::path& proc) {
  static const double ticks_per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
  static const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  ProcessUsage usage;
  std::string buffer;
  std::size_t looks = 0;
  std::uint64_t ticks = 0;
  std::vector<int> open = {pid};
  std::unordered_set<int> seen = {pid};
  while (!open.empty() && looks < max_looks) {
    const int parent = open.back();
    open.pop_back();
    const std::string folder = fmt::format("{}/{}", proc.native(), parent);
    if (parent != pid) {
      if (const auto stat = parse_process_stat(read_small(folder + "/stat", buffer))) {
        ticks += stat->cpu_ticks;
        usage.memory += stat->resident_pages * page_bytes;
        ++usage.processes;
      }
    }
    for (const int thread : numbered_entries(folder + "/task")) {
      if (++looks > max_looks) break;
      std::string_view list =
          read_small(fmt::format("{}/task/{}/children", folder, thread), buffer);
      while (const auto child = next_number(list))
        if (*child > 0 && seen.insert(static_cast<int>(*child)).second)
          open.push_back(static_cast<int>(*child));
    }
  }
  usage.cpu_seconds = static_cast<double>(ticks) / ticks_per_second;
  return usage;
}

} // namespace mlp::job
