// The walk of a copy, written as tar; and tar unpacked into a folder that import_run() then reads.
// Source of the compression: RFC 8878 (zstd), through libzstd.
#include "core/track/run_archive.hpp"

#include "core/base/error.hpp"
#include "core/base/tar.hpp"
#include "core/base/text.hpp"
#include "core/track/run_record.hpp"
#include "core/track/run_walk.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <set>

namespace mlp::track {

namespace {

constexpr std::size_t piece = 256u << 10;
constexpr std::uint64_t most_padding = 64u << 20;
constexpr std::array<unsigned char, 4> zstd_magic = {0x28, 0xb5, 0x2f, 0xfd};

// Compresses what it is given.
class ZstdSink {
 public:
  explicit ZstdSink(const ArchiveSink& sink)
      : sink_(sink), context_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
    if (!context_) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
  }
  void write(std::string_view text) { run(text, ZSTD_e_continue); }
  void end() { run({}, ZSTD_e_end); }

 private:
  void run(std::string_view text, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{text.data(), text.size(), 0};
    while (true) {
      ZSTD_outBuffer out{buffer_.data(), buffer_.size(), 0};
      const std::size_t left = ZSTD_compressStream2(context_.get(), &out, &in, directive);
      if (ZSTD_isError(left) != 0)
        throw Error(ErrorKind::failed, fmt::format("zstd: {}", ZSTD_getErrorName(left)));
      if (out.pos > 0) sink_({buffer_.data(), out.pos});
      if (directive == ZSTD_e_end ? left == 0 : in.pos == in.size) return;
    }
  }

  const ArchiveSink& sink_;
  std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context_;
  std::string buffer_ = std::string(ZSTD_CStreamOutSize(), '\0');
};

// Reads through zstd if the first bytes say so.
class MaybeZstdSource {
 public:
  MaybeZstdSource(const ArchiveSource& source, std::string name)
      : source_(source), name_(std::move(name)), context_(nullptr, ZSTD_freeDCtx) {
    while (end_ < zstd_magic.size() && fill()) {
    }
    if (end_ >= zstd_magic.size() && std::memcmp(buffer_.data(), zstd_magic.data(), 4) == 0) {
      context_.reset(ZSTD_createDCtx());
      if (!context_) throw std::bad_alloc();
    }
  }

  std::size_t read(std::span<std::byte> data) {
    if (data.empty()) return 0;
    if (!context_) {
      if (begin_ == end_ && !fill()) return 0;
      const std::size_t n = std::min(data.size(), end_ - begin_);
      std::memcpy(data.data(), buffer_.data() + begin_, n);
      begin_ += n;
      return n;
    }
    ZSTD_outBuffer out{data.data(), data.size(), 0};
    while (out.pos == 0) {
      if (begin_ == end_ && !fill()) {
        if (in_frame_) throw Error(ErrorKind::integrity, fmt::format("'{}' is cut off", name_));
        return 0;
      }
      ZSTD_inBuffer in{buffer_.data(), end_, begin_};
      const std::size_t hint = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(hint) != 0)
        throw Error(ErrorKind::integrity,
                    fmt::format("'{}' is damaged: {}", name_, ZSTD_getErrorName(hint)));
      in_frame_ = hint != 0;
      begin_ = in.pos;
    }
    return out.pos;
  }

 private:
  bool fill() {
    if (begin_ == end_) begin_ = end_ = 0;
    const std::size_t n =
        source_(std::as_writable_bytes(std::span(buffer_.data() + end_, buffer_.size() - end_)));
    end_ += n;
    return n > 0;
  }

  const ArchiveSource& source_;
  std::string name_;
  std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context_;
  std::string buffer_ = std::string(piece, '\0');
  std::size_t begin_ = 0, end_ = 0;
  bool in_frame_ = false;
};

void archive_file(const fs::path& path, TarEntry entry, TarWriter& tar, const std::stop_token& stop,
                  Progress& progress, CopiedRun& out) {
  File file = open_plain(path);
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) throw system_error(errno, "read", path.native());
  entry.size = static_cast<std::uint64_t>(info.st_size);
  entry.modified = info.st_mtim.tv_sec;
  tar.entry(entry);
  std::string buffer(piece, '\0');
  for (std::uint64_t left = entry.size; left > 0;) {
    if (stop.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size()));
    const std::size_t n = file.read(std::as_writable_bytes(std::span(buffer.data(), wanted)));
    if (n == 0)
      throw Error(ErrorKind::conflict,
                  fmt::format("'{}' was cut while it was read", printable(path.native())));
    tar.data(std::string_view(buffer).substr(0, n));
    progress.advance(n);
    left -= n;
  }
  ++out.files;
  out.bytes += entry.size;
}

class Unpacker {
 public:
  Unpacker(fs::path folder, const std::string& name, const std::stop_token& stop,
           Progress& progress, const CopyLimits& limits)
      : folder_(std::move(folder)), name_(name), stop_(stop), progress_(progress), limits_(limits) {
  }

