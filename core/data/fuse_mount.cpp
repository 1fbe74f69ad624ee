// One function a request of the kernel, and a loop of threads that grows while all of them wait.
#include "core/data/fuse_mount.hpp"

#include "core/base/error.hpp"
#include "core/base/library.hpp"
#include "core/base/log.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/data/mount_point.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#define FUSE_USE_VERSION 35
#include <fuse3/fuse_lowlevel.h>

namespace mlp::data {

namespace {

constexpr double long_time = 86'400;
constexpr unsigned most_threads = 64;
constexpr std::size_t most_parts = 512;
constexpr std::chrono::seconds told_for{30};

// Only what is called, with the types of the header that it was compiled against.
struct Fuse {
  Library library{{"libfuse3.so.3"}, "libfuse3-3 fuse3"};
#define MLP_FUSE(name)                                                                             \
  decltype(::fuse_##name)* name = library.function<decltype(::fuse_##name)>("fuse_" #name)
  MLP_FUSE(session_new);
  MLP_FUSE(session_mount);
  MLP_FUSE(session_unmount);
  MLP_FUSE(session_destroy);
  MLP_FUSE(session_exit);
  MLP_FUSE(session_exited);
  MLP_FUSE(session_receive_buf);
  MLP_FUSE(session_process_buf);
  MLP_FUSE(set_log_func);
  MLP_FUSE(req_userdata);
  MLP_FUSE(req_interrupted);
  MLP_FUSE(reply_err);
  MLP_FUSE(reply_none);
  MLP_FUSE(reply_entry);
  MLP_FUSE(reply_attr);
  MLP_FUSE(reply_open);
  MLP_FUSE(reply_buf);
  MLP_FUSE(reply_iov);
  MLP_FUSE(reply_readlink);
  MLP_FUSE(reply_statfs);
  MLP_FUSE(add_direntry);
  MLP_FUSE(add_direntry_plus);
  MLP_FUSE(opt_free_args);
#undef MLP_FUSE
};

const Fuse& fuse() {
  static const Fuse loaded;
  return loaded;
}

// What libfuse says goes here: the reason of a mount that fails.
std::mutex said_mutex;
std::string said;

void on_log(enum fuse_log_level, const char* format, std::va_list arguments) {
  std::array<char, 512> line{};
  std::vsnprintf(line.data(), line.size(), format, arguments);
  const std::lock_guard lock(said_mutex);
  said = trim(line.data());
  if (said.starts_with("fuse: ")) said.erase(0, 6);
  log_debug("libfuse: " + said);
}

int errno_of(const Error& error) {
  return error.kind() == ErrorKind::conflict      ? ESTALE
         : error.kind() == ErrorKind::interrupted ? EINTR
                                                  : EIO;
}

} // namespace

struct FuseMount::Impl {
  Impl(MountView& view_given, const FuseOptions& options_given)
      : view(view_given), options(options_given) {}

  MountView& view;
  const FuseOptions options;
  fuse_session* session = nullptr;
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();

  std::mutex mutex;
  std::condition_variable_any ended;
  std::vector<std::thread> threads;
  unsigned idle = 0, alive = 0;

  std::mutex told_mutex;
  std::map<std::string, std::chrono::steady_clock::time_point> told;

  static Impl& of(fuse_req_t request) { return *static_cast<Impl*>(fuse().req_userdata(request)); }

  [[nodiscard]] struct stat stat_of(const NodeAttributes& of_node) const {
    struct stat info {};
    info.st_ino = of_node.node;
    info.st_uid = uid;
    info.st_gid = gid;
    info.st_nlink = 1;
    info.st_size = static_cast<off_t>(of_node.size);
    info.st_blksize = 128 * 1024;
    info.st_blocks = static_cast<blkcnt_t>((of_node.size + 511) / 512);
    const auto ms = of_node.time.time_since_epoch().count();
    info.st_mtim = {static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000 * 1'000'000)};
    info.st_atim = info.st_ctim = info.st_mtim;
    switch (of_node.type) {
    case EntryType::file:
      info.st_mode = S_IFREG | 0444;
      break;
    case EntryType::executable:
      info.st_mode = S_IFREG | 0555;
      break;
    case EntryType::symlink:
      info.st_mode = S_IFLNK | 0777;
      break;
    case EntryType::directory:
      info.st_mode = S_IFDIR | 0555;
      break;
    }
    return info;
  }

  // How long the kernel may keep what it learned below a directory. A path begins in the root
  // folder: where that is asked anew, all below is of one version.
  [[nodiscard]] double lifetime(NodeNumber directory) const {
    return options.follows && directory == root_node ? 0 : long_time;
  }

