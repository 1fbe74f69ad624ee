// An index file: magic, version, counts; the table of its packs; records of 64 bytes sorted by id;
// the SHA-256 of all that. Private to one machine's cache, so it may change with the version.
#include "core/data/pack_index.hpp"

#include "core/base/error.hpp"
#include "core/base/log.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

namespace mlp::data {

namespace {

constexpr std::string_view magic{"mlpidx\n\0", 8};
constexpr std::uint32_t index_version = 1;
constexpr std::size_t file_header_size = 8 + 4 + 4 + 8;
constexpr std::size_t pack_record_size = 40;
constexpr std::size_t record_size = 64;
constexpr std::size_t trailer_size = 32;
// The trailer of a larger file is not checked each time that it is opened.
constexpr std::size_t always_checked_bytes = 32u << 20;
constexpr std::size_t compact_at = 16;

std::uint64_t load_le(const std::byte* p, int size) {
  std::uint64_t value = 0;
  for (int i = 0; i < size; ++i)
    value |= static_cast<std::uint64_t>(p[i]) << (8 * i);
  return value;
}

Digest load_digest(const std::byte* p) {
  Digest id;
  std::memcpy(id.bytes.data(), p, id.bytes.size());
  return id;
}

void append_record(ByteWriter& out, const PackEntry& entry, std::uint32_t pack) {
  out.digest(entry.id);
  out.u32(pack);
  out.u32(entry.stored_size);
  out.u64(entry.offset);
  out.u32(entry.plain_size);
  out.u32(entry.crc);
  out.u8(static_cast<std::uint8_t>(entry.codec));
  out.bytes(Bytes(7));
}

} // namespace

// One mapped index file. Immutable.
class IndexFile {
 public:
  // nullptr if it is gone; throws Error(integrity) if it is damaged. The trailer of a large one is
  // looked at with `check` only.
  static std::shared_ptr<const IndexFile> open(const fs::path& path, bool check = false) {
    File file;
    try {
      file = File::open_read(path);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::not_found) return nullptr;
      throw;
    }
    auto result = std::shared_ptr<IndexFile>(new IndexFile(path));
    result->size_ = static_cast<std::size_t>(file.size());
    const auto damaged = [&] {
      return Error(ErrorKind::integrity, fmt::format("index '{}' is damaged", path.native()));
    };
    if (result->size_ < file_header_size + trailer_size) throw damaged();
    void* map = ::mmap(nullptr, result->size_, PROT_READ, MAP_SHARED, file.fd(), 0);
    if (map == MAP_FAILED) throw system_error(errno, "map", path.native());
    result->map_ = static_cast<const std::byte*>(map);
    if (std::memcmp(result->map_, magic.data(), 8) != 0 ||
        load_le(result->map_ + 8, 4) != index_version)
      throw damaged();
    const std::uint64_t packs = load_le(result->map_ + 12, 4);
    const std::uint64_t records = load_le(result->map_ + 16, 8);
    if (records > result->size_ / record_size ||
        file_header_size + packs * pack_record_size + records * record_size + trailer_size !=
            result->size_)
      throw damaged();
    if ((check || result->size_ <= always_checked_bytes) && !result->trailer_matches())
      throw damaged();
    for (std::uint64_t i = 0; i < packs; ++i) {
      const std::byte* p = result->map_ + file_header_size + i * pack_record_size;
      result->packs_.emplace_back(load_digest(p), static_cast<PackKind>(p[32] != std::byte{0}));
    }
    result->records_ = result->map_ + file_header_size + packs * pack_record_size;
    result->count_ = static_cast<std::size_t>(records);
    return result;
  }

  ~IndexFile() {
    if (map_ != nullptr) ::munmap(const_cast<std::byte*>(map_), size_);
  }
  IndexFile(const IndexFile&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] const std::vector<std::pair<Digest, PackKind>>& packs() const { return packs_; }
  [[nodiscard]] const std::byte* record(std::size_t i) const { return records_ + i * record_size; }

