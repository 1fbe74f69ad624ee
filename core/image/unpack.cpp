// A layer is unpacked under a lock of its own, into a name beside its last one. The lock's file
// also says when the layer was last asked for.
#include "core/image/unpack.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/text.hpp"
#include "core/config/settings.hpp"
#include "core/image/layer_reader.hpp"
#include "core/image/unpack_tree.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <exception>
#include <mutex>
#include <string>
#include <thread>

namespace mlp::image {

namespace {

constexpr std::size_t hex_digits = 24;
constexpr auto longest_wait = std::chrono::hours(1); // for another process that unpacks a layer
constexpr unsigned most_threads = 4;
constexpr std::string_view lock_ending = ".lock", part_ending = ".part";

std::string key_of(const Digest& diff_id) {
  return diff_id.hex().substr(0, hex_digits);
}
bool is_key(std::string_view name) {
  return name.size() == hex_digits && name.find_first_not_of("0123456789abcdef") == name.npos;
}

fs::path with_ending(fs::path path, std::string_view ending) {
  path += ending;
  return path;
}

// What was unpacked survives a crash of the machine once its name says that it is whole.
void sync_file_system(const fs::path& folder) {
  const File open = File(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!open.is_open() || ::syncfs(open.fd()) != 0)
    throw system_error(errno, "write", folder.native());
}

void note_use(const fs::path& lock) {
  ::utimensat(AT_FDCWD, lock.c_str(), nullptr, 0);
}

// Calls `work` with 0 … count-1, from several threads. The first Error is thrown when all have
// ended; the others then begin nothing more.
template <class Work>
void share_out(std::size_t count, Work&& work) {
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto loop = [&] {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        next = count;
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    const unsigned wanted = std::clamp(std::thread::hardware_concurrency(), 1u, most_threads);
    for (std::size_t i = 1; i < std::min<std::size_t>(wanted, count); ++i)
      threads.emplace_back(loop);
    loop();
  }
  if (failure) std::rethrow_exception(failure);
}

// On disk.
std::uint64_t tree_size(const fs::path& folder, const std::stop_token& stop) {
  std::uint64_t bytes = 0;
  std::error_code code;
  constexpr auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator it(folder, options, code), end; !code && it != end;
       it.increment(code)) {
    throw_if_stopped(stop);
    struct stat info {};
    if (::lstat(it->path().c_str(), &info) == 0)
      bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
  }
  return bytes;
}

// Containers hold a shared lock on the folders of their layers.
bool is_in_use(const fs::path& folder) {
  const File open(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return open.is_open() && ::flock(open.fd(), LOCK_EX | LOCK_NB) != 0;
}

} // namespace

UnpackedLayers::UnpackedLayers(fs::path folder) : folder_(std::move(folder)) {}

fs::path UnpackedLayers::user_folder() {
  const fs::path cache = config::user_cache_path(config::process_environment());
  if (cache.empty())
    throw Error(ErrorKind::config, "there is no folder to unpack layers in: HOME is not set");
  return cache / "layers";
}

fs::path UnpackedLayers::path_of(const Digest& diff_id) const {
  return folder_ / key_of(diff_id);
}

bool UnpackedLayers::has(const Digest& diff_id) const {
  std::error_code code;
  return fs::is_directory(path_of(diff_id), code);
}

std::vector<fs::path> UnpackedLayers::ensure(const Layout& layout, const Image& image,
                                             Progress& progress, const std::stop_token& stop) {
  std::vector<fs::path> paths;
  std::vector<std::size_t> missing;
  std::set<Digest> seen;
  for (std::size_t i = 0; i < image.config.diff_ids.size(); ++i) {
    const Digest& diff_id = image.config.diff_ids[i];
    const fs::path path = path_of(diff_id);
    // An overlay takes a folder once: the upper one, which has all that the lower one has.
    std::erase(paths, path);
    paths.push_back(path);
    if (has(diff_id))
      note_use(with_ending(path, lock_ending));
    else if (seen.insert(diff_id).second)
      missing.push_back(i);
  }
  if (missing.empty()) return paths;
  make_directories(folder_);
  progress.begin("unpacking", 0, ProgressUnit::bytes);
  share_out(missing.size(), [&](std::size_t i) {
    unpack(layout, image.manifest.layers.at(missing[i]), image.config.diff_ids[missing[i]],
           progress, stop);
  });
  progress.end();
  return paths;
}

void UnpackedLayers::unpack(const Layout& layout, const Descriptor& layer, const Digest& diff_id,
                            Progress& progress, const std::stop_token& stop) {
  const fs::path path = path_of(diff_id), part = with_ending(path, part_ending);
  const FileLock lock(with_ending(path, lock_ending),
                      fmt::format("layer {}", layer.digest.short_hex()), longest_wait, false, stop);
  if (has(diff_id)) return;
  try {
    remove_tree(part);
    make_directories(part);
    LayerReader reader(layout, layer, diff_id);
    with_context(fmt::format("while unpacking layer {}", layer.digest.short_hex()), [&] {
      unpack_tree(
          reader.tar(), part, [&](std::uint64_t bytes) { progress.advance(bytes); }, stop);
    });
    reader.finish();
    sync_file_system(part);
    if (::rename(part.c_str(), path.c_str()) != 0)
      throw system_error(errno, "create", path.native());
  } catch (...) {
    try {
      remove_tree(part);
    } catch (const Error&) { // the first one is what matters; gc() will see to it
    }
    throw;
  }
}

void UnpackedLayers::adopt(const Digest& diff_id, const fs::path& upper) {
  make_directories(folder_);
  const fs::path path = path_of(diff_id);
  const FileLock lock(with_ending(path, lock_ending), fmt::format("layer {}", diff_id.short_hex()),
                      longest_wait);
  if (has(diff_id)) return;
  if (::rename(upper.c_str(), path.c_str()) != 0 && errno != EXDEV)
    throw system_error(errno, "create", path.native());
}

UnpackedLayers::Garbage UnpackedLayers::gc(const std::set<Digest>& needed, std::chrono::seconds age,
                                           bool dry, const std::stop_token& stop) {
  std::set<std::string> kept;
  for (const Digest& diff_id : needed)
    kept.insert(key_of(diff_id));
  std::set<std::string> keys;
  std::error_code code;
  for (fs::directory_iterator it(folder_, code), end; !code && it != end; it.increment(code))
    if (const std::string key = it->path().stem().native(); is_key(key)) keys.insert(key);
  Garbage garbage;
  for (const std::string& key : keys) {
    throw_if_stopped(stop);
    const fs::path path = folder_ / key, part = with_ending(path, part_ending),
                   lock_path = with_ending(path, lock_ending);
    const bool there = fs::is_directory(path, code);
    const auto used = fs::last_write_time(lock_path, code);
    const bool young = !code && fs::file_time_type::clock::now() - used < age;
    // Whoever unpacks it has the lock; what is left under a free one is of a killed process.
    const auto lock = FileLock::try_lock(lock_path);
    if (!lock) {
      garbage.kept += there ? 1 : 0;
      continue;
    }
    if (!dry) remove_tree(part);
    if (there && (kept.count(key) != 0 || young || is_in_use(path))) {
      ++garbage.kept;
      continue;
    }
    if (there) {
      ++garbage.layers;
      garbage.bytes += tree_size(path, stop);
    }
    if (dry) continue;
    // Under a name that is no layer's first: a layer is there whole or not at all.
    if (there && ::rename(path.c_str(), part.c_str()) != 0)
      throw system_error(errno, "remove", path.native());
    remove_tree(part);
  }
  return garbage;
}

} // namespace mlp::image
