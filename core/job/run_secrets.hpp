// The secrets of a run while its program runs: read when it starts, handed over as environment
// variables or as files, and known to whoever masks them. They are written down nowhere else.
#pragma once

#include "core/base/fs.hpp"
#include "core/config/project_file.hpp"
#include "core/secret/masker.hpp"
#include "core/secret/store.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mlp::job {

struct RunSecret {
  std::string name;
  std::string value;
  bool file = false;
};

// The values of a task's secrets. Throws what SecretStore::get() throws, and Error(config) for a
// value with a NUL byte that is to be an environment variable. Blocks as the store does.
[[nodiscard]] std::vector<RunSecret> resolve_secrets(const std::vector<config::SecretUse>& uses,
                                                     secret::SecretStore& store);
// The same from the user's own store and settings.
[[nodiscard]] std::vector<RunSecret> resolve_secrets(const std::vector<config::SecretUse>& uses);

// One attempt's. Files lie in a folder 0700 of their own in memory (/dev/shm), or in the run's
// folder where there is no such place, and go with this object. What a process that was killed left
// there goes when the next run with such files starts. Not thread-safe but for masked().
class RunSecrets {
 public:
  // Throws Error if the files cannot be written.
  RunSecrets(std::vector<RunSecret> secrets, const fs::path& run_folder);
  RunSecrets(RunSecrets&&) = delete;

  // Sets a variable for each: the value, or the path of its file.
  void add_to(std::map<std::string, std::string>& environment) const;
  [[nodiscard]] const secret::MaskedValues& masked() const noexcept { return masked_; }

 private:
  void write_files(const fs::path& run_folder);

  std::vector<RunSecret> secrets_;
  secret::MaskedValues masked_;
  std::optional<TemporaryDirectory> folder_;
  std::optional<FileLock> lock_; // held: the folder is in use
};

} // namespace mlp::job