  [[nodiscard]] fuse_entry_param entry_of(const NodeAttributes& node, NodeNumber directory) const {
    fuse_entry_param entry{};
    entry.ino = node.node;
    entry.attr = stat_of(node);
    entry.attr_timeout = long_time;
    entry.entry_timeout = lifetime(directory);
    return entry;
  }

  void tell(const Error& error, std::string_view name) {
    if (error.kind() == ErrorKind::interrupted) return;
    const auto now = std::chrono::steady_clock::now();
    {
      const std::lock_guard lock(told_mutex);
      std::erase_if(told, [&](const auto& item) { return now - item.second > told_for; });
      if (told.size() >= 16 || !told.emplace(error.message(), now).second) return;
    }
    std::string text = fmt::format("cannot read '{}': {}", printable(name), error.message());
    for (const std::string& context : error.contexts())
      text += "; " + context;
    log_warning(text);
  }

  // Runs the body of a request; what it throws is the reply.
  template <class Body>
  static void answer(fuse_req_t request, std::string_view name, Body&& body) noexcept {
    try {
      const CancelScope scope([request] {
        return fuse().req_interrupted(request) != 0 || fuse().session_exited(of(request).session);
      });
      body(of(request));
    } catch (const Error& error) {
      try {
        of(request).tell(error, name);
      } catch (...) { // no memory for a message
      }
      fuse().reply_err(request, errno_of(error));
    } catch (const std::bad_alloc&) {
      fuse().reply_err(request, ENOMEM);
    } catch (...) {
      fuse().reply_err(request, EIO);
    }
  }

  static void init(void*, fuse_conn_info* connection) {
    connection->want &= ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_AUTO_INVAL_DATA);
    connection->want |= connection->capable & (FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_CACHE_SYMLINKS);
    // What is read ahead by the kernel may wait for the remote without stopping what need not.
    connection->max_background = 2 * most_threads;
    connection->congestion_threshold = 2 * most_threads;
  }

