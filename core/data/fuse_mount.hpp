// A MountView as a file system of the kernel, by the low-level interface of libfuse 3, which is
// loaded when the first mount is made. Source: <fuse_lowlevel.h> of libfuse 3.14.
#pragma once

#include "core/base/fs.hpp"
#include "core/data/mount_view.hpp"

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

namespace mlp::data {

struct FuseOptions {
  fs::path folder;          // see prepare_mount_point()
  std::string source;       // what `mount` shows: "digits@3ee313bb7021"
  bool follows = false;     // the view's version may be exchanged
  bool allow_other = false; // other users may read it too
};

// Mounted from construction on, and served by threads of its own: as many as there are requests
// that wait, at most 64, so that what has to wait for a remote holds up nothing else. Errors of the
// view become EIO, ESTALE or EINTR for whoever reads, and a warning.
class FuseMount {
 public:
  // `view` outlives it. Throws Error: not_found (libfuse, fusermount3, /dev/fuse), denied, failed.
  FuseMount(MountView& view, const FuseOptions& options);
  // Unmounts, whoever still uses it.
  ~FuseMount();
  FuseMount(FuseMount&&) = delete;

  // True once it is unmounted, by whomever; false when the time is up or the token stopped.
  bool wait_until_unmounted(std::chrono::milliseconds timeout, const std::stop_token& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace mlp::data
