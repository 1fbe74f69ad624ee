// The host's root goes below /host of a small tmpfs, the new root is put together at /root beside
// it, and then is all that is left: so nothing of the host is hidden while it is still needed. What
// the layers do not have as mount points lies in a layer below them all.
#include "core/image/root_file_system.hpp"

#include "core/base/text.hpp"
#include "core/image/mount_calls.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace mlp::image {

namespace {

const std::string host = "/host"; // what the host's paths begin with, once staged
constexpr int most_links = 40;

[[nodiscard]] fs::path real_path(const fs::path& path, std::string_view what) {
  std::error_code code;
  fs::path real = fs::canonical(path, code);
  if (code) throw system_error(code.value(), "find", path.native()).with_context(std::string(what));
  return real;
}

std::ptrdiff_t depth(const std::string& path) {
  return std::count(path.begin(), path.end(), '/');
}

bool is_folder(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) throw system_error(errno, "find", path);
  return S_ISDIR(info.st_mode);
}

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

void make_folder(const std::string& path, unsigned mode = 0755) {
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
    throw system_error(errno, "create folder", path);
}

void make_link(const std::string& target, const std::string& path) {
  if (::symlink(target.c_str(), path.c_str()) != 0) throw system_error(errno, "create link", path);
}

// The host's root is below /host from here on, and the working folder is /l.
void stage() {
  if (::unshare(CLONE_NEWNS) != 0) throw system_error(errno, "enter", "a mount namespace");
  mount_at("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  mount_at("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
  if (::chdir("/tmp") != 0) throw system_error(errno, "enter folder", "/tmp");
  for (const char* folder : {"host", "root", "l", "l/points", "l/upper", "l/work", "l/empty"})
    make_folder(folder);
  pivot_to(".", "host");
  if (::chdir("/l") != 0) throw system_error(errno, "enter folder", "/l");
}

class Root {
 public:
  explicit Root(const ContainerSpec& spec) : spec_(spec) {}

  std::vector<std::string> enter() {
    plan();
    stack();
    add_devices();
    add_kernel_folders();
    for (const Addition& addition : additions_) {
      const File mount =
          addition.source.empty() ? new_mount("tmpfs", "mode=1777") : copy_mount(addition.source);
      if (addition.read_only) make_read_only(mount, true);
      place(mount, addition.target, addition.folder);
    }
    for (const fs::path& device : spec_.devices)
      place(copy_mount(host + device.native()), device.native(), false);
    if (spec_.read_only) make_read_only(root_, false);
    if (::fchdir(root_.fd()) != 0) throw system_error(errno, "enter folder", "/");
    pivot_to(".", ".");
    if (::umount2(".", MNT_DETACH) != 0) throw system_error(errno, "leave", "the host's root");
    if (::chdir("/") != 0) throw system_error(errno, "enter folder", "/");
    return std::move(made_);
  }

 private:
  struct Addition {
    std::string source; // in the stage; empty: a tmpfs
    std::string target;
    bool folder = true;
    bool read_only = false;
  };

  void plan() {
    // Copies: what a container writes to them is not the host's.
    if (spec_.network) {
      for (const char* path : {"/etc/hosts", "/etc/resolv.conf"})
        if (exists(host + path)) add_text(path, read_file(host + path, 1u << 20));
    } else {
      add_text("/etc/hosts", fmt::format("127.0.0.1 localhost\n::1 localhost\n127.0.0.1 {}\n",
                                         spec_.hostname.empty() ? "localhost" : spec_.hostname));
    }
    if (spec_.read_only)
      for (const char* path : {"/tmp", "/run"})
        additions_.push_back({.source = {}, .target = path});
    for (const BindMount& mount : spec_.mounts) {
      const std::string source = host + mount.source.native();
      additions_.push_back({.source = source,
                            .target = mount.target,
                            .folder = is_folder(source),
                            .read_only = mount.read_only});
    }
  }

  void add_text(const std::string& path, const std::string& text) {
    const std::string copy = "/l/" + fs::path(path).filename().native();
    File::create(copy).write(text);
    additions_.push_back({.source = copy, .target = path, .folder = false});
  }

  // Mount points for what the image may lack. Where it has a link or whiteout in the way,
  // mount_point() makes them in the upper folder.
  void make_points() {
    for (const char* folder : {"dev", "proc", "sys", "tmp"})
      make_folder(fmt::format("points/{}", folder));
    ::chmod("points/tmp", 01777);
    if (spec_.read_only) { // it could not be made later
      std::error_code ignored;
      fs::create_directories("points" + spec_.workdir, ignored);
    }
    for (const Addition& addition : additions_) {
      const fs::path point = "points" + addition.target;
      std::error_code code;
      fs::create_directories(addition.folder ? point : point.parent_path(), code);
      if (!addition.folder && !code)
        File(::open(point.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    }
  }

  // The overlay's options must fit a page, so layers are named by short links.
  void stack() {
    make_points();
    std::string lower;
    for (std::size_t i = spec_.layers.size(); i-- > 0;) {
      make_link(host + spec_.layers[i].native(), std::to_string(i));
      lower += fmt::format("{}:", i);
    }
    std::string upper = "upper", work = "work";
    if (!spec_.upper.empty()) {
      make_link(host + spec_.upper.native(), upper = "u");
      make_link(host + spec_.work.native(), work = "w");
    }
    const std::string options =
        fmt::format("lowerdir={}points,upperdir={},workdir={},userxattr", lower, upper, work);
    try {
      mount_at("overlay", "/root", "overlay", 0, options.c_str());
    } catch (Error& error) {
      error.add_context(fmt::format("while stacking {} layers", spec_.layers.size()));
      error.add_hint("the kernel's overlay file system must be there (modprobe overlay), and the "
                     "layers' folder must not lie on NFS or on another overlay");
      throw;
    }
    root_ = File(::open("/root", O_PATH | O_DIRECTORY | O_CLOEXEC), "/");
    if (!root_.is_open()) throw system_error(errno, "open", "/root");
    struct stat info {};
    if (::fstat(root_.fd(), &info) != 0) throw system_error(errno, "open", "/root");
    device_ = info.st_dev;
  }

  void add_devices() {
    const File dev = new_mount("tmpfs", "mode=0755");
    place(dev, "/dev", true);
    for (const char* name : {"null", "zero", "full", "random", "urandom", "tty"}) {
      if (!exists(fmt::format("/host/dev/{}", name))) continue;
      place(copy_mount(fmt::format("/host/dev/{}", name)), fmt::format("/dev/{}", name), false);
    }
    make_folder("/root/dev/pts");
    place(new_mount("devpts", "newinstance,ptmxmode=0666,mode=0620"), "/dev/pts", true);
    make_folder("/root/dev/shm");
    ::chmod("/root/dev/shm", 01777);
    make_link("pts/ptmx", "/root/dev/ptmx");
    make_link("/proc/self/fd", "/root/dev/fd");
    make_link("/proc/self/fd/0", "/root/dev/stdin");
    make_link("/proc/self/fd/1", "/root/dev/stdout");
    make_link("/proc/self/fd/2", "/root/dev/stderr");
    if (spec_.pretend_root) // apt would check that it is no longer root
      File::create("/root/dev/apt.conf").write("APT::Sandbox::User \"root\";\n");
  }

  void add_kernel_folders() {
    place(new_proc(), "/proc", true);
    const File sys = copy_mount("/host/sys");
    make_read_only(sys, true);
    place(sys, "/sys", true);
    for (const char* path :
         {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}) {
      if (!exists(fmt::format("/root{}", path))) continue;
      const File copy = copy_mount(fmt::format("/root{}", path));
      make_read_only(copy, true);
      place(copy, path, is_folder(fmt::format("/root{}", path)));
    }
    for (const char* path :
         {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
          "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
          "/sys/firmware", "/sys/devices/virtual/powercap"}) {
      if (!exists(fmt::format("/root{}", path))) continue;
      const bool folder = is_folder(fmt::format("/root{}", path));
      const File mask = copy_mount(folder ? "/l/empty" : "/host/dev/null");
      if (folder) make_read_only(mask, false);
      place(mask, path, folder);
    }
  }

  // Where an outer container hides parts of /proc, the kernel allows no new one: then the outer one
  // is seen, with its process ids.
  [[nodiscard]] static File new_proc() {
    try {
      return new_mount("proc");
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::denied) throw;
      return copy_mount("/host/proc");
    }
  }

  void place(const File& mount, const std::string& target, bool folder) {
    place_mount(mount, mount_point(target, folder));
  }

  [[nodiscard]] File mount_point(std::string path, bool folder) {
    for (int links = 0; links < most_links; ++links) {
      File point(open_in_root(root_, path, O_PATH), path);
      if (point.is_open()) {
        struct stat info {};
        if (::fstat(point.fd(), &info) != 0) throw system_error(errno, "find", path);
        if (S_ISDIR(info.st_mode) == folder) return point;
        throw Error(ErrorKind::failed,
                    fmt::format("cannot mount a {} at '{}', which is a {} in the image",
                                folder ? "folder" : "file", path, folder ? "file" : "folder"));
      }
      if (errno != ENOENT) throw system_error(errno, "mount at", path);
      path = make_point(path, folder);
    }
    throw system_error(ELOOP, "mount at", path);
  }

  // Makes what is missing of a path; or returns where a link on the way leads.
  std::string make_point(const std::string& path, bool folder) {
    const std::vector<std::string> parts = split(path, '/');
    std::string so_far = "/";
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].empty()) continue;
      const bool last = i + 1 == parts.size();
      const std::string next = (so_far == "/" ? so_far : so_far + "/") + parts[i];
      if (File(open_in_root(root_, next, O_PATH)).is_open()) {
        so_far = next;
        continue;
      }
      if (const std::string link = link_target(next); !link.empty()) {
        fs::path onward = link.front() == '/' ? fs::path(link) : fs::path(so_far) / link;
        for (std::size_t k = i + 1; k < parts.size(); ++k)
          onward /= parts[k];
        return onward.lexically_normal().native();
      }
      make_entry(so_far, parts[i], folder || !last);
      so_far = next;
    }
    return path;
  }

  [[nodiscard]] std::string link_target(const std::string& path) const {
    const File link(open_in_root(root_, path, O_PATH | O_NOFOLLOW));
    std::array<char, 4096> target{};
    const ssize_t n =
        link.is_open() ? ::readlinkat(link.fd(), "", target.data(), target.size()) : -1;
    return n > 0 ? std::string(target.data(), static_cast<std::size_t>(n)) : std::string();
  }

  void make_entry(const std::string& parent, const std::string& name, bool folder) {
    const File place(open_in_root(root_, parent, O_PATH | O_DIRECTORY), parent);
    if (!place.is_open()) throw system_error(errno, "mount at", parent);
    if (folder ? ::mkdirat(place.fd(), name.c_str(), 0755) != 0
               : !File(::openat(place.fd(), name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC,
                                0644))
                      .is_open())
      throw system_error(errno, "make mount point", fmt::format("{}/{}", parent, name));
    struct stat info {};
    if (::fstat(place.fd(), &info) != 0 || info.st_dev != device_) return;
    std::error_code ignored; // "/root/etc": where it really is, without links
    const fs::path real =
        fs::read_symlink(fmt::format("/host/proc/self/fd/{}", place.fd()), ignored);
    if (real.native().starts_with("/root"))
      made_.push_back((real.lexically_relative("/root") / name).lexically_normal().native());
  }

  const ContainerSpec& spec_;
  std::vector<Addition> additions_;
  File root_;
  dev_t device_ = 0; // of the overlay
  std::vector<std::string> made_;
};

} // namespace

