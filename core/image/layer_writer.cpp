// Tar to gzip to blob.
#include "core/image/layer_writer.hpp"

#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/text.hpp"
#include "core/image/gzip_writer.hpp"

#include <fmt/format.h>

#include <string>

namespace mlp::image {

namespace {
constexpr std::size_t piece = 256u << 10;
} // namespace

struct LayerWriter::State {
  State(Layout& layout, unsigned threads)
      : blob(layout.writer()),
        gzip([this](std::span<const std::byte> part) { blob->write(part); }, threads),
        tar([this](std::string_view part) {
          plain.update(part);
          bytes += part.size();
          gzip.write(part);
        }) {}

  std::unique_ptr<BlobWriter> blob;
  Sha256 plain;
  std::uint64_t bytes = 0;
  GzipWriter gzip;
  TarWriter tar;
};

LayerWriter::LayerWriter(Layout& layout, unsigned threads)
    : state_(std::make_unique<State>(layout, threads)) {}

LayerWriter::~LayerWriter() = default;

TarWriter& LayerWriter::tar() noexcept {
  return state_->tar;
}

Layer LayerWriter::finish() {
  state_->tar.end();
  state_->gzip.end();
  Layer layer{state_->blob->commit(), state_->plain.finish(), state_->bytes};
  layer.descriptor.media_type = media::layer_gzip;
  return layer;
}

void write_file_entry(TarWriter& tar, TarEntry entry, File& file, const std::stop_token& stop) {
  entry.size = file.size();
  tar.entry(entry);
  std::string buffer(std::min<std::uint64_t>(piece, entry.size), '\0');
  for (std::uint64_t left = entry.size; left > 0;) {
    throw_if_stopped(stop);
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size()));
    const std::size_t n = file.read(std::as_writable_bytes(std::span(buffer.data(), wanted)));
    if (n == 0)
      throw Error(ErrorKind::conflict,
                  fmt::format("'{}' was cut while it was read", printable(file.name())));
    tar.data(std::string_view(buffer).substr(0, n));
    left -= n;
  }
}

} // namespace mlp::image
