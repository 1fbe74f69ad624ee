// First a scan says what the files are now. Then two passes over the version beside the folders:
// one that only looks, for conflicts and for the room that is needed, and one that writes.
#include "core/data/checkout.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/text.hpp"
#include "core/data/file_restore.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/data/scan.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <deque>

namespace mlp::data {

namespace {

constexpr std::size_t max_pending = 4096;
constexpr std::size_t named_conflicts = 10;

class IgnoreEntries final : public ScanVisitor {
 public:
  void enter(const std::string&) override {}
  void entry(const Entry&) override {}
  void leave() override {}
};

class Pass {
 public:
  using DirectoryPointer = std::shared_ptr<const Directory>;

  Pass(ObjectStore& store, const CheckoutOptions& options, const fs::path& observed, bool write)
      : store_(store), options_(options), write_(write),
        progress_(options.progress != nullptr ? *options.progress : no_progress()),
        cache_(observed, store.token()),
        pool_(choose_threads(options.jobs), 2 * choose_threads(options.jobs)) {
    if (write_) new_cache_ = std::make_unique<StatCacheWriter>(options.cache, store.token());
  }

  void run(const fs::path& root, const Entry& version) {
    if (version.type == EntryType::directory)
      run_directory(root, version);
    else
      run_file(root, version);
    while (!pending_.empty())
      deliver_first();
    // Files are not synced, as those of cp and git are not: the store has them. A file whose bytes
    // a loss of power took has another size than the cache says, and counts as changed.
    if (write_) new_cache_->commit();
  }

  CheckoutStats stats;
  std::vector<std::string> conflicts; // the first of them
  std::uint64_t conflict_count = 0;

 private:
  enum class Event { enter, leave, entry };
  struct Pending {
    Event event = Event::entry;
    std::string name;
    CachedFile file;
    std::future<FileStat> restored;
  };

  static fs::path folder_of(const fs::path& file) {
    return file.has_parent_path() ? file.parent_path() : fs::path(".");
  }

  void run_directory(const fs::path& root, const Entry& version) {
    struct stat info {};
    DirectoryReader reader(store_, version);
    if (::stat(root.c_str(), &info) != 0) {
      if (errno != ENOENT) throw system_error(errno, "read", root.native());
      if (write_) make_directories(root);
      directory(write_ ? Directory::open(root) : nullptr, &reader, 0);
    } else if (S_ISDIR(info.st_mode)) {
      directory(Directory::open(root), &reader, 0);
    } else {
      throw Error(ErrorKind::conflict,
                  fmt::format("'{}' is a file, and the version is a folder", root.native()))
          .with_hint("move the file away");
    }
  }

  void run_file(const fs::path& root, const Entry& version) {
    // A root that is a link to a file is followed: its owner chose it.
    std::error_code ignored;
    const fs::path real = fs::is_symlink(root, ignored) ? fs::weakly_canonical(root) : root;
    struct stat info {};
    const bool exists = ::lstat(real.c_str(), &info) == 0;
    if (exists && S_ISDIR(info.st_mode))
      throw Error(ErrorKind::conflict,
                  fmt::format("'{}' is a folder, and the version is a file", root.native()))
          .with_hint("move the folder away");
    if (write_) make_directories(folder_of(real));
    const DirectoryPointer folder =
        exists || write_ ? Directory::open(folder_of(real)) : DirectoryPointer();
    Entry entry = version;
    entry.name = real.filename().native();
    if (exists)
      update_file(folder, entry, {entry.name, info}, cache_.find(""), "");
    else
      create(folder, entry, 0, "");
  }

  // `target` is null in a folder that the version does not have.
  void directory(const DirectoryPointer& here, DirectoryReader* target, std::size_t depth) {
    if (depth >= max_directory_depth)
      throw Error(ErrorKind::failed, "folders are nested too deeply");
    std::vector<std::string> temporaries;
    std::vector<DirectoryItem> items;
    if (here) items = here->list(&temporaries);
    if (write_ && here) remove_dead_temporaries(*here, temporaries);
    auto item = items.begin();
    auto entry = target != nullptr ? target->next() : std::nullopt;
    while (entry || item != items.end()) {
      throw_if_stopped(options_.stop);
      if (!entry || (item != items.end() && item->name < entry->name)) {
        extra(here, *item++, depth);
      } else if (item == items.end() || entry->name < item->name) {
        create(here, *entry, depth, entry->name);
        entry = target->next();
      } else {
        update(here, *entry, *item++, depth);
        entry = target->next();
      }
    }
  }

