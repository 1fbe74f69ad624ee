// Who a container's program is, looked up in the image's own files. Internal to core/image.
#pragma once

#include "core/image/container.hpp"

#include <sys/types.h>

#include <string>

namespace mlp::image {

struct ContainerUser {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home = "/";
};

// Reads etc/passwd and etc/group of the uppermost layer that has them. Throws Error(not_found) for
// a name that is not there, Error(config) for what is no user.
[[nodiscard]] ContainerUser find_container_user(const ContainerSpec& spec);

} // namespace mlp::image
