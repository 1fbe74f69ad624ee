// COPY and ADD of a Dockerfile: which files, and where to.
// Source: docs.docker.com/reference/dockerfile, "COPY" and "ADD".
#pragma once

#include "core/image/chain.hpp"
#include "core/image/dockerfile.hpp"

#include <string>

namespace mlp::image {

// What `<Dockerfile>.dockerignore`, else `.dockerignore`, says of a build's context; for
// FolderTree. The project's .mlp and .git are never in it.
[[nodiscard]] FolderTree::Ignored ignored_in_context(const fs::path& root,
                                                     const std::string& dockerfile);

// The paths of a tree that match a pattern of filepath.Match, sorted; a plain path that is there
// matches itself.
[[nodiscard]] std::vector<std::string> matching_paths(Tree& tree, const std::string& pattern);

// Adds the layer. Throws Error(not_found) for a source that is not there.
void copy(Chain& chain, Workshop& shop, Tree& tree, const Step& step, const CopyStep& action,
          const Placement& placement);

} // namespace mlp::image
