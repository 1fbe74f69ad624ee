// A program in a root file system of its own: user, mount, PID, IPC and UTS namespaces, overlay
// over the layers of an image, no privilege outside. For steps of a build and for containers.
// Sources: namespaces(7), user_namespaces(7), pivot_root(2), seccomp(2);
// docs.kernel.org/filesystems/overlayfs.html; OCI Runtime Specification 1.1, config-linux.md
// (default devices and masked paths).
#pragma once

#include "core/base/fs.hpp"
#include "core/base/json_fwd.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mlp::image {

struct BindMount {
  fs::path source;    // on the host, absolute
  std::string target; // in the container, absolute; made if it is not there
  bool read_only = false;
  bool operator==(const BindMount&) const = default;
};

struct ContainerSpec {
  std::vector<fs::path> layers; // unpacked (see unpack.hpp), the base first
  // Where changes go, and the overlay's work folder beside it, on one file system. Empty: a tmpfs
  // that is gone with the container.
  fs::path upper, work;
  bool read_only = false; // the root file system

  std::vector<std::string> arguments; // [0] is looked up in the container's PATH
  std::map<std::string, std::string> environment;
  std::string workdir = "/"; // made if it is not there
  std::string user;          // "", NAME, UID, with ":GROUP": looked up in the container's files
  std::vector<BindMount> mounts;
  std::vector<fs::path> devices; // nodes of the host that are seen at the same path
  bool network = false;          // the host's; else only a loopback of its own
  std::string hostname = "mlp";
  // chown, mknod of devices and changes of user seem to succeed and do nothing, sync is passed
  // over: installers run to their end without privilege, with the same result for every user.
  bool pretend_root = false;
};

[[nodiscard]] Json to_json(const ContainerSpec& spec);
// Throws Error(config) that names `what`.
[[nodiscard]] ContainerSpec container_spec_from_json(const Json& json, std::string_view what);

// Why containers cannot be had here (the kernel's setting, and what to change), or nullopt.
[[nodiscard]] std::optional<std::string> container_obstacle();

// Becomes the container: this process, which must have one thread, enters new namespaces, starts
// the program as a child of a first process there, hands on signals (SIGTERM, SIGINT, SIGHUP,
// SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH) and waits. Returns the program's exit code, 128 + signal for
// a death by signal. When this process dies, all in the container does. Throws Error: denied with
// the remedy where the kernel forbids it; not_found for a program or folder that is not in the
// image (as exit codes 127 and 126 say in shells); failed.
[[nodiscard]] int run_container(const ContainerSpec& spec);

} // namespace mlp::image
