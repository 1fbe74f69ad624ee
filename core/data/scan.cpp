// The walking thread lists folders and asks the cache. Small files are read by the pool, each in
// one task; a large file is read and cut by the walking thread itself, and its blocks are hashed
// and compressed by the pool. Entries wait in a queue until all before them are ready.
#include "core/data/scan.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/data/chunker.hpp"
#include "core/data/directory.hpp"
#include "core/data/ignore.hpp"
#include "core/data/manifest_builder.hpp"
#include "core/data/task_pool.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <memory>

namespace mlp::data {

namespace {

constexpr std::size_t small_file = 1u << 20;
constexpr std::size_t block_bytes = 4u << 20;
constexpr std::size_t max_pending = 4096;
constexpr unsigned max_blocks = 24; // of a large file, in memory at once
constexpr int attempts = 3;

struct ReadFile {
  FileStat stat;
  EntryType type = EntryType::file;
  bool settled = false;
  Content content;
};

FileStat stat_of(const File& file, const std::string& path, EntryType* type = nullptr) {
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) throw system_error(errno, "read", path);
  if (type != nullptr) *type = file_type(info);
  return to_file_stat(info);
}

Error keeps_changing(const std::string& path) {
  return Error(ErrorKind::conflict, fmt::format("'{}' changed while it was read", path))
      .with_hint("run the command again when nothing writes to it");
}

std::vector<Ref> put_chunks(ObjectSink& sink, ByteSpan data, std::span<const std::size_t> sizes) {
  std::vector<ByteSpan> chunks;
  for (const std::size_t size : sizes) {
    chunks.push_back(data.first(size));
    data = data.subspan(size);
  }
  const std::vector<Digest> ids = sink.put_each(PackKind::data, chunks);
  std::vector<Ref> refs;
  refs.reserve(sizes.size());
  for (std::size_t i = 0; i < ids.size(); ++i)
    refs.push_back({ids[i], sizes[i]});
  return refs;
}

std::size_t read_some(File& file, std::span<std::byte> into, const std::string& path) {
  std::size_t done = 0;
  try {
    while (done < into.size()) {
      const std::size_t n = file.read(into.subspan(done));
      if (n == 0) break;
      done += n;
    }
  } catch (Error& error) {
    error.add_context(fmt::format("while reading '{}'", path));
    throw;
  }
  return done;
}

// Those of the folder's own .mlpignore; none if it has no such file.
std::vector<IgnorePattern> ignore_patterns(const Directory& directory,
                                           const std::vector<DirectoryItem>& items) {
  const auto found = std::ranges::lower_bound(items, ignore_file_name, {}, &DirectoryItem::name);
  if (found == items.end() || found->name != ignore_file_name || !S_ISREG(found->info.st_mode))
    return {};
  const std::string path = directory.path_of(found->name);
  std::string text(max_ignore_bytes + 1, '\0');
  File file = directory.open_file(found->name);
  text.resize(read_some(file, std::as_writable_bytes(std::span(text)), path));
  if (text.size() > max_ignore_bytes)
    throw Error(ErrorKind::failed, fmt::format("'{}' is larger than 1 MiB", path));
  return parse_ignore(text);
}

// Those that hold in a folder.
std::vector<IgnorePattern> patterns_of(const Directory& directory,
                                       const std::vector<DirectoryItem>& items, std::size_t depth,
                                       const ScanOptions& options) {
  std::vector<IgnorePattern> patterns;
  if (options.ignore_files) patterns = ignore_patterns(directory, items);
  if (depth == 0) patterns.insert(patterns.end(), options.ignored.begin(), options.ignored.end());
  return patterns;
}

// Counts what a scan would walk over, as far as there is room.
class Measure {
 public:
  Measure(const ScanOptions& options, std::uint64_t most_files, std::uint64_t most_bytes)
      : options_(options), most_files_(most_files), most_bytes_(most_bytes) {}

  // False once it is too much.
  bool walk(const Directory& directory, const std::string& name, std::size_t depth) {
    const std::vector<DirectoryItem> items = directory.list();
    ignore_.enter(name, patterns_of(directory, items, depth, options_));
    for (const DirectoryItem& item : items) {
      throw_if_stopped(options_.stop);
      const bool folder = S_ISDIR(item.info.st_mode);
      if (ignore_.ignores(item.name, folder)) continue;
      if (folder) {
        ++stats.directories;
        if (depth + 1 >= max_directory_depth ||
            !walk(*directory.open_child(item.name), item.name, depth + 1))
          return false;
      } else {
        ++stats.files;
        if (S_ISREG(item.info.st_mode))
          stats.bytes += static_cast<std::uint64_t>(item.info.st_size);
        if (stats.files > most_files_ || stats.bytes > most_bytes_) return false;
      }
    }
    ignore_.leave();
    return true;
  }

  ScanStats stats;

