// What of a machine's GPUs a container gets: device nodes and the driver's own libraries, which no
// image can bring. From the machine's CDI specifications where it has them, else by looking where
// NVIDIA's driver puts its files.
// Sources: Container Device Interface 0.8 (SPEC.md); the file lists of libnvidia-container.
#pragma once

#include "core/image/container.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

struct GpuAccess {
  std::vector<fs::path> devices;
  std::vector<BindMount> mounts;
  std::map<std::string, std::string> environment;
  std::string library_folder; // in the container, for LD_LIBRARY_PATH; empty: none

  [[nodiscard]] bool empty() const noexcept { return devices.empty(); }
};

// `wanted`: "all", or indices "0,2". `root` is "/" but in tests. Throws Error: not_found where
// there is no GPU or not that one; usage; config for a specification that cannot be read. Hooks of
// a CDI specification are not run: libraries get the names by which programs look for them.
[[nodiscard]] GpuAccess gpu_access(std::string_view wanted, const fs::path& root = "/");

// As many GPUs as "N" says: "0,1". Throws Error(usage).
[[nodiscard]] std::string first_gpus(std::string_view count);

} // namespace mlp::image
