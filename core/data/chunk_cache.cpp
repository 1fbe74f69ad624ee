// Places are given out under the lock and written outside it.
#include "core/data/chunk_cache.hpp"

#include "core/base/error.hpp"
#include "core/base/log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace mlp::data {

namespace {

// Of a small cache a file is a quarter, so that dropping the oldest leaves something.
constexpr std::uint64_t least_segment = 2u << 20, most_segment = 2ull << 30;
constexpr std::size_t most_places = 1u << 20; // some 80 MB of memory
constexpr std::size_t segment_places = most_places / 16;
constexpr std::chrono::seconds rest{60};
constexpr std::string_view suffix = ".cache";
constexpr std::size_t digits = 20;

std::uint64_t key_of(const Digest& id) {
  std::uint64_t key = 0;
  std::memcpy(&key, id.bytes.data(), sizeof key);
  return key;
}

// Two parts in one call; a short write counts as a failed one.
bool write_whole(int fd, ByteSpan header, ByteSpan stored, std::uint64_t offset) {
  struct iovec parts[2] = {{const_cast<std::byte*>(header.data()), header.size()},
                           {const_cast<std::byte*>(stored.data()), stored.size()}};
  const ssize_t n = ::pwritev(fd, parts, 2, static_cast<off_t>(offset));
  return n == static_cast<ssize_t>(header.size() + stored.size());
}

} // namespace

struct ChunkCache::Segment {
  std::uint64_t number = 0;
  File file;
  std::vector<std::uint64_t> keys;
  std::uint64_t given_out = 0; // bytes, written or about to be
};

ChunkCache::ChunkCache(fs::path directory, std::uint64_t limit)
    : directory_(std::move(directory)), limit_(limit),
      segment_bytes_(std::clamp(limit / 64, std::min(least_segment, limit / 4), most_segment)) {
  make_directories(directory_);
  for (const auto& [number, size] : segments_on_disk())
    scan(number);
  drop_oldest(0);
}

ChunkCache::~ChunkCache() = default;

fs::path ChunkCache::path_of(std::uint64_t number) const {
  return directory_ / fmt::format("{:0{}}{}", number, digits, suffix);
}

