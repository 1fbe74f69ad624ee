// A part of a version, made a version of its own: so that what fetches and writes versions serves
// for parts of them too.
#pragma once

#include "core/data/ignore.hpp"
#include "core/data/manifest.hpp"
#include "core/data/store.hpp"

#include <vector>

namespace mlp::data {

// The manifest of what matches one of the patterns, or lies in a folder that does; the patterns
// have the words of .mlpignore, taken from the version's root on. A folder that matches is taken
// over without being read, others are read, and left out if nothing in them matches. Nodes go to
// `sink`. Throws Error: not_found if nothing matches; what `source` throws.
[[nodiscard]] Digest select_files(ObjectSource& source, const Entry& root,
                                  const std::vector<IgnorePattern>& only, ObjectSink& sink);

} // namespace mlp::data