  // The position of the first record that is not less than `id`.
  [[nodiscard]] std::size_t lower_bound(const Digest& id) const {
    std::size_t low = 0, high = count_;
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (std::memcmp(record(middle), id.bytes.data(), 32) < 0)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }

  // The entry of a record, and which of packs() it lies in; false if it makes no sense.
  bool decode(std::size_t i, PackEntry& entry, std::uint32_t& pack) const {
    const std::byte* p = record(i);
    entry.id = load_digest(p);
    pack = static_cast<std::uint32_t>(load_le(p + 32, 4));
    entry.stored_size = static_cast<std::uint32_t>(load_le(p + 36, 4));
    entry.offset = load_le(p + 40, 8);
    entry.plain_size = static_cast<std::uint32_t>(load_le(p + 48, 4));
    entry.crc = static_cast<std::uint32_t>(load_le(p + 52, 4));
    const auto codec = static_cast<std::uint8_t>(p[56]);
    entry.codec = static_cast<Codec>(codec);
    return pack < packs_.size() && codec <= 1 && entry.plain_size <= max_object_bytes &&
           entry.stored_size <= entry.plain_size && entry.plain_size > 0;
  }

 private:
  explicit IndexFile(fs::path path) : path_(std::move(path)) {}
  [[nodiscard]] bool trailer_matches() const {
    const ByteSpan all(map_, size_);
    return sha256(all.first(size_ - trailer_size)) == load_digest(map_ + size_ - trailer_size);
  }

  fs::path path_;
  const std::byte* map_ = nullptr;
  std::size_t size_ = 0;
  std::vector<std::pair<Digest, PackKind>> packs_;
  const std::byte* records_ = nullptr;
  std::size_t count_ = 0;
};

namespace {

// Writes an index file in a stream; its name is its digest.
class IndexFileWriter {
 public:
  IndexFileWriter(const fs::path& directory, std::size_t packs, std::uint64_t records)
      : directory_(directory), file_(directory / "index") {
    out_.text(magic);
    out_.u32(index_version);
    out_.u32(static_cast<std::uint32_t>(packs));
    out_.u64(records);
  }
  void pack(const Digest& id, PackKind kind) {
    out_.digest(id);
    out_.u8(static_cast<std::uint8_t>(kind));
    out_.bytes(Bytes(7));
  }
  void record(const PackEntry& entry, std::uint32_t pack) {
    append_record(out_, entry, pack);
    if (buffer_.size() >= (1u << 20)) flush();
  }
  // Returns the path of the finished file.
  fs::path finish() {
    flush();
    const Digest digest = sha_.finish();
    out_.digest(digest);
    file_.file().write(buffer_);
    file_.file().sync();
    fs::path path = directory_ / (digest.hex().substr(0, 32) + ".idx");
    if (::rename(file_.temporary_path().c_str(), path.c_str()) != 0)
      throw system_error(errno, "write", path.native());
    sync_directory(directory_);
    return path;
  }

 private:
  void flush() {
    sha_.update(buffer_);
    file_.file().write(buffer_);
    buffer_.clear();
  }
  fs::path directory_;
  AtomicFile file_;
  Bytes buffer_;
  ByteWriter out_{buffer_};
  Sha256 sha_;
};

} // namespace

PackIndexSet::PackIndexSet(fs::path directory)
    : directory_(std::move(directory)), files_(std::make_shared<const Files>()) {}
PackIndexSet::~PackIndexSet() = default;

std::shared_ptr<const PackIndexSet::Files> PackIndexSet::files() const {
  const std::lock_guard lock(mutex_);
  return files_;
}