// Number and size of each, oldest first.
std::vector<std::pair<std::uint64_t, std::uint64_t>> ChunkCache::segments_on_disk() const {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
  std::error_code code;
  for (fs::directory_iterator it(directory_, code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().native();
    if (name.size() != digits + suffix.size() || !name.ends_with(suffix)) continue;
    std::uint64_t number = 0;
    const auto [stop, error] = std::from_chars(name.data(), name.data() + digits, number);
    if (error != std::errc() || stop != name.data() + digits) continue;
    std::error_code gone;
    const std::uint64_t size = it->file_size(gone);
    if (!gone) found.emplace_back(number, size);
  }
  std::sort(found.begin(), found.end());
  return found;
}

void ChunkCache::scan(std::uint64_t number) {
  auto segment = std::make_shared<Segment>();
  segment->number = number;
  try {
    segment->file = File::open_read(path_of(number));
    const std::uint64_t size = segment->file.size();
    std::byte header[entry_header_size];
    const auto start = std::span(header).first(pack_header_size);
    if (segment->file.read_at(start, 0) != start.size()) return;
    (void)parse_pack_header(start);
    for (std::uint64_t offset = pack_header_size; offset < std::min(size, 2 * most_segment);) {
      if (segment->file.read_at(header, offset) != sizeof header) break;
      const PackEntry entry = parse_entry_header(header, offset);
      const std::uint64_t end = offset + entry_header_size + entry.stored_size;
      if (end > size) break;
      const std::uint64_t key = key_of(entry.id);
      places_[key] = {number, static_cast<std::uint32_t>(offset), entry.stored_size};
      segment->keys.push_back(key);
      offset = end;
    }
  } catch (const Error& error) {
    log_debug(fmt::format("cache file {} is used up to where it makes sense: {}", number,
                          error.message()));
  }
  if (!segment->keys.empty()) segments_.emplace(number, std::move(segment));
}

bool ChunkCache::has(const Digest& id) const {
  const std::lock_guard lock(mutex_);
  return places_.contains(key_of(id));
}

bool ChunkCache::read(const Digest& id, Bytes& plain) {
  const std::uint64_t key = key_of(id);
  std::shared_ptr<Segment> segment;
  Place place;
  {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(key);
    if (found == places_.end()) return false;
    place = found->second;
    const auto held = segments_.find(place.segment);
    if (held == segments_.end()) return false;
    segment = held->second;
  }
  thread_local Bytes bytes;
  try {
    bytes.resize(entry_header_size + place.stored_size);
    bytes.resize(segment->file.read_at(bytes, place.offset));
    const ByteSpan all(bytes);
    if (all.size() < entry_header_size)
      throw Error(ErrorKind::integrity, "the cache file is cut short");
    const PackEntry entry = parse_entry_header(all.first(entry_header_size), place.offset);
    if (entry.id == id) {
      check_stored(entry, all.subspan(entry_header_size), plain);
      return true;
    }
  } catch (const Error& error) {
    log_warning(fmt::format("the cache '{}' forgets what it cannot read back: {}",
                            directory_.native(), error.message()));
  }
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(key);
  if (found != places_.end() && found->second.segment == place.segment &&
      found->second.offset == place.offset)
    places_.erase(found);
  return false;
}

void ChunkCache::add(const PackEntry& entry, ByteSpan stored) {
  if (limit_ == 0) return;
  const std::uint64_t key = key_of(entry.id);
  const std::uint64_t size = entry_header_size + stored.size();
  if (pack_header_size + size > limit_) return;
  std::shared_ptr<Segment> segment;
  std::uint64_t offset = 0;
  try {
    const std::lock_guard lock(mutex_);
    if (places_.contains(key) || std::chrono::steady_clock::now() < rests_until_) return;
    if (!open_ || write_offset_ + size > segment_bytes_ || open_->keys.size() >= segment_places)
      start_segment(std::max(segment_bytes_, pack_header_size + size));
    segment = open_;
    offset = write_offset_;
    write_offset_ += size;
    segment->given_out = write_offset_;
  } catch (const Error& error) {
    const std::lock_guard lock(mutex_);
    rests_until_ = std::chrono::steady_clock::now() + rest;
    log_warning(fmt::format("nothing is kept in the cache for a minute: {}", error.message()));
    return;
  }
  Bytes header;
  append_entry_header(entry, header);
  const bool written = write_whole(segment->file.fd(), header, stored, offset);
  const int code = errno;
  const std::lock_guard lock(mutex_);
  if (written) {
    const auto held = segments_.find(segment->number);
    if (held == segments_.end() || held->second != segment) return; // it was dropped meanwhile
    places_[key] = {segment->number, static_cast<std::uint32_t>(offset), entry.stored_size};
    segment->keys.push_back(key);
    return;
  }
  if (open_ == segment) open_.reset(); // what comes after a gap could not be found again
  if (std::chrono::steady_clock::now() < rests_until_) return;
  rests_until_ = std::chrono::steady_clock::now() + rest;
  log_warning(fmt::format("nothing is kept in the cache '{}' for a minute: {}", directory_.native(),
                          std::strerror(code)));
}

// For a file of at most `room` bytes.
void ChunkCache::start_segment(std::uint64_t room) {
  open_.reset(); // it is as old as any other now
  drop_oldest(room);
  const auto there = segments_on_disk();
  auto segment = std::make_shared<Segment>();
  std::uint64_t number = there.empty() ? 1 : there.back().first + 1;
  int fd = -1;
  for (int attempt = 0; attempt < 100; ++attempt, ++number) {
    fd = ::open(path_of(number).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 || errno != EEXIST) break;
  }
  if (fd < 0) throw system_error(errno, "write", path_of(number).native());
  segment->number = number;
  segment->file = File(fd, path_of(number).native());
  segment->file.write(text_of(encode_pack_header(PackKind::data)));
  segments_[number] = segment;
  open_ = std::move(segment);
  write_offset_ = pack_header_size;
}

// Removes the oldest files until `room` more bytes, and another file's places, keep to the limits.
void ChunkCache::drop_oldest(std::uint64_t room) {
  auto there = segments_on_disk();
  std::uint64_t total = room;
  for (auto& [number, size] : there) {
    const auto ours = segments_.find(number);
    if (ours != segments_.end()) size = std::max(size, ours->second->given_out);
  }
  for (const auto& [number, size] : there)
    total += size;
  for (const auto& [number, size] : there) {
    if (total <= limit_ && places_.size() + segment_places <= most_places) break;
    if (open_ && open_->number == number) continue;
    std::error_code ignored;
    fs::remove(path_of(number), ignored);
    total -= size;
    if (segments_.contains(number)) drop(number);
  }
  // Those that another process removed are let go as well, so that their bytes become free.
  const auto left = segments_on_disk();
  std::vector<std::uint64_t> gone;
  for (const auto& [number, segment] : segments_)
    if (!std::binary_search(left.begin(), left.end(), std::pair(number, std::uint64_t{0}),
                            [](const auto& a, const auto& b) { return a.first < b.first; }))
      gone.push_back(number);
  for (const std::uint64_t number : gone)
    drop(number);
}

void ChunkCache::drop(std::uint64_t number) {
  const auto held = segments_.find(number);
  for (const std::uint64_t key : held->second->keys) {
    const auto place = places_.find(key);
    if (place != places_.end() && place->second.segment == number) places_.erase(place);
  }
  if (open_ == held->second) open_.reset();
  segments_.erase(held);
}

} // namespace mlp::data
