// A raw source (file or memory) and, where the first two bytes are gzip's (RFC 1952), an inflating
// one over it. Members that follow one another count as one stream, as gunzip does it.
#include "core/train/byte_source.hpp"

#include "core/base/error.hpp"
#include "core/base/fs.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace mlp::train {
namespace {

class FileSource final : public ByteSource {
 public:
  FileSource(File file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}
  std::size_t read(std::span<char> data) override {
    return file_.read(std::as_writable_bytes(data));
  }
  const std::string& name() const noexcept override { return name_; }

 private:
  File file_;
  std::string name_;
};

class MemorySource final : public ByteSource {
 public:
  MemorySource(std::span<const char> data, std::string name)
      : data_(data), name_(std::move(name)) {}
  std::size_t read(std::span<char> data) override {
    const std::size_t n = std::min(data.size(), data_.size());
    if (n > 0) std::memcpy(data.data(), data_.data(), n);
    data_ = data_.subspan(n);
    return n;
  }
  const std::string& name() const noexcept override { return name_; }

 private:
  std::span<const char> data_;
  std::string name_;
};

class GzipSource final : public ByteSource {
 public:
  GzipSource(std::unique_ptr<ByteSource> raw, std::span<const char> head)
      : raw_(std::move(raw)), input_(256 * 1024) {
    std::copy(head.begin(), head.end(), input_.begin());
    stream_.next_in = bytes(input_.data());
    stream_.avail_in = static_cast<uInt>(head.size());
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK)
      throw Error(ErrorKind::failed, "cannot set up zlib");
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(GzipSource&&) = delete;

  const std::string& name() const noexcept override { return raw_->name(); }

  std::size_t read(std::span<char> data) override {
    stream_.next_out = bytes(data.data());
    stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(data.size(), 1U << 30));
    const uInt wanted = stream_.avail_out;
    while (stream_.avail_out == wanted) {
      if (stream_.avail_in == 0 && !refill()) {
        if (member_done_) return 0;
        throw Error(ErrorKind::integrity,
                    fmt::format("'{}' ends early: its gzip data is cut off", name()));
      }
      if (member_done_ && !next_member()) return 0;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      member_done_ = status == Z_STREAM_END;
      if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
        throw Error(ErrorKind::integrity,
                    fmt::format("'{}' is damaged: {}", name(),
                                stream_.msg != nullptr ? stream_.msg : "its gzip data is invalid"));
    }
    return wanted - stream_.avail_out;
  }

 private:
  static Bytef* bytes(char* data) noexcept { return reinterpret_cast<Bytef*>(data); }

  bool refill() {
    const std::size_t n = raw_->read(input_);
    stream_.next_in = bytes(input_.data());
    stream_.avail_in = static_cast<uInt>(n);
    return n > 0;
  }
  // After the end of a member: zero padding ends the file, another member goes on.
  bool next_member() {
    while (stream_.avail_in > 0 && *stream_.next_in == 0) {
      ++stream_.next_in;
      --stream_.avail_in;
      if (stream_.avail_in == 0 && !refill()) return false;
    }
    if (inflateReset(&stream_) != Z_OK) throw Error(ErrorKind::failed, "cannot reset zlib");
    member_done_ = false;
    return true;
  }

  std::unique_ptr<ByteSource> raw_;
  std::vector<char> input_;
  z_stream stream_{};
  bool member_done_ = false;
};

// A raw source with its first bytes put back before it.
class PrefixedSource final : public ByteSource {
 public:
  PrefixedSource(std::unique_ptr<ByteSource> raw, std::span<const char> head)
      : raw_(std::move(raw)), head_(head.begin(), head.end()) {}
  std::size_t read(std::span<char> data) override {
    if (head_.empty()) return raw_->read(data);
    const std::size_t n = std::min(data.size(), head_.size());
    std::memcpy(data.data(), head_.data(), n);
    head_.erase(0, n);
    return n;
  }
  const std::string& name() const noexcept override { return raw_->name(); }

 private:
  std::unique_ptr<ByteSource> raw_;
  std::string head_;
};

std::unique_ptr<ByteSource> detect(std::unique_ptr<ByteSource> raw) {
  char head[2] = {};
  std::size_t have = 0;
  while (have < sizeof head) {
    const std::size_t n = raw->read(std::span(head).subspan(have));
    if (n == 0) break;
    have += n;
  }
  const std::span<const char> seen(head, have);
  if (have == 2 && head[0] == '\x1f' && head[1] == '\x8b')
    return std::make_unique<GzipSource>(std::move(raw), seen);
  return std::make_unique<PrefixedSource>(std::move(raw), seen);
}

} // namespace

std::unique_ptr<ByteSource> open_source(const std::filesystem::path& path, std::string name) {
  if (name.empty()) name = path.string();
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw system_error(errno, "read", name);
  if (S_ISDIR(status.st_mode)) throw system_error(EISDIR, "read", name);
  if (!S_ISREG(status.st_mode))
    throw Error(ErrorKind::failed, fmt::format("cannot read '{}': not a regular file", name));
  return detect(std::make_unique<FileSource>(File::open_read(path), std::move(name)));
}

std::unique_ptr<ByteSource> memory_source(std::span<const char> data, std::string name) {
  return detect(std::make_unique<MemorySource>(data, std::move(name)));
}

std::unique_ptr<ByteSource> descriptor_source(int descriptor, std::string name) {
  return detect(std::make_unique<FileSource>(File(descriptor), std::move(name)));
}

std::unique_ptr<ByteSource> unpacked_source(std::unique_ptr<ByteSource> raw) {
  return detect(std::move(raw));
}

std::unique_ptr<ByteSource> peek_source(std::unique_ptr<ByteSource> source, std::size_t size,
                                        std::string& head) {
  head.assign(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const std::size_t n = source->read(std::span(head).subspan(have));
    if (n == 0) break;
    have += n;
  }
  head.resize(have);
  return std::make_unique<PrefixedSource>(std::move(source), head);
}

} // namespace mlp::train