std::vector<Digest> PackIndexSet::load(std::span<const Digest> present, bool check) {
  std::unordered_set<Digest> uncovered(present.begin(), present.end());
  std::unordered_set<Digest> all = uncovered;
  const auto before = this->files();
  auto files = std::make_shared<Files>();
  std::error_code code;
  for (fs::directory_iterator it(directory_, code), end; !code && it != end; it.increment(code)) {
    const fs::path& path = it->path();
    if (path.extension() != ".idx" || path.filename().native().front() == '.') continue;
    try {
      // A name is a digest: a file that is mapped already is the same.
      const auto mapped = std::ranges::find(*before, path, &IndexFile::path);
      auto file = mapped == before->end() || check ? IndexFile::open(path, check) : *mapped;
      if (!file)
        continue; // merged meanwhile; the merged file is listed, or its packs are read again
      bool useful = false;
      for (const auto& [pack, kind] : file->packs()) {
        useful = useful || all.contains(pack);
        uncovered.erase(pack);
      }
      if (useful)
        files->push_back(std::move(file));
      else if (check)
        ::unlink(path.c_str());
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::integrity) throw;
      log_debug(error.message() + "; it is made again from the packs");
      ::unlink(path.c_str());
    }
  }
  if (code && code != std::errc::no_such_file_or_directory)
    throw system_error(code.value(), "list", directory_.native());
  const std::lock_guard lock(mutex_);
  files_ = std::move(files);
  present_ = std::move(all);
  return {uncovered.begin(), uncovered.end()};
}

void PackIndexSet::add(const Digest& pack, PackKind kind, std::span<const PackEntry> entries) {
  make_directories(directory_);
  IndexFileWriter writer(directory_, 1, entries.size());
  writer.pack(pack, kind);
  for (const auto& entry : entries)
    writer.record(entry, 0);
  auto file = IndexFile::open(writer.finish());
  const std::lock_guard lock(mutex_);
  present_.insert(pack);
  if (!file) return; // another process merged it already; load() will find it
  auto files = std::make_shared<Files>(*files_);
  files->push_back(std::move(file));
  files_ = std::move(files);
}

std::optional<PackIndexSet::Place> PackIndexSet::locate(const Files& files,
                                                        const Digest& id) const {
  Place place;
  Location& location = place.location;
  for (place.file = 0; place.file < files.size(); ++place.file) {
    const IndexFile& file = *files[place.file];
    for (place.record = file.lower_bound(id); place.record < file.count(); ++place.record) {
      std::uint32_t pack = 0;
      const bool sane = file.decode(place.record, location.entry, pack);
      if (location.entry.id != id) break;
      if (!sane) continue;
      std::tie(location.pack, location.kind) = file.packs()[pack];
      if (has_pack(location.pack)) return place;
    }
  }
  return std::nullopt;
}

std::optional<Location> PackIndexSet::find(const Digest& id) const {
  const auto files = this->files();
  if (auto place = locate(*files, id)) return place->location;
  return std::nullopt;
}

void PackIndexSet::remove(const Digest& pack) {
  const std::lock_guard lock(mutex_);
  present_.erase(pack);
}

std::vector<std::pair<Digest, PackKind>> PackIndexSet::packs() const {
  const auto files = this->files();
  std::map<Digest, PackKind> result;
  for (const auto& file : *files) {
    for (const auto& [pack, kind] : file->packs()) {
      if (has_pack(pack)) result.emplace(pack, kind);
    }
  }
  return {result.begin(), result.end()};
}

bool PackIndexSet::has_pack(const Digest& pack) const {
  const std::lock_guard lock(mutex_);
  return present_.contains(pack);
}