 private:
  const ScanOptions& options_;
  std::uint64_t most_files_, most_bytes_;
  IgnoreRules ignore_;
};

class Scanner {
 public:
  Scanner(ObjectSink& sink, ScanVisitor& visitor, const ScanOptions& options)
      : sink_(sink), visitor_(visitor), options_(options), cache_(options.cache, options.token),
        pool_(choose_threads(options.jobs), 2 * choose_threads(options.jobs)) {
    if (!options.new_cache.empty())
      new_cache_ = std::make_unique<StatCacheWriter>(options.new_cache, options.token);
  }

  void run(const fs::path& root) {
    struct stat info {};
    if (::stat(root.c_str(), &info) != 0) throw system_error(errno, "read", root.native());
    if (S_ISDIR(info.st_mode)) {
      walk(Directory::open(root), "", 0);
    } else {
      const fs::path folder = root.has_parent_path() ? root.parent_path() : fs::path(".");
      // A root that is a link to a file is followed: its owner chose it.
      const fs::path real = fs::canonical(root);
      handle(Directory::open(real.parent_path()), {real.filename().native(), info}, "");
    }
    while (!pending_.empty())
      deliver_first();
  }

  void commit() {
    const bool known = !news_ && options_.new_cache == options_.cache && fs::exists(options_.cache);
    if (new_cache_ && !known) new_cache_->commit();
  }
  [[nodiscard]] const ScanStats& stats() const { return stats_; }

 private:
  enum class Event { enter, leave, entry };
  struct Pending {
    Event event = Event::entry;
    std::string name;
    CachedFile file;
    std::future<ReadFile> read; // valid: the file's content comes from it
    std::optional<Content> recorded;
  };
  using DirectoryPointer = std::shared_ptr<const Directory>;

  void walk(const DirectoryPointer& directory, const std::string& name, std::size_t depth) {
    if (depth >= max_directory_depth)
      throw Error(ErrorKind::failed,
                  fmt::format("folders are nested too deeply at '{}'", directory->path()));
    const std::vector<DirectoryItem> items = directory->list();
    ignore_.enter(name, patterns_of(*directory, items, depth, options_));
    for (const DirectoryItem& item : items) {
      throw_if_stopped(options_.stop);
      if (ignore_.ignores(item.name, S_ISDIR(item.info.st_mode))) continue;
      if (S_ISDIR(item.info.st_mode)) {
        ++stats_.directories;
        cache_.enter(item.name);
        push({.event = Event::enter, .name = item.name});
        walk(directory->open_child(item.name), item.name, depth + 1);
        push({.event = Event::leave});
        cache_.leave();
      } else {
        handle(directory, item, item.name);
      }
    }
    ignore_.leave();
  }

  void handle(const DirectoryPointer& directory, const DirectoryItem& item,
              const std::string& name) {
    ++stats_.files;
    Pending pending{.name = name};
    auto cached = cache_.find(name);
    if (S_ISLNK(item.info.st_mode)) {
      pending.file.type = EntryType::symlink;
      pending.file.target = directory->read_link(item.name);
      pending.file.stat = to_file_stat(item.info);
      pending.file.trusted = true;
      const bool was = cached && cached->recorded && cached->target == pending.file.target;
      pending.file.recorded = options_.records || was;
      news_ = news_ || pending.file.recorded != was;
    } else if (S_ISREG(item.info.st_mode)) {
      const FileStat now = to_file_stat(item.info);
      stats_.bytes += now.size;
      if (cached && cached->trusted && cached->type != EntryType::symlink && cached->stat == now &&
          (cached->recorded || !options_.records)) {
        pending.file = *std::move(cached);
        pending.file.recorded = pending.file.recorded && pending.file.type == file_type(item.info);
        pending.file.type = file_type(item.info);
        advance(now.size);
      } else {
        if (cached && cached->recorded && cached->type == file_type(item.info))
          pending.recorded = std::move(cached->content);
        ++stats_.read_files;
        news_ = true;
        stats_.read_bytes += now.size;
        if (options_.progress != nullptr) options_.progress->note(directory->path_of(item.name));
        if (now.size <= small_file)
          pending.read = pool_.submit(
              [this, directory, file = item.name] { return read_small(*directory, file); });
        else
          fill(pending, read_large(*directory, item.name));
      }
    } else {
      throw Error(ErrorKind::failed,
                  fmt::format("'{}' is neither a file, a folder nor a symbolic link",
                              directory->path_of(item.name)))
          .with_hint("a dataset cannot hold devices, FIFOs and sockets: move it elsewhere");
    }
    push(std::move(pending));
  }

  // In the pool.
  ReadFile read_small(const Directory& directory, const std::string& name) {
    const std::string path = directory.path_of(name);
    thread_local Bytes buffer;
    buffer.resize(small_file + 1);
    for (int attempt = 0; attempt < attempts; ++attempt) {
      ReadFile result;
      const std::int64_t start = now_nanoseconds();
      File file = directory.open_file(name);
      result.stat = stat_of(file, path, &result.type);
      result.settled = is_settled(result.stat.ctime, start);
      const std::size_t size = read_some(file, buffer, path);
      if (size != result.stat.size || stat_of(file, path) != result.stat) continue;
      ContentBuilder builder(sink_);
      const ByteSpan all = ByteSpan(buffer).first(size);
      std::vector<std::size_t> sizes;
      for (ByteSpan rest = all; !rest.empty(); rest = rest.subspan(sizes.back()))
        sizes.push_back(cut_point(rest));
      for (const Ref& ref : put_chunks(sink_, all, sizes))
        builder.add(ref);
      result.content = builder.finish();
      advance(size);
      return result;
    }
    throw keeps_changing(path);
  }

