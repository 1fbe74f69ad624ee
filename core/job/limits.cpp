// A group is a folder; its files are written as text.
#include "core/job/limits.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>
#include <thread>

namespace mlp::job {

namespace {

constexpr std::uint64_t gib = std::uint64_t{1} << 30;
constexpr long cpu_period = 100'000; // microseconds

// 0 or the errno.
int write_text(const fs::path& path, const std::string& text) {
  const File file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.is_open()) return errno;
  return ::write(file.fd(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0
                                                                                           : errno;
}

std::string read_text(const fs::path& path) {
  try {
    return read_file_if_exists(path, 64 * 1024).value_or("");
  } catch (const Error&) {
    return "";
  }
}

// Of /proc/self/cgroup: the path of this process in the hierarchy of a controller, or in that of
// version 2 ("").
std::optional<std::string> own_path(const std::string& controller) {
  for (const std::string& line : split(read_text("/proc/self/cgroup"), '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    bool matches = controller.empty() && names.empty();
    if (!controller.empty())
      for (const std::string& name : split(names, ','))
        matches = matches || name == controller;
    if (matches) return line.substr(second + 2); // without its leading '/'
  }
  return std::nullopt;
}

bool has_word(const std::string& text, std::string_view word) {
  for (const std::string& part : split(text, ' '))
    if (trim(part) == word) return true;
  return false;
}

// Where the version 2 hierarchy has the controller: the mount itself, or "unified" beside
// version 1.
std::optional<fs::path> version2_parent(const fs::path& root, const std::string& controller) {
  const auto path = own_path("");
  if (!path) return std::nullopt;
  for (const fs::path& mount : {root, root / "unified"})
    if (has_word(read_text(mount / *path / "cgroup.controllers"), controller)) return mount / *path;
  return std::nullopt;
}

} // namespace

ResourceLimits::ResourceLimits(const std::string& run_id, const config::Resources& resources,
                               std::int64_t nodes, const fs::path& root) {
  const auto times = static_cast<double>(nodes);
  if (resources.memory && !resources.memory->at_least) {
    const std::string bytes = std::to_string(static_cast<std::uint64_t>(
        std::llround(resources.memory->value * times * static_cast<double>(gib))));
    // No way out into swap, where the kernel counts that.
    limit("memory", run_id, root,
          {{"memory.limit_in_bytes", bytes}, {"memory.memsw.limit_in_bytes?", bytes}},
          {{"memory.max", bytes}, {"memory.swap.max?", "0"}});
  }
  if (resources.cpus && !resources.cpus->at_least) {
    const std::string quota = std::to_string(
        std::lround(resources.cpus->value * times * static_cast<double>(cpu_period)));
    const std::string period = std::to_string(cpu_period);
    limit("cpu", run_id, root, {{"cpu.cfs_period_us", period}, {"cpu.cfs_quota_us", quota}},
          {{"cpu.max", quota + " " + period}});
  }
}

void check_disk(const config::Resources& resources, std::int64_t nodes, const fs::path& folder) {
  if (!resources.disk_size) return;
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (error) throw system_error(error.value(), "look at the disk of", folder.native());
  const double wanted =
      resources.disk_size->value * static_cast<double>(nodes) * static_cast<double>(gib);
  if (static_cast<double>(space.available) >= wanted) return;
  throw Error(ErrorKind::failed,
              fmt::format("it asks for {} of disk: there are {} free at '{}'",
                          format_bytes(static_cast<std::uint64_t>(std::min(wanted, 9e18))),
                          format_bytes(space.available), folder.native()))
      .with_hint("free some, or ask for less with 'disk_size' under 'resources:' in mlp.yaml");
}

// A setting whose name ends in '?' may be missing.
void ResourceLimits::limit(const std::string& controller, const std::string& run_id,
                           const fs::path& root,
                           const std::vector<std::pair<std::string, std::string>>& version1,
                           const std::vector<std::pair<std::string, std::string>>& version2) {
  Group group;
  group.memory = controller == "memory";
  const std::string what = group.memory ? "memory" : "cpus";
  if (const auto parent = version2_parent(root, controller)) {
    group.version2 = true;
    group.parent = *parent;
    if (!has_word(read_text(*parent / "cgroup.subtree_control"), controller))
      (void)write_text(*parent / "cgroup.subtree_control", "+" + controller);
  } else if (const auto path = own_path(controller)) {
    group.parent = root / controller / *path;
  } else {
    unenforced_.push_back(what + ": this kernel has no control group for it");
    return;
  }
  group.own = group.parent / ("mlp-" + run_id);
  const auto give_up = [&](int code) {
    ::rmdir(group.own.c_str());
    unenforced_.push_back(fmt::format(
        "{}: the control group '{}' cannot be set up ({})", what, group.own.native(),
        code == ENOENT ? "the controller is not passed on to it" : std::strerror(code)));
  };
  if (::mkdir(group.own.c_str(), 0755) != 0 && errno != EEXIST) return give_up(errno);
  for (const auto& [name, value] : group.version2 ? version2 : version1) {
    const bool optional = name.ends_with('?');
    const int code =
        write_text(group.own / name.substr(0, name.size() - (optional ? 1 : 0)), value);
    if (code != 0 && !optional) return give_up(code);
  }
  for (const Group& other : groups_)
    if (other.own == group.own) return; // version 2 has one group for all
  groups_.push_back(std::move(group));
}

ResourceLimits::~ResourceLimits() {
  for (const Group& group : groups_)
    for (int attempt = 0; attempt < 50; ++attempt) {
      if (::rmdir(group.own.c_str()) == 0 || errno != EBUSY) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(2)); // its last process is going
    }
}

void ResourceLimits::enter() {
  for (const Group& group : groups_)
    if (const int code = write_text(group.own / "cgroup.procs", "0"); code != 0)
      unenforced_.push_back(
          fmt::format("'{}' cannot be entered ({})", group.own.native(), std::strerror(code)));
}

void ResourceLimits::leave() {
  for (const Group& group : groups_)
    (void)write_text(group.parent / "cgroup.procs", "0");
}

bool ResourceLimits::ran_out_of_memory() const {
  for (const Group& group : groups_) {
    if (!group.memory) continue;
    const std::string text =
        read_text(group.own / (group.version2 ? "memory.events" : "memory.oom_control"));
    const std::size_t at = text.find("oom_kill ");
    if (at != std::string::npos && text.compare(at + 9, 1, "0") != 0) return true;
  }
  return false;
}

} // namespace mlp::job
