// A program in a root file system of its own: user, mount, PID, IPC and UTS namespaces, overlay
// over the layers of an image, no privilege outside. For steps of a build and for containers.
// Sources: namespaces(7), user_namespaces(7), pivot_root(2), seccomp(2);
// docs.kernel.org/filesystems/overlayfs.html; OCI Runtime Specification 1.1, config-linux.md
// (default devices and masked paths).
#pragma once

#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/base/json_fwd.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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
  // Where changes go, and the overlay's work folder beside it, on one file system; both are there.
  // Empty: they are gone with the container. Mount points that no layer has are in none of them:
  // they lie in a layer of their own below the base, or are removed from `upper` in the end.
  fs::path upper, work;
  bool read_only = false; // the root file system; /tmp and /run are then a tmpfs each

  std::vector<std::string> arguments;             // [0] is looked up in the container's PATH
  std::map<std::string, std::string> environment; // HOME and PATH get values if they have none
  // Variables of the process that calls run_container() which are passed on, and win: their values
  // (secrets among them) stand in no document.
  std::vector<std::string> inherited;
  std::string workdir = "/";     // made if it is not there
  std::string user;              // "", NAME, UID, with ":GROUP": looked up in the container's files
  std::vector<BindMount> mounts; // the less deep ones first, whatever their order here
  std::vector<fs::path> devices; // nodes of the host that are seen at the same path
  bool network = false;          // the host's; else only a loopback of its own
  std::string hostname = "mlp";  // empty: the host's
  bool signal_group = false;     // what is handed on goes to the program's whole process group
  // chown, mknod of devices and changes of user seem to succeed and do nothing, sync is passed
  // over: installers run to their end without privilege, with the same result for every user.
  bool pretend_root = false;
};

[[nodiscard]] Json to_json(const ContainerSpec& spec);
// Throws Error(config) that names `what`.
[[nodiscard]] ContainerSpec container_spec_from_json(const Json& json, std::string_view what);

// Why containers cannot be had here (the kernel's setting, and what to change), or nullopt.
[[nodiscard]] std::optional<std::string> container_obstacle();

// The program was not started: exit_code 127 if it is not in the image, 126 if it cannot be
// executed, as shells have it.
class ProgramError : public Error {
 public:
  ProgramError(Error error, int code) : Error(std::move(error)), exit_code_(code) {}
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

 private:
  int exit_code_;
};

// Becomes the container: this process, which must have one thread, enters new namespaces, starts
// the program as a child of a first process there, hands on signals (SIGTERM, SIGINT, SIGHUP,
// SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH) and waits. Returns the program's exit code, 128 + signal for
// a death by signal. When this process dies, all in the container does. On a terminal whose
// foreground it has, the program stays in this process's group; else it heads one of its own.
//
// One id is mapped, ours: inside it is root, or the user of the specification. Root keeps the
// capabilities that Docker's containers have, and they hold inside only.
//
// Throws Error: denied with the remedy where the kernel forbids it; not_found for a layer or source
// of a mount; failed; ProgramError. To be called once; nothing else is possible after it.
[[nodiscard]] int run_container(const ContainerSpec& spec);

} // namespace mlp::image
