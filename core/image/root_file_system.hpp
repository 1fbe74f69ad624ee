// A container's root file system: the layers stacked, devices, /proc and /sys, what is bound in.
// Internal to core/image.
#pragma once

#include "core/image/container.hpp"

#include <string>
#include <vector>

namespace mlp::image {

// The same with every path of the host absolute and without links, so that it means the same once
// the host's root is elsewhere, and mounts in the order in which they are made. Throws
// Error(not_found) naming what is not there, Error(config) for a target that is no absolute path.
[[nodiscard]] ContainerSpec with_real_paths(ContainerSpec spec);

// As the first process of a PID namespace: enters a new mount namespace, puts the root together and
// enters it; nothing of the host's is seen any more. Returns the mount points that had to be
// made in the upper folder, the less deep ones first, as relative paths.
[[nodiscard]] std::vector<std::string> enter_root(const ContainerSpec& spec);

} // namespace mlp::image
