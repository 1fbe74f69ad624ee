// zlib's reader of files takes gzip and plain bytes alike.
#include "core/image/added_archive.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace mlp::image {

namespace {

using Kind = TarEntry::Kind;

struct CloseGzip {
  void operator()(gzFile_s* file) const { gzclose(file); }
};

class ArchiveSource {
 public:
  explicit ArchiveSource(File file) : name_(file.name()) {
    file_.reset(gzdopen(file.fd(), "rb"));
    if (!file_) throw std::bad_alloc();
    static_cast<void>(file.release()); // gzclose() closes it
    static_cast<void>(gzbuffer(file_.get(), 256u << 10));
  }
  std::size_t read(std::span<std::byte> data) {
    const auto wanted = static_cast<unsigned>(std::min<std::size_t>(data.size(), 1u << 30));
    const int n = gzread(file_.get(), data.data(), wanted);
    if (n < 0)
      throw Error(ErrorKind::integrity,
                  fmt::format("'{}' is damaged or cut off", printable(name_)));
    return static_cast<std::size_t>(n);
  }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::unique_ptr<gzFile_s, CloseGzip> file_;
};

struct Magic {
  std::string_view bytes, name;
};
constexpr std::array<Magic, 3> others = {{{"\xfd"
                                           "7zXZ",
                                           "xz"},
                                          {"BZh", "bzip2"},
                                          {"\x28\xb5\x2f\xfd", "zstd"}}};

} // namespace

bool is_archive(File file) {
  std::array<char, 8> start{};
  const std::size_t n = file.read_at(std::as_writable_bytes(std::span(start)), 0);
  const std::string_view head(start.data(), n);
  const std::string name = file.name();
  for (const Magic& other : others)
    if (head.starts_with(other.bytes))
      throw Error(ErrorKind::failed,
                  fmt::format("'{}' is compressed with {}, which ADD does not unpack",
                              printable(name), other.name))
          .with_hint("COPY it and unpack it in a RUN step, or compress it with gzip");
  try {
    ArchiveSource source(std::move(file));
    TarReader tar([&](std::span<std::byte> data) { return source.read(data); }, name);
    return tar.next().has_value();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::integrity) throw;
    return false;
  }
}

std::optional<Layer> archive_layer(Layout& layout, File file, const std::string& target,
                                   const std::vector<std::string>& missing, std::int64_t time,
                                   const std::stop_token& stop) {
  ArchiveSource source(std::move(file));
  TarReader tar([&](std::span<std::byte> data) { return source.read(data); }, source.name());
  LayerWriter writer(layout);
  const auto placed = [&](const std::string& path) {
    if (const auto reason = unsafe_path_reason(path))
      throw Error(ErrorKind::integrity,
                  fmt::format("'{}' has the path '{}': {}", printable(source.name()),
                              printable(path), *reason));
    return target.empty() ? path : fmt::format("{}/{}", target, path);
  };
  for (const std::string& folder : missing)
    writer.tar().entry({.kind = Kind::folder, .path = folder, .modified = time, .mode = 0755});
  std::string buffer(256u << 10, '\0');
  while (std::optional<TarEntry> entry = tar.next()) {
    throw_if_stopped(stop);
    if (entry->path == "." || entry->path.empty()) continue;
    if (entry->kind == Kind::character_device || entry->kind == Kind::block_device) continue;
    entry->path = placed(entry->path);
    if (entry->kind == Kind::hard_link) entry->target = placed(entry->target);
    entry->attributes.clear();
    writer.tar().entry(*entry);
    while (const std::size_t n =
               tar.read(std::as_writable_bytes(std::span(buffer.data(), buffer.size()))))
      writer.tar().data(std::string_view(buffer).substr(0, n));
  }
  return writer.finish();
}

} // namespace mlp::image