ContainerSpec with_real_paths(ContainerSpec spec) {
  for (fs::path& layer : spec.layers)
    layer = real_path(layer, "while opening a layer");
  if (!spec.upper.empty()) {
    spec.upper = real_path(spec.upper, "while opening the folder of changes");
    spec.work = real_path(spec.work, "while opening the overlay's work folder");
  }
  spec.workdir = fs::path(spec.workdir).lexically_normal().native(); // no "..": it is the image's
  for (BindMount& mount : spec.mounts) {
    mount.source = real_path(mount.source, fmt::format("while mounting it at '{}'", mount.target));
    mount.target = fs::path(mount.target).lexically_normal().native();
    while (mount.target.size() > 1 && mount.target.ends_with('/'))
      mount.target.pop_back();
    if (!mount.target.starts_with('/') || mount.target == "/")
      throw Error(ErrorKind::config,
                  fmt::format("'{}' is no place for a mount", printable(mount.target)))
          .with_hint("it must be an absolute path below /");
  }
  std::stable_sort(
      spec.mounts.begin(), spec.mounts.end(),
      [](const BindMount& a, const BindMount& b) { return depth(a.target) < depth(b.target); });
  for (const fs::path& device : spec.devices)
    static_cast<void>(real_path(device, "while adding a device"));
  return spec;
}

std::vector<std::string> enter_root(const ContainerSpec& spec) {
  stage();
  return Root(spec).enter();
}

} // namespace mlp::image