  static void lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
    answer(request, name, [&](Impl& impl) {
      const auto node = impl.view.look_up(parent, name);
      fuse_entry_param entry{};
      if (node)
        entry = impl.entry_of(*node, parent);
      else
        entry.entry_timeout = impl.lifetime(parent);
      if (fuse().reply_entry(request, &entry) != 0 && node) impl.view.forget(node->node, 1);
    });
  }

  static void forget(fuse_req_t request, fuse_ino_t node, std::uint64_t count) {
    of(request).view.forget(node, count);
    fuse().reply_none(request);
  }

  static void forget_multi(fuse_req_t request, std::size_t count, fuse_forget_data* all) {
    for (std::size_t i = 0; i < count; ++i)
      of(request).view.forget(all[i].ino, all[i].nlookup);
    fuse().reply_none(request);
  }

  static void getattr(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
    answer(request, "a file's attributes", [&](Impl& impl) {
      const struct stat info = impl.stat_of(impl.view.attributes(node));
      fuse().reply_attr(request, &info, node == root_node ? impl.lifetime(node) : long_time);
    });
  }

  static void readlink(fuse_req_t request, fuse_ino_t node) {
    answer(request, "a symbolic link", [&](Impl& impl) {
      fuse().reply_readlink(request, impl.view.link_target(node).c_str());
    });
  }

  static void open(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
    answer(request, "a file", [&](Impl& impl) {
      if ((info->flags & O_ACCMODE) != O_RDONLY) {
        fuse().reply_err(request, EROFS);
        return;
      }
      std::unique_ptr<MountedFile> file = impl.view.open(node);
      info->fh = reinterpret_cast<std::uintptr_t>(file.get());
      info->keep_cache = 1; // a node's bytes never change
      if (fuse().reply_open(request, info) == 0) static_cast<void>(file.release());
    });
  }

  static MountedFile& file_of(const fuse_file_info* info) {
    return *reinterpret_cast<MountedFile*>(static_cast<std::uintptr_t>(info->fh));
  }

  static void read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset,
                   fuse_file_info* info) {
    MountedFile& file = file_of(info);
    answer(request, file.name(), [&](Impl&) {
      const auto pieces = file.read(static_cast<std::uint64_t>(offset), size);
      std::vector<struct iovec> parts;
      parts.reserve(pieces.size());
      for (const MountedFile::Piece& piece : pieces)
        parts.push_back({const_cast<std::byte*>(piece.bytes.data()), piece.bytes.size()});
      if (parts.size() > most_parts) { // more than one writev takes
        Bytes joined;
        joined.reserve(size);
        for (const MountedFile::Piece& piece : pieces)
          joined.insert(joined.end(), piece.bytes.begin(), piece.bytes.end());
        fuse().reply_buf(request, reinterpret_cast<const char*>(joined.data()), joined.size());
      } else {
        fuse().reply_iov(request, parts.data(), static_cast<int>(parts.size()));
      }
    });
  }

  static void release(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    delete &file_of(info);
    fuse().reply_err(request, 0);
  }

  struct OpenDirectory {
    std::mutex mutex;
    std::unique_ptr<MountedDirectory> items;
  };
  static OpenDirectory& directory_of(const fuse_file_info* info) {
    return *reinterpret_cast<OpenDirectory*>(static_cast<std::uintptr_t>(info->fh));
  }

  static void opendir(fuse_req_t request, fuse_ino_t node, fuse_file_info* info) {
    answer(request, "a folder", [&](Impl& impl) {
      auto directory = std::make_unique<OpenDirectory>();
      directory->items = impl.view.open_directory(node);
      info->fh = reinterpret_cast<std::uintptr_t>(directory.get());
      info->cache_readdir = info->keep_cache = impl.lifetime(node) > 0 ? 1 : 0;
      if (fuse().reply_open(request, info) == 0) static_cast<void>(directory.release());
    });
  }

  static void releasedir(fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    delete &directory_of(info);
    fuse().reply_err(request, 0);
  }

  // Offset 0 is ".", 1 is "..", then the entries.
  static void list(fuse_req_t request, fuse_ino_t node, std::size_t size, off_t offset,
                   fuse_file_info* info, bool plus) {
    answer(request, "a folder", [&](Impl& impl) {
      OpenDirectory& directory = directory_of(info);
      std::unique_lock lock(directory.mutex);
      std::vector<char> buffer(std::min<std::size_t>(size, 1u << 20));
      std::size_t used = 0;
      // False if there is no more room.
      const auto add = [&](const char* name, const fuse_entry_param& entry) {
        const std::size_t left = buffer.size() - used;
        const std::size_t need = plus ? fuse().add_direntry_plus(request, buffer.data() + used,
                                                                 left, name, &entry, offset + 1)
                                      : fuse().add_direntry(request, buffer.data() + used, left,
                                                            name, &entry.attr, offset + 1);
        if (need > left) return false;
        used += need;
        ++offset;
        return true;
      };
      for (bool room = true; room && offset < 2;) {
        fuse_entry_param dots{}; // no node: the kernel knows them
        dots.attr.st_ino = node;
        dots.attr.st_mode = S_IFDIR;
        room = add(offset == 0 ? "." : "..", dots);
      }
      while (offset >= 2) {
        std::optional<MountedDirectory::Item> item;
        try {
          item = directory.items->at(static_cast<std::uint64_t>(offset - 2), plus);
        } catch (const Error&) {
          if (used == 0) throw;
          break; // what was gathered first; the next call fails
        }
        if (!item) break;
        if (add(item->name.c_str(), impl.entry_of(item->attributes, node))) continue;
        if (plus) impl.view.forget(item->attributes.node, 1);
        break;
      }
      lock.unlock(); // once the reply is out, the kernel may release the directory
      fuse().reply_buf(request, buffer.data(), used);
    });
  }
  static void readdir(fuse_req_t request, fuse_ino_t node, std::size_t size, off_t offset,
                      fuse_file_info* info) {
    list(request, node, size, offset, info, false);
  }
  static void readdirplus(fuse_req_t request, fuse_ino_t node, std::size_t size, off_t offset,
                          fuse_file_info* info) {
    list(request, node, size, offset, info, true);
  }

  static void statfs(fuse_req_t request, fuse_ino_t) {
    answer(request, "the dataset", [&](Impl& impl) {
      const Totals totals = impl.view.totals();
      struct statvfs info {};
      info.f_bsize = info.f_frsize = 4096;
      info.f_blocks = totals.bytes / 4096 + 1;
      info.f_files = totals.files + totals.directories + 1;
      info.f_namemax = max_name_bytes;
      fuse().reply_statfs(request, &info);
    });
  }

  static const fuse_lowlevel_ops& operations() {
    static const fuse_lowlevel_ops all = [] {
      fuse_lowlevel_ops ops{};
      ops.init = init;
      ops.lookup = lookup;
      ops.forget = forget;
      ops.forget_multi = forget_multi;
      ops.getattr = getattr;
      ops.readlink = readlink;
      ops.open = open;
      ops.read = read;
      ops.release = release;
      ops.opendir = opendir;
      ops.readdir = readdir;
      ops.readdirplus = readdirplus;
      ops.releasedir = releasedir;
      ops.statfs = statfs;
      return ops;
    }();
    return all;
  }

  void start_thread() { // with `mutex` held
    ++alive;
    ++idle;
    threads.emplace_back([this] { work(); });
  }

  void work() {
    fuse_buf buffer{};
    while (fuse().session_exited(session) == 0) {
      const int got = fuse().session_receive_buf(session, &buffer);
      if (got == -EINTR || got == -EAGAIN) continue;
      if (got <= 0) break;
      {
        const std::lock_guard lock(mutex);
        if (--idle == 0 && threads.size() < most_threads) {
          try {
            start_thread();
          } catch (const std::system_error&) { // no more threads: those that are there go on
            --alive;
            --idle;
          }
        }
      }
      fuse().session_process_buf(session, &buffer);
      const std::lock_guard lock(mutex);
      ++idle;
    }
    std::free(buffer.mem);
    fuse().session_exit(session);
    const std::lock_guard lock(mutex);
    --alive;
    ended.notify_all();
  }
};

