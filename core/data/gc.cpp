// Mark, then sweep. Nodes go before the chunks that they name, and whatever is needed is durable in
// its new pack before the old one goes.
#include "core/data/gc.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/data/pack_reader.hpp"
#include "core/data/pack_writer.hpp"
#include "core/data/stat_cache.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>

namespace mlp::data {

namespace {

constexpr std::chrono::seconds longest_wait(30);
// A pack of chunks is written anew when this share of it is not needed.
constexpr double worth_rewriting = 0.2;

class Sweeper {
 public:
  Sweeper(ObjectStore& store, const PackMarks& marks, Progress& progress,
          const std::stop_token& stop)
      : store_(store), marks_(marks), progress_(progress), stop_(stop) {}

  // Packs of one kind. A stop between two packs loses nothing.
  void sweep(const std::vector<Victim>& victims, PackKind kind) {
    std::vector<Digest> emptied; // their needed objects are in the pack that is open
    const auto finish = [&] {
      if (writer_) {
        const Digest id = writer_->finish();
        store_.index().add(id, kind, writer_->entries());
        writer_.reset();
        written_.insert(id);
      }
      for (const Digest& pack : emptied)
        if (!written_.contains(pack)) remove(pack);
      if (!emptied.empty()) sync_directory(store_.directory() / "packs");
      emptied.clear();
    };
    for (const Victim& victim : victims) {
      if (victim.use.kind != kind) continue;
      throw_if_stopped(stop_);
      if (victim.use.needed_objects > 0) copy_needed(victim.pack, kind);
      emptied.push_back(victim.pack);
      progress_.advance(victim.use.bytes);
      if (!writer_ || writer_->full()) finish();
    }
    finish();
  }

 private:
  void copy_needed(const Digest& pack, PackKind kind) {
    const File file = File::open_read(store_.pack_path(pack));
    PackContents contents = read_pack_end(
        [&](std::uint64_t offset, std::span<std::byte> into) { return file.read_at(into, offset); },
        file.size(), pack);
    // In the order in which they lie, so that what belongs together stays so.
    std::ranges::sort(contents.entries, {}, &PackEntry::offset);
    for (const PackEntry& entry : contents.entries) {
      if (!marks_.is_marked(entry.id, pack)) continue;
      throw_if_stopped(stop_);
      store_.read_stored({pack, kind, entry}, stored_, plain_);
      if (!writer_) writer_ = std::make_unique<PackWriter>(store_.directory(), kind);
      writer_->append(entry, stored_);
    }
  }

  void remove(const Digest& pack) {
    const fs::path path = store_.pack_path(pack);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
      throw system_error(errno, "remove", path.native());
    store_.index().remove(pack);
  }

  ObjectStore& store_;
  const PackMarks& marks_;
  Progress& progress_;
  const std::stop_token& stop_;
  std::unique_ptr<PackWriter> writer_;
  // A pack that an interrupted collection wrote, and nobody needed beside the one that it was made
  // from, may come into being again under its name: it is not to be removed then.
  std::unordered_set<Digest> written_;
  Bytes stored_, plain_;
};

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    files.push_back(it->path());
  return files;
}

} // namespace

GcResult collect_garbage(const fs::path& directory,
                         const std::function<std::vector<Digest>()>& roots,
                         const GcOptions& options) {
  GcResult result;
  std::error_code ignored;
  if (!fs::exists(directory / "packs", ignored)) return result;
  Progress& progress = options.progress != nullptr ? *options.progress : no_progress();
  std::optional<FileLock> lock;
  if (!options.dry_run) {
    lock.emplace(directory / "lock", "the object store", longest_wait, false, options.stop);
    remove_abandoned_packs(directory);
  }
  ObjectStore store(directory);
  store.reload(!options.dry_run);

  PackMarks marks(store.index());
  result.absent_roots = mark_needed(store, roots(), marks, progress, options.stop);
  const std::vector<Victim> victims = choose_victims(marks, worth_rewriting, result);
  if (options.dry_run) return result;
  if (options.before_sweep) options.before_sweep();
  if (victims.empty()) return result;

  // What was remembered about files stays true only where all that it names is needed.
  for (const fs::path& cache : files_in(options.stat_caches)) {
    const bool stays = StatCacheReader(cache, store.token()).names_only([&](const Digest& id) {
      return marks.is_marked(id);
    });
    if (!stays) (void)mlp::remove_all(cache);
  }
  std::uint64_t bytes = 0;
  for (const Victim& victim : victims)
    bytes += victim.use.bytes;
  progress.begin("removing the rest", bytes, ProgressUnit::bytes);
  Sweeper sweeper(store, marks, progress, options.stop);
  sweeper.sweep(victims, PackKind::meta);
  sweeper.sweep(victims, PackKind::data);
  store.index().compact(true);
  progress.end();
  return result;
}

} // namespace mlp::data
