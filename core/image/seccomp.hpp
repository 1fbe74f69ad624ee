// The filter of system calls under which installers run without privilege. Internal to core/image.
// Sources: seccomp(2); docs.kernel.org/userspace-api/seccomp_filter.html. The idea is that of
// Charliecloud's root emulation.
#pragma once

namespace mlp::image {

// From here on this process and its children get success from calls that change owners, users,
// groups and capabilities, that make device nodes or that wait for disks, and nothing is done.
// Needs no_new_privs. Throws Error: failed for a processor that is neither x86-64 nor ARM64, denied
// where the kernel refuses filters.
void pretend_root_calls();

} // namespace mlp::image
