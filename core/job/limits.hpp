// What holds a program to the memory and CPUs that its task asked for: control groups, of version 2
// or 1, where the kernel and our rights allow. Otherwise the numbers are advice, and unenforced()
// says why. "16+" is a lower bound and limits nothing.
// Sources: docs.kernel.org/admin-guide/cgroup-v2.html, .../cgroup-v1/memory.html,
// docs.kernel.org/scheduler/sched-bwc.html.
#pragma once

#include "core/base/fs.hpp"
#include "core/config/project_file.hpp"

#include <string>
#include <vector>

namespace mlp::job {

class ResourceLimits {
 public:
  // Makes the groups of a run, below the one that this process is in, for as many nodes, all of
  // them on this machine. Does not throw for what cannot be had. `root` is where control groups are
  // mounted.
  ResourceLimits(const std::string& run_id, const config::Resources& resources, std::int64_t nodes,
                 const fs::path& root = "/sys/fs/cgroup");
  // Removes the groups; their processes must have ended.
  ~ResourceLimits();
  ResourceLimits(ResourceLimits&&) = delete;

  // This process goes into the groups, so that the child that it starts is born there, and back.
  void enter();
  void leave();

  // Whether the kernel killed something in the group because memory was at its limit.
  [[nodiscard]] bool ran_out_of_memory() const;
  // "memory", "cpus": what was asked for as a limit and is not enforced; with the reason.
  [[nodiscard]] const std::vector<std::string>& unenforced() const noexcept { return unenforced_; }

 private:
  struct Group {
    fs::path parent, own;
    bool memory = false;
    bool version2 = false;
  };
  void limit(const std::string& controller, const std::string& run_id, const fs::path& root,
             const std::vector<std::pair<std::string, std::string>>& version1,
             const std::vector<std::pair<std::string, std::string>>& version2);
  std::vector<Group> groups_;
  std::vector<std::string> unenforced_;
};

// Throws Error(failed) if the disk of `folder` has less room now than the task asks for on all its
// nodes. Nothing keeps it free from then on.
void check_disk(const config::Resources& resources, std::int64_t nodes, const fs::path& folder);

} // namespace mlp::job
