// A program of the kernel's classic BPF: the number of the call is compared with those that are
// passed over, one by one; the two that make nodes are told apart by their mode.
#include "core/image/seccomp.hpp"

#include "core/base/error.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mlp::image {

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t own_architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t own_architecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t own_architecture = 0;
#endif

// ARM64 has only the newer of some pairs.
constexpr std::uint32_t passed_over[] = {
#ifdef __NR_chown
    __NR_chown,    __NR_lchown,
#endif
    __NR_fchown,   __NR_fchownat,       __NR_setuid,    __NR_setgid,    __NR_setreuid,
    __NR_setregid, __NR_setresuid,      __NR_setresgid, __NR_setgroups, __NR_setfsuid,
    __NR_setfsgid, __NR_capset,         __NR_fsync,     __NR_fdatasync, __NR_sync,
    __NR_syncfs,   __NR_sync_file_range};

constexpr std::uint32_t success = SECCOMP_RET_ERRNO; // with error number 0

// Its steps are few enough that every jump fits its eight bits.
class Program {
 public:
  void load(std::size_t at) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(at)); }
  void keep_bits(std::uint32_t bits) { add(BPF_ALU | BPF_AND | BPF_K, bits); }
  void end_with(std::uint32_t verdict) { add(BPF_RET | BPF_K, verdict); }
  // Ends with the verdict if what was loaded is `value`, else goes on.
  void if_equal(std::uint32_t value, std::uint32_t verdict) {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    end_with(verdict);
  }
  void if_other(std::uint32_t value, std::uint32_t verdict) {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
    end_with(verdict);
  }
  void if_at_least(std::uint32_t value, std::uint32_t verdict) {
    add(BPF_JMP | BPF_JGE | BPF_K, value, 0, 1);
    end_with(verdict);
  }
  // The call that makes nodes, whose mode is in the given argument: devices only in seeming.
  void if_makes_node(std::uint32_t call, std::size_t mode_argument) {
    constexpr std::uint8_t body = 7;
    add(BPF_JMP | BPF_JEQ | BPF_K, call, 0, body);
    load(offsetof(seccomp_data, args) + mode_argument * sizeof(std::uint64_t)); // its low half
    keep_bits(S_IFMT);
    if_equal(S_IFCHR, success);
    if_equal(S_IFBLK, success);
    end_with(SECCOMP_RET_ALLOW);
  }

  void install() {
    const sock_fprog program{.len = static_cast<unsigned short>(steps_.size()),
                             .filter = steps_.data()};
    if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
      throw system_error(errno, "set", "filter of system calls");
  }

 private:
  void add(int code, std::uint32_t value, std::uint8_t if_true = 0, std::uint8_t if_false = 0) {
    steps_.push_back(
        {.code = static_cast<std::uint16_t>(code), .jt = if_true, .jf = if_false, .k = value});
  }
  std::vector<sock_filter> steps_;
};

} // namespace

void pretend_root_calls() {
  if (own_architecture == 0)
    throw Error(ErrorKind::failed, "steps of a build run on x86-64 and ARM64 only");
  constexpr std::uint32_t no_such_call = SECCOMP_RET_ERRNO | ENOSYS;
  Program program;
  // Calls of another architecture (32-bit programs) have other numbers.
  program.load(offsetof(seccomp_data, arch));
  program.if_other(own_architecture, no_such_call);
  program.load(offsetof(seccomp_data, nr));
#ifdef __X32_SYSCALL_BIT
  program.if_at_least(__X32_SYSCALL_BIT, no_such_call);
#endif
  for (const std::uint32_t call : passed_over)
    program.if_equal(call, success);
#ifdef __NR_mknod
  program.if_makes_node(__NR_mknod, 1);
#endif
  program.if_makes_node(__NR_mknodat, 2);
  program.end_with(SECCOMP_RET_ALLOW);
  program.install();
}

} // namespace mlp::image