  void create(const DirectoryPointer& here, const Entry& entry, std::size_t depth,
              const std::string& cache_name) {
    if (entry.type == EntryType::directory) {
      DirectoryPointer child;
      if (write_) {
        if (::mkdirat(here->fd(), entry.name.c_str(), 0777) != 0)
          throw system_error(errno, "create folder", here->path_of(entry.name));
        child = here->open_child(entry.name);
      }
      DirectoryReader reader(store_, entry);
      push({.event = Event::enter, .name = entry.name});
      cache_.enter(entry.name);
      directory(child, &reader, depth + 1);
      cache_.leave();
      push({.event = Event::leave});
      return;
    }
    ++stats.written_files;
    stats.written_bytes += entry.content.size;
    if (!write_) return;
    Pending pending{.name = cache_name};
    pending.file = {entry.type, {}, true, true, entry.content, entry.target};
    if (entry.type == EntryType::symlink) {
      pending.file.stat = restore_link(*here, entry);
    } else if (entry.content.size >= large_restore) {
      progress_.note(here->path_of(entry.name));
      pending.file.stat = place(*here, entry, [this](const Directory& folder, const Entry& file) {
        return restore_large(folder, file, store_, progress_, pool_, options_.stop);
      });
    } else {
      pending.restored = pool_.submit([this, here, entry] {
        return place(*here, entry, [this](const Directory& folder, const Entry& file) {
          return restore_small(folder, file, store_, progress_);
        });
      });
    }
    push(std::move(pending));
  }

  FileStat place(const Directory& here, const Entry& entry, const LinkedFiles::Restore& restore) {
    if (options_.links == nullptr || !options_.links->takes(entry)) return restore(here, entry);
    return options_.links->place(here, entry, restore,
                                 [this](std::uint64_t bytes) { progress_.advance(bytes); });
  }

  // Whether a file that has the right content has to be put in place anew: its mode is not to be
  // changed where it is a hard link, and `relink` asks for another kind of file.
  [[nodiscard]] bool must_replace(const Entry& entry, const CachedFile& now,
                                  const struct stat& info) const {
    if (!entry.is_file()) return false;
    const bool linked = info.st_nlink > 1 && (info.st_mode & 0222) == 0;
    if (linked && entry.type != now.type) return true;
    if (!options_.relink || options_.links == nullptr) return false;
    const bool to_link =
        options_.links->mode() == LinkMode::hardlink && options_.links->takes(entry);
    return linked != to_link;
  }

  // Both the version and the folder have something of this name.
  void update(const DirectoryPointer& here, const Entry& entry, const DirectoryItem& item,
              std::size_t depth) {
    if (!S_ISDIR(item.info.st_mode)) {
      update_file(here, entry, item, cache_.find(item.name), entry.name, depth);
      return;
    }
    const DirectoryPointer child = here->open_child(item.name);
    cache_.enter(item.name);
    if (entry.type == EntryType::directory) {
      DirectoryReader reader(store_, entry);
      push({.event = Event::enter, .name = entry.name});
      directory(child, &reader, depth + 1);
      push({.event = Event::leave});
      cache_.leave();
      return;
    }
    // A folder where a file belongs: what is recorded goes, and then the folder, if it is empty.
    const std::uint64_t untracked = stats.untracked_files;
    discarding_ = true;
    directory(child, nullptr, depth + 1);
    discarding_ = false;
    cache_.leave();
    if (stats.untracked_files != untracked) {
      conflict(here->path_of(item.name) + "/");
      return;
    }
    if (write_ && ::unlinkat(here->fd(), item.name.c_str(), AT_REMOVEDIR) != 0)
      throw system_error(errno, "remove folder", here->path_of(item.name));
    create(here, entry, depth, entry.name);
  }

  void update_file(const DirectoryPointer& here, const Entry& entry, const DirectoryItem& item,
                   std::optional<CachedFile> now, const std::string& cache_name,
                   std::size_t depth = 0) {
    if (now && now->stat != to_file_stat(item.info)) now.reset(); // changed since the scan
    const bool same_content =
        now && (entry.is_file() ? now->type != EntryType::symlink && now->content == entry.content
                                : entry.type == now->type && now->target == entry.target);
    if (same_content && must_replace(entry, *now, item.info)) {
      create(here, entry, depth, cache_name);
      return;
    }
    if (same_content) {
      ++stats.kept_files;
      if (!write_) return;
      if (entry.type != now->type) now->stat = change_mode(*here, entry);
      now->type = entry.type;
      now->recorded = true;
      push({.name = cache_name, .file = *std::move(now)});
      return;
    }
    if (!options_.force && !(now && now->recorded)) {
      conflict(here->path_of(item.name));
      return;
    }
    if (write_ && entry.type == EntryType::directory &&
        ::unlinkat(here->fd(), item.name.c_str(), 0) != 0)
      throw system_error(errno, "remove", here->path_of(item.name));
    create(here, entry, depth, cache_name);
  }

  // Something that the version does not have.
  void extra(const DirectoryPointer& here, const DirectoryItem& item, std::size_t depth) {
    if (S_ISDIR(item.info.st_mode)) {
      const DirectoryPointer child = here->open_child(item.name);
      const bool known = cache_.enter(item.name);
      push({.event = Event::enter, .name = item.name});
      directory(child, nullptr, depth + 1);
      push({.event = Event::leave});
      cache_.leave();
      // Not empty is no error: files that are in no version stay.
      if (write_ && (known || discarding_)) ::unlinkat(here->fd(), item.name.c_str(), AT_REMOVEDIR);
      return;
    }
    auto now = cache_.find(item.name);
    const bool recorded = now && now->recorded && now->stat == to_file_stat(item.info);
    if (recorded || (discarding_ && options_.force)) {
      ++stats.removed_files;
      if (write_ && ::unlinkat(here->fd(), item.name.c_str(), 0) != 0 && errno != ENOENT)
        throw system_error(errno, "remove", here->path_of(item.name));
    } else {
      ++stats.untracked_files;
      if (write_ && now) push({.name = item.name, .file = *std::move(now)});
    }
  }

