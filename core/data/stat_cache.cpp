// Records: 'd' name enters a directory, 'u' leaves it, 'f', 'x' and 'l' are entries. A SHA-256 over
// all stands at the end. Private to one machine, so it may change with the version.
#include "core/data/stat_cache.hpp"

#include "core/base/error.hpp"
#include "core/base/log.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <ctime>

namespace mlp::data {

namespace {

constexpr std::string_view magic = "mlpstat\n";
constexpr std::uint8_t version = 1;
constexpr std::int64_t second = 1'000'000'000;

std::int64_t nanoseconds(const struct timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * second + time.tv_nsec;
}

} // namespace

FileStat to_file_stat(const struct stat& info) noexcept {
  // Another project that links a file of the user's cache sets its ctime: no edit. Who gets around
  // the missing right to write still sets the mtime.
  const bool linked = info.st_nlink > 1 && S_ISREG(info.st_mode) && (info.st_mode & 0222) == 0;
  return {static_cast<std::uint64_t>(info.st_size), nanoseconds(info.st_mtim),
          nanoseconds(linked ? info.st_mtim : info.st_ctim),
          static_cast<std::uint64_t>(info.st_ino)};
}

EntryType file_type(const struct stat& info) noexcept {
  return (info.st_mode & S_IXUSR) != 0 ? EntryType::executable : EntryType::file;
}

std::int64_t now_nanoseconds() noexcept {
  struct timespec now {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

bool is_settled(std::int64_t ctime, std::int64_t now) noexcept {
  // The kernel stamps files from a clock that ticks every 1 to 10 ms; FAT has steps of 2 s.
  const std::int64_t margin = ctime % second != 0 ? second / 10 : 2 * second;
  return ctime + margin < now;
}

struct StatCacheReader::Peeked {
  char type = 'u'; // 'u' at the end of all, too
  std::string_view name;
  CachedFile file;
};

StatCacheReader::StatCacheReader(const fs::path& path, std::string_view token)
    : next_(std::make_unique<Peeked>()) {
  try {
    const File file = File::open_read(path);
    size_ = static_cast<std::size_t>(file.size());
    if (size_ < 64) return;
    void* map = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd(), 0);
    if (map == MAP_FAILED) return;
    map_ = static_cast<const std::byte*>(map);
    const ByteSpan all(map_, size_);
    const ByteSpan body = all.first(size_ - 32);
    ByteReader trailer(all.last(32), "stat cache");
    if (sha256(body) != trailer.digest()) return;
    auto in = std::make_unique<ByteReader>(body, "stat cache");
    in->expect(magic);
    if (in->u8() != version || in->sized_text(256) != token) return;
    in_ = std::move(in);
    peek();
  } catch (const Error& error) {
    log_debug("no stat cache: " + error.message());
    in_.reset();
  }
}

StatCacheReader::~StatCacheReader() {
  if (map_ != nullptr) ::munmap(const_cast<std::byte*>(map_), size_);
}

void StatCacheReader::peek() {
  next_->type = 'u';
  next_->file = {}; // what was skipped leaves nothing behind
  if (!in_ || in_->left() == 0) return;
  next_->type = static_cast<char>(in_->u8());
  if (next_->type == 'u') return;
  next_->name = in_->sized_text(max_name_bytes);
  if (next_->type == 'd') return;
  CachedFile& file = next_->file;
  file.type = static_cast<EntryType>(next_->type);
  file.stat.size = in_->varint();
  file.stat.mtime = static_cast<std::int64_t>(in_->u64());
  file.stat.ctime = static_cast<std::int64_t>(in_->u64());
  file.stat.inode = in_->varint();
  const std::uint8_t flags = in_->u8();
  file.trusted = (flags & 1) != 0;
  file.recorded = (flags & 2) != 0;
  if (file.type == EntryType::symlink)
    file.target = in_->sized_text(max_target_bytes);
  else
    file.content = decode_content(*in_);
}

// Over the next record, with all below it if it is a directory.
void StatCacheReader::skip() {
  std::size_t depth = 0;
  do {
    if (next_->type == 'd') ++depth;
    if (next_->type == 'u') {
      if (in_->left() == 0) return;
      --depth;
    }
    peek();
  } while (depth > 0);
}

// True if the next record has this name.
bool StatCacheReader::seek(std::string_view name) {
  if (!in_ || unknown_ > 0) return false;
  while (next_->type != 'u' && next_->name < name)
    skip();
  return next_->type != 'u' && next_->name == name;
}

std::optional<CachedFile> StatCacheReader::find(std::string_view name) {
  if (!seek(name) || next_->type == 'd') return std::nullopt;
  std::optional<CachedFile> file = std::move(next_->file);
  peek();
  return file;
}

bool StatCacheReader::enter(std::string_view name) {
  if (!seek(name) || next_->type != 'd') {
    ++unknown_;
    return false;
  }
  peek();
  return true;
}

void StatCacheReader::leave() {
  if (unknown_ > 0) {
    --unknown_;
    return;
  }
  if (!in_) return;
  while (next_->type != 'u')
    skip();
  peek();
}

bool StatCacheReader::names_only(const std::function<bool(const Digest&)>& kept) {
  if (!in_) return false;
  while (true) {
    for (const Ref& ref : next_->file.content.refs)
      if (!kept(ref.id)) return false;
    if (in_->left() == 0) return true;
    peek();
  }
}

struct StatCacheWriter::Output {
  explicit Output(const fs::path& path) : file(path) {}
  AtomicFile file;
  Bytes buffer;
  ByteWriter out{buffer};
  Sha256 sha;
};

StatCacheWriter::StatCacheWriter(const fs::path& path, std::string_view token) {
  make_directories(path.parent_path());
  output_ = std::make_unique<Output>(path);
  output_->out.text(magic);
  output_->out.u8(version);
  output_->out.sized_text(token);
}

StatCacheWriter::~StatCacheWriter() = default;

void StatCacheWriter::flush(bool all) {
  if (!all && output_->buffer.size() < (1u << 20)) return;
  output_->sha.update(output_->buffer);
  output_->file.file().write(output_->buffer);
  output_->buffer.clear();
}

void StatCacheWriter::file(std::string_view name, const CachedFile& file) {
  ByteWriter& out = output_->out;
  out.u8(static_cast<std::uint8_t>(file.type));
  out.sized_text(name);
  out.varint(file.stat.size);
  out.u64(static_cast<std::uint64_t>(file.stat.mtime));
  out.u64(static_cast<std::uint64_t>(file.stat.ctime));
  out.varint(file.stat.inode);
  out.u8(static_cast<std::uint8_t>((file.trusted ? 1 : 0) | (file.recorded ? 2 : 0)));
  if (file.type == EntryType::symlink)
    out.sized_text(file.target);
  else
    encode_content(file.content, out);
  flush(false);
}

void StatCacheWriter::enter(std::string_view name) {
  output_->out.u8('d');
  output_->out.sized_text(name);
}

void StatCacheWriter::leave() {
  output_->out.u8('u');
}

void StatCacheWriter::commit() {
  flush(true);
  const Digest digest = output_->sha.finish();
  output_->out.digest(digest);
  output_->file.file().write(output_->buffer);
  output_->file.commit();
}

} // namespace mlp::data