void PackIndexSet::compact(bool all) {
  const auto present = files();
  if (present->empty() || (!all && present->size() < compact_at)) return;
  // Smallest first, as long as the next is not much larger than all before it: each record is then
  // merged a number of times that grows with the logarithm of their count.
  Files some(*present);
  std::sort(some.begin(), some.end(),
            [](const auto& a, const auto& b) { return a->size() < b->size(); });
  std::size_t taken = 0, bytes = 0;
  while (taken < some.size() && (all || taken < 2 || some[taken]->size() <= 4 * bytes))
    bytes += some[taken++]->size();
  some.resize(taken);
  if (!all && some.size() < 2) return;

  std::map<Digest, std::pair<PackKind, std::uint32_t>> packs; // those kept, with their new numbers
  std::uint64_t records = 0;
  std::vector<std::vector<bool>> keep(some.size());
  for (std::size_t f = 0; f < some.size(); ++f) {
    for (const auto& [pack, kind] : some[f]->packs()) {
      const bool wanted = has_pack(pack) && !packs.contains(pack);
      if (wanted) packs.emplace(pack, std::pair(kind, 0u));
      keep[f].push_back(wanted);
    }
    for (std::size_t i = 0; i < some[f]->count(); ++i) {
      PackEntry entry;
      std::uint32_t pack = 0;
      if (some[f]->decode(i, entry, pack) && keep[f][pack]) ++records;
    }
  }
  std::uint32_t number = 0;
  for (auto& [pack, value] : packs)
    value.second = number++;

  IndexFileWriter writer(directory_, packs.size(), records);
  for (const auto& [pack, value] : packs)
    writer.pack(pack, value.first);
  std::vector<std::size_t> position(some.size());
  while (true) {
    std::size_t best = some.size();
    for (std::size_t f = 0; f < some.size(); ++f) {
      if (position[f] < some[f]->count() &&
          (best == some.size() ||
           std::memcmp(some[f]->record(position[f]), some[best]->record(position[best]), 32) < 0))
        best = f;
    }
    if (best == some.size()) break;
    PackEntry entry;
    std::uint32_t pack = 0;
    if (some[best]->decode(position[best]++, entry, pack) && keep[best][pack])
      writer.record(entry, packs.at(some[best]->packs()[pack].first).second);
  }
  auto merged = IndexFile::open(writer.finish());
  if (!merged) return;

  const std::lock_guard lock(mutex_);
  auto files = std::make_shared<Files>();
  for (const auto& file : *files_) {
    if (std::find(some.begin(), some.end(), file) == some.end()) files->push_back(file);
  }
  files->push_back(merged);
  files_ = std::move(files);
  for (const auto& file : some) {
    if (file->path() != merged->path()) ::unlink(file->path().c_str());
  }
}

PackMarks::PackMarks(const PackIndexSet& set) : set_(set), files_(set.files()) {
  for (const auto& file : *files_)
    bits_.emplace_back(file->count());
}

PackMarks::Mark PackMarks::mark(const Digest& id) {
  const auto place = set_.locate(*files_, id);
  if (!place) return Mark::missing;
  auto bit = bits_[place->file][place->record];
  if (bit) return Mark::repeated;
  bit = true;
  return Mark::fresh;
}

bool PackMarks::has(const Digest& id) const {
  return set_.locate(*files_, id).has_value();
}

bool PackMarks::is_marked(const Digest& id) const {
  const auto place = set_.locate(*files_, id);
  return place && bits_[place->file][place->record];
}

bool PackMarks::is_marked(const Digest& id, const Digest& pack) const {
  const auto place = set_.locate(*files_, id);
  return place && place->location.pack == pack && bits_[place->file][place->record];
}

std::map<Digest, PackMarks::PackUse> PackMarks::uses() const {
  std::map<Digest, PackUse> all;
  for (std::size_t f = 0; f < files_->size(); ++f) {
    const IndexFile& file = *(*files_)[f];
    std::vector<PackUse*> of;
    for (const auto& [pack, kind] : file.packs()) {
      // Two files may list one pack, after a merge that was cut off: the first counts.
      const bool counts = set_.has_pack(pack) && !all.contains(pack);
      of.push_back(counts ? &all.emplace(pack, PackUse{.kind = kind}).first->second : nullptr);
    }
    for (std::size_t i = 0; i < file.count(); ++i) {
      PackEntry entry;
      std::uint32_t pack = 0;
      if (!file.decode(i, entry, pack) || of[pack] == nullptr) continue;
      ++of[pack]->objects;
      of[pack]->bytes += entry.stored_size;
      if (!bits_[f][i]) continue;
      ++of[pack]->needed_objects;
      of[pack]->needed_bytes += entry.stored_size;
    }
  }
  return all;
}

} // namespace mlp::data
