// The kernel's mount interface by descriptors, which older C libraries do not have. Internal to
// core/image; each throws Error (system_error) that names what it was about.
// Sources: open_tree(2), move_mount(2), mount_setattr(2), fsopen(2) of Linux 5.2 to 5.12.
#pragma once

#include "core/base/fs.hpp"

#include <string>

namespace mlp::image {

// A copy of the mount at `path`, with what is mounted below it, that is nowhere yet.
[[nodiscard]] File copy_mount(const std::string& path);
// A new file system that is nowhere yet. Options as mount(8) has them: "mode=0755".
[[nodiscard]] File new_mount(const std::string& type, const std::string& options = {});
// Read-only from now on; with all below it if `recursive`.
void make_read_only(const File& mount, bool recursive);
// Puts a mount at the file or folder that `target` (O_PATH) is.
void place_mount(const File& mount, const File& target);

// mount(2) and pivot_root(2).
void mount_at(const char* source, const char* target, const char* type, unsigned long flags,
              const char* options);
void pivot_to(const char* root, const char* old_place);

// What `path` is below the root `root` (O_PATH), where no link leads out of it. -1 and errno if it
// cannot be opened. Flags as open(2) has them, with O_CLOEXEC added.
[[nodiscard]] int open_in_root(const File& root, const std::string& path, int flags) noexcept;

} // namespace mlp::image
