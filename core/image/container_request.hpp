// What a container of an image is started with: the image's own defaults, and what a person says.
// Sources: OCI Image Format Specification 1.1, config.md ("Entrypoint", "Cmd"); docker-run(1).
#pragma once

#include "core/image/container.hpp"
#include "core/image/gpu_devices.hpp"
#include "core/image/layout.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

struct ContainerRequest {
  std::vector<std::string> command;      // in place of the image's command; empty: that one
  std::optional<std::string> entrypoint; // in place of the image's, whose command then goes too
  std::map<std::string, std::string> environment;
  std::vector<std::string> inherited; // names of variables that are passed on
  std::string workdir, user;          // empty: the image's
  std::vector<BindMount> mounts;
  GpuAccess gpus;
  bool network = true;
  bool read_only = false;
};

// `layers` as UnpackedLayers::ensure() returns them. With the host's network it has the host's name
// too. Throws Error(config) if neither says what to run.
[[nodiscard]] ContainerSpec container_of(const Image& image, std::vector<fs::path> layers,
                                         const ContainerRequest& request);

// "SOURCE:TARGET[:ro|rw]", SOURCE relative to the current folder. Throws Error(usage).
[[nodiscard]] BindMount parse_volume(std::string_view text);

} // namespace mlp::image
