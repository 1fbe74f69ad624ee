// Namespaces that this process enters, and why it may not. Internal to core/image but for
// container_obstacle(), which container.hpp declares.
#pragma once

#include "core/image/container_user.hpp"

namespace mlp::image {

// Enters new user, IPC and UTS namespaces, and a network namespace of its own unless `network`; the
// next child is the first process of a new PID namespace. This process is then the given user
// there, and still sees the host's files. Throws Error(denied) with the remedy. One thread only.
void enter_namespaces(const ContainerUser& user, bool network);

// Brings the loopback interface of a new network namespace up.
void raise_loopback();

// Whether this kernel is at least of that version.
[[nodiscard]] bool kernel_at_least(int major, int minor);

} // namespace mlp::image
