// The flags of RUN: mounts and network. For the sources beside it.
#pragma once

#include "core/image/dockerfile.hpp"
#include "core/image/dockerfile_words.hpp"

#include <functional>
#include <string>
#include <vector>

namespace mlp::image {

struct RunFlags {
  std::vector<SecretMount> secrets;
  std::vector<std::string> scratch_folders;
  bool network = true;
};
// `expand` replaces the variables of a mount's values.
[[nodiscard]] RunFlags run_flags(const Instruction& instruction, const DockerfilePlace& place,
                                 const std::function<std::string(const std::string&)>& expand);

} // namespace mlp::image