  // In the walking thread, with the blocks in the pool.
  ReadFile read_large(const Directory& directory, const std::string& name) {
    const std::string path = directory.path_of(name);
    for (int attempt = 0; attempt < attempts; ++attempt) {
      ReadFile result;
      const std::int64_t start = now_nanoseconds();
      File file = directory.open_file(name);
      ::posix_fadvise(file.fd(), 0, 0, POSIX_FADV_SEQUENTIAL);
      result.stat = stat_of(file, path, &result.type);
      result.settled = is_settled(result.stat.ctime, start);
      ContentBuilder builder(sink_);
      std::deque<std::future<std::vector<Ref>>> blocks;
      const auto take_block = [&] {
        for (const Ref& ref : blocks.front().get())
          builder.add(ref);
        blocks.pop_front();
      };
      Bytes carry; // the beginning of a chunk whose end is not read yet
      std::uint64_t total = 0;
      for (bool end = false; !end;) {
        throw_if_stopped(options_.stop);
        auto block = std::make_shared<Bytes>(std::move(carry));
        const std::size_t old = block->size();
        block->resize(block_bytes);
        const std::size_t n = read_some(file, std::span(*block).subspan(old), path);
        block->resize(old + n);
        total += n;
        end = block->size() < block_bytes;
        std::vector<std::size_t> sizes;
        ByteSpan rest(*block);
        while (!rest.empty() && (end || rest.size() >= max_chunk)) {
          sizes.push_back(cut_point(rest));
          rest = rest.subspan(sizes.back());
        }
        carry.assign(rest.begin(), rest.end());
        while (blocks.size() >= std::min(3 * pool_.threads(), max_blocks))
          take_block();
        blocks.push_back(pool_.submit([this, block, sizes = std::move(sizes)] {
          auto refs = put_chunks(sink_, *block, sizes);
          for (const std::size_t size : sizes)
            advance(size);
          return refs;
        }));
      }
      while (!blocks.empty())
        take_block();
      if (total != result.stat.size || stat_of(file, path) != result.stat) continue;
      result.content = builder.finish();
      return result;
    }
    throw keeps_changing(path);
  }

  void fill(Pending& pending, ReadFile read) {
    pending.file.type = read.type;
    pending.file.stat = read.stat;
    pending.file.trusted = read.settled;
    pending.file.recorded =
        options_.records || (pending.recorded && *pending.recorded == read.content);
    pending.file.content = std::move(read.content);
  }

  void push(Pending pending) {
    pending_.push_back(std::move(pending));
    while (pending_.size() > max_pending)
      deliver_first();
  }

  void deliver_first() {
    Pending& first = pending_.front();
    if (first.read.valid()) fill(first, first.read.get());
    switch (first.event) {
    case Event::enter:
      if (new_cache_) new_cache_->enter(first.name);
      visitor_.enter(first.name);
      break;
    case Event::leave:
      if (new_cache_) new_cache_->leave();
      visitor_.leave();
      break;
    case Event::entry:
      if (options_.progress != nullptr) options_.progress->count(1, "files");
      if (new_cache_) new_cache_->file(first.name, first.file);
      visitor_.entry({.type = first.file.type,
                      .name = first.name,
                      .content = first.file.content,
                      .target = first.file.target});
      break;
    }
    pending_.pop_front();
  }

  void advance(std::uint64_t bytes) {
    if (options_.progress != nullptr) options_.progress->advance(bytes);
  }

  ObjectSink& sink_;
  ScanVisitor& visitor_;
  const ScanOptions& options_;
  StatCacheReader cache_;
  std::unique_ptr<StatCacheWriter> new_cache_;
  ScanStats stats_;
  bool news_ = false; // something that the cache does not have
  IgnoreRules ignore_;
  std::deque<Pending> pending_;
  TaskPool pool_; // last: its tasks use the rest
};

} // namespace

ScanStats scan(const fs::path& root, ObjectSink& sink, ScanVisitor& visitor,
               const ScanOptions& options, const std::function<void()>& before_commit) {
  Scanner scanner(sink, visitor, options);
  scanner.run(root);
  if (before_commit) before_commit();
  scanner.commit();
  return scanner.stats();
}

std::optional<ScanStats> measure(const fs::path& root, const ScanOptions& options,
                                 std::uint64_t most_files, std::uint64_t most_bytes) {
  Measure measure(options, most_files, most_bytes);
  if (!measure.walk(*Directory::open(root), "", 0)) return std::nullopt;
  return measure.stats;
}

} // namespace mlp::data
