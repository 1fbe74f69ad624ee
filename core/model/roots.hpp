// Which versions in a project's object store are still needed, and by what.
#pragma once

#include "core/base/digest.hpp"
#include "core/config/project.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace mlp::model {

enum class Need : std::uint8_t { lock_file, git_ref, tag, run, model };

struct Root {
  Digest manifest;
  Need need = Need::lock_file;
  // "mlp.lock", "git's refs/heads/main", "tag digits@v1", "run ...", "model p@3"
  std::string needed_by;
};

// What mlp.lock pins here and in the commit of any git ref, what a tag names, what any run that is
// kept was made from, and every version of every model with the datasets that it comes from. A
// manifest may be there several times, and need not be in the store. Blocks on the disk. Throws
// Error if any of these cannot be read: what it needs is then not known.
[[nodiscard]] std::vector<Root> find_roots(const config::Project& project);

} // namespace mlp::model