  FileStat change_mode(const Directory& here, const Entry& entry) {
    const File file = here.open_file(entry.name);
    struct stat info {};
    if (::fstat(file.fd(), &info) != 0) throw system_error(errno, "read", here.path_of(entry.name));
    const mode_t readable = info.st_mode & 0444;
    const mode_t mode = entry.type == EntryType::executable
                            ? (info.st_mode & 07777) | (readable >> 2)
                            : (info.st_mode & 07777) & ~static_cast<mode_t>(0111);
    if (::fchmod(file.fd(), mode) != 0 || ::fstat(file.fd(), &info) != 0)
      throw system_error(errno, "change the mode of", here.path_of(entry.name));
    return to_file_stat(info);
  }

  void conflict(const std::string& path) {
    if (write_)
      throw Error(ErrorKind::conflict, fmt::format("'{}' changed meanwhile", path))
          .with_hint("run the command again when nothing changes the files");
    ++conflict_count;
    if (conflicts.size() < named_conflicts) conflicts.push_back(path);
  }

  void push(Pending pending) {
    if (!write_ || discarding_) return;
    pending_.push_back(std::move(pending));
    while (pending_.size() > max_pending)
      deliver_first();
  }

  void deliver_first() {
    Pending& first = pending_.front();
    if (first.restored.valid()) first.file.stat = first.restored.get();
    switch (first.event) {
    case Event::enter:
      new_cache_->enter(first.name);
      break;
    case Event::leave:
      new_cache_->leave();
      break;
    case Event::entry:
      new_cache_->file(first.name, first.file);
      break;
    }
    pending_.pop_front();
  }

  ObjectStore& store_;
  const CheckoutOptions& options_;
  bool write_;
  bool discarding_ = false; // in a folder that stands where a file belongs
  Progress& progress_;
  StatCacheReader cache_;
  std::unique_ptr<StatCacheWriter> new_cache_;
  std::deque<Pending> pending_;
  TaskPool pool_; // last: its tasks use the rest
};

void check_room(const fs::path& root, std::uint64_t needed) {
  fs::path place = fs::absolute(root);
  std::error_code ignored;
  while (!fs::exists(place, ignored) && place.has_relative_path())
    place = place.parent_path();
  struct statvfs info {};
  if (::statvfs(place.c_str(), &info) != 0) return;
  const std::uint64_t free = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  if (needed > free)
    throw Error(ErrorKind::failed,
                fmt::format("cannot restore '{}': it needs {} and there are {} free", root.native(),
                            format_bytes(needed), format_bytes(free)))
        .with_hint("free some space, or put the dataset on another disk");
}

Error local_changes(const fs::path& root, const Pass& pass) {
  Error error(ErrorKind::conflict,
              fmt::format("{} of '{}' {} local changes that would be lost",
                          pass.conflict_count == 1 ? "a file"
                                                   : format_count(pass.conflict_count) + " files",
                          root.native(), pass.conflict_count == 1 ? "has" : "have"));
  for (const std::string& path : pass.conflicts)
    error.add_context("in '" + printable(path) + "'");
  if (pass.conflict_count > pass.conflicts.size())
    error.add_context(fmt::format("and {} more", pass.conflict_count - pass.conflicts.size()));
  error.add_hint("keep them with 'mlp data add', or overwrite them with --force");
  return error;
}

} // namespace

CheckoutStats checkout(const fs::path& root, const Entry& version, ObjectStore& store,
                       const CheckoutOptions& options) {
  Progress& progress = options.progress != nullptr ? *options.progress : no_progress();
  make_directories(options.cache.parent_path());
  const TemporaryDirectory scratch("checkout-", options.cache.parent_path());
  const fs::path observed = scratch.path() / "observed";
  struct stat info {};
  if (::stat(root.c_str(), &info) == 0) {
    HashOnly sink;
    IgnoreEntries visitor;
    progress.begin("comparing", 0, ProgressUnit::bytes);
    (void)scan(root, sink, visitor,
               {.cache = options.cache,
                .new_cache = observed,
                .token = store.token(),
                .jobs = options.jobs,
                .progress = options.progress,
                .stop = options.stop});
  }
  Pass look(store, options, observed, false);
  look.run(root, version);
  if (look.conflict_count > 0) throw local_changes(root, look);
  if (options.dry_run) return look.stats;
  check_room(root, look.stats.written_bytes);
  progress.begin("checking out", look.stats.written_bytes, ProgressUnit::bytes);
  Pass write(store, options, observed, true);
  write.run(root, version);
  progress.end();
  return write.stats;
}

} // namespace mlp::data