namespace {

void check_can_mount() {
  const File device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!device.is_open()) {
    const int code = errno;
    if (code != ENOENT && code != ENODEV && code != ENXIO && code != EPERM)
      throw system_error(code, "open", "/dev/fuse")
          .with_hint("its mode is 0666 as a rule: chmod 666 /dev/fuse");
    throw Error(code == EPERM ? ErrorKind::denied : ErrorKind::not_found,
                code == EPERM ? "not allowed to use /dev/fuse"
                              : "there is no /dev/fuse: this system cannot mount datasets")
        .with_hint("load the kernel's module: modprobe fuse")
        .with_hint("in a container: --device /dev/fuse --cap-add SYS_ADMIN");
  }
  if (::geteuid() == 0 || find_program("fusermount3")) return;
  throw Error(ErrorKind::not_found, "fusermount3 is not installed")
      .with_hint("install it: apt install fuse3");
}

void on_wake(int) {}

} // namespace

FuseMount::FuseMount(MountView& view, const FuseOptions& options)
    : impl_(std::make_unique<Impl>(view, options)) {
  check_can_mount();
  fuse().set_log_func(on_log);
  // A signal that is ignored by default and, with a handler, ends a read that waits.
  struct sigaction wake {};
  wake.sa_handler = on_wake;
  ::sigaction(SIGURG, &wake, nullptr);

  std::string words =
      fmt::format("ro,nosuid,nodev,noatime,default_permissions,fsname={},subtype=mlp{}",
                  options.source, options.allow_other ? ",allow_other" : "");
  std::string name = "mlp", flag = "-o";
  std::array<char*, 4> arguments{name.data(), flag.data(), words.data(), nullptr};
  fuse_args parsed{3, arguments.data(), 0};
  impl_->session =
      fuse().session_new(&parsed, &Impl::operations(), sizeof(fuse_lowlevel_ops), impl_.get());
  const bool mounted = impl_->session != nullptr &&
                       fuse().session_mount(impl_->session, options.folder.c_str()) == 0;
  if (!mounted) {
    if (impl_->session != nullptr) fuse().session_destroy(impl_->session);
    const std::lock_guard lock(said_mutex);
    Error error(ErrorKind::failed, fmt::format("cannot mount at '{}'{}{}", options.folder.native(),
                                               said.empty() ? "" : ": ", printable(said)));
    if (options.allow_other && ::geteuid() != 0)
      error.add_hint("--allow-other needs 'user_allow_other' in /etc/fuse.conf");
    throw error;
  }
  try {
    const std::lock_guard lock(impl_->mutex);
    impl_->start_thread();
  } catch (...) {
    fuse().session_unmount(impl_->session);
    fuse().session_destroy(impl_->session);
    throw;
  }
}

FuseMount::~FuseMount() {
  bool served = false;
  {
    const std::lock_guard lock(impl_->mutex);
    served = impl_->alive != 0;
  }
  if (served) {
    try {
      static_cast<void>(unmount(impl_->options.folder, true));
    } catch (const std::exception&) { // somebody was quicker
    }
  }
  fuse().session_exit(impl_->session);
  std::unique_lock lock(impl_->mutex);
  while (impl_->alive != 0) {
    for (std::thread& thread : impl_->threads)
      ::pthread_kill(thread.native_handle(), SIGURG);
    impl_->ended.wait_for(lock, std::chrono::milliseconds(20));
  }
  lock.unlock();
  for (std::thread& thread : impl_->threads)
    thread.join();
  fuse().session_destroy(impl_->session); // and whoever still reads gets ENOTCONN
}

bool FuseMount::wait_until_unmounted(std::chrono::milliseconds timeout,
                                     const std::stop_token& stop) {
  std::unique_lock lock(impl_->mutex);
  return impl_->ended.wait_for(lock, stop, timeout, [&] { return impl_->alive == 0; });
}

} // namespace mlp::data