  void take(const TarEntry& entry, TarReader& tar) {
    if (stop_.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
    if (++entries_ > limits_.entries)
      fail(fmt::format("has more than {} entries", limits_.entries));
    if (entry.path == ".") return; // `tar -C FOLDER -c .`
    check(entry.path);
    if (entry.kind == TarEntry::Kind::folder) return make_folder(entry.path);
    make_folder(fs::path(entry.path).parent_path().native());
    if (entry.kind == TarEntry::Kind::file) return make_file(entry, tar);
    if (entry.kind != TarEntry::Kind::link)
      fail(fmt::format("has '{}', which is neither file nor folder nor symbolic link",
                       printable(entry.path)));
    check(entry.target);
    if (::symlink(entry.target.c_str(), (folder_ / entry.path).c_str()) != 0) fail_at(entry.path);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorKind::integrity, fmt::format("'{}' {}", printable(name_), what))
        .with_hint("nothing of it was taken in");
  }
  [[noreturn]] void fail_at(const std::string& path) const {
    if (errno == EEXIST) fail(fmt::format("has '{}' twice", printable(path)));
    throw system_error(errno, "unpack", (folder_ / path).native());
  }

  void check(const std::string& path) const {
    if (const auto reason = unsafe_path_reason(path))
      fail(fmt::format("has the path '{}': {}", printable(path), *reason));
    if (static_cast<std::size_t>(std::count(path.begin(), path.end(), '/')) > limits_.depth + 1)
      fail(fmt::format("has folders in folders deeper than {}", limits_.depth));
  }

  // With those above it. Only folders that were made here are entered: never a link.
  void make_folder(const std::string& path) {
    if (path.empty() || folders_.contains(path)) return;
    make_folder(fs::path(path).parent_path().native());
    if (folders_.size() > limits_.entries) fail("has too many folders");
    if (::mkdir((folder_ / path).c_str(), 0755) != 0) fail_at(path);
    folders_.insert(path);
  }

  void make_file(const TarEntry& entry, TarReader& tar) {
    bytes_ += std::min(entry.size, limits_.bytes + 1);
    if (bytes_ > limits_.bytes) fail(fmt::format("is larger than {}", format_bytes(limits_.bytes)));
    const fs::path path = folder_ / entry.path;
    File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                     (entry.mode & 0100) != 0 ? 0755 : 0644),
              path.native());
    if (!file.is_open()) fail_at(entry.path);
    std::string buffer(piece, '\0');
    while (const std::size_t n =
               tar.read(std::as_writable_bytes(std::span(buffer.data(), buffer.size())))) {
      if (stop_.stop_requested()) throw Error(ErrorKind::interrupted, "interrupted");
      file.write(std::string_view(buffer).substr(0, n));
      progress_.advance(n);
    }
  }

  fs::path folder_;
  const std::string& name_;
  const std::stop_token& stop_;
  Progress& progress_;
  const CopyLimits& limits_;
  std::set<std::string, std::less<>> folders_;
  std::uint64_t entries_ = 0, bytes_ = 0;
};

} // namespace

CopiedRun archive_run(const RunFolder& run, bool compressed, const ArchiveSink& sink,
                      const std::stop_token& stop, Progress& progress, const CopyLimits& limits) {
  CopiedRun out;
  out.run = run;
  out.damaged = check_ended(run).damaged;
  std::optional<ZstdSink> zstd;
  if (compressed) zstd.emplace(sink);
  TarWriter tar([&](std::string_view text) {
    if (zstd)
      zstd->write(text);
    else
      sink(text);
  });
  RunWalk walk(run.root, false, limits, stop);
  progress.begin("archiving", 0, ProgressUnit::bytes);
  tar.entry({.kind = TarEntry::Kind::folder, .path = run.id(), .mode = 0755});
  walk.run([&](const WalkEntry& found) {
    TarEntry entry{.path = (fs::path(run.id()) / found.path).native(),
                   .target = found.target,
                   .mode =
                       found.executable || found.kind == WalkEntry::Kind::folder ? 0755U : 0644U};
    if (found.kind == WalkEntry::Kind::file)
      return archive_file(run.root / found.path, entry, tar, stop, progress, out);
    entry.kind =
        found.kind == WalkEntry::Kind::folder ? TarEntry::Kind::folder : TarEntry::Kind::link;
    tar.entry(entry);
  });
  tar.end();
  if (zstd) zstd->end();
  progress.end();
  out.left_out = std::move(walk.left_out);
  out.copied = true;
  return out;
}

void unpack_archive(const ArchiveSource& source, const std::string& name, const fs::path& folder,
                    const std::stop_token& stop, Progress& progress, const CopyLimits& limits) {
  MaybeZstdSource plain(source, name);
  TarReader tar([&](std::span<std::byte> data) { return plain.read(data); }, name);
  Unpacker unpacker(folder, name, stop, progress, limits);
  progress.begin("unpacking", 0, ProgressUnit::bytes);
  while (const std::optional<TarEntry> entry = tar.next())
    unpacker.take(*entry, tar);
  // To the very end: only there a compressed frame has its checksum. Programs pad archives to
  // whole records.
  std::string rest(piece, '\0');
  std::uint64_t padding = 0;
  while (const std::size_t n =
             plain.read(std::as_writable_bytes(std::span(rest.data(), rest.size()))))
    if ((padding += n) > most_padding)
      throw Error(ErrorKind::integrity,
                  fmt::format("'{}' goes on behind its end", printable(name)));
  progress.end();
}

} // namespace mlp::track
