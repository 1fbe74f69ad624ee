// Bytes go file -> digest of the blob -> decoder -> digest of the tar -> reader of the tar, a
// buffer at a time.
#include "core/image/layer_reader.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <vector>

namespace mlp::image {

namespace {

constexpr std::size_t buffer_size = 256u << 10;

struct FreeZstd {
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

} // namespace

struct LayerReader::State {
  State(File file, Descriptor layer, const Digest& diff_id, Compression compression)
      : blob(std::move(file)), descriptor(std::move(layer)), expected(diff_id), kind(compression),
        name("layer " + descriptor.digest.short_hex()), input(buffer_size),
        tar([this](std::span<std::byte> data) { return read(data); }, name) {
    if (kind == Compression::gzip && inflateInit2(&inflater, 15 + 16) != Z_OK)
      throw Error(ErrorKind::failed, "no memory for zlib");
    if (kind == Compression::zstd) {
      zstd.reset(ZSTD_createDCtx());
      if (!zstd) throw Error(ErrorKind::failed, "no memory for zstd");
    }
  }
  ~State() {
    if (kind == Compression::gzip) inflateEnd(&inflater);
  }
  State(State&&) = delete;

  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorKind::integrity, fmt::format("{} {}", name, what));
  }

  // More of the blob, if what was read is used up; false at its end.
  bool refill() {
    if (at < filled) return true;
    if (blob_ended) return false;
    filled = blob.read(input);
    at = 0;
    blob_ended = filled == 0;
    blob_digest.update(std::span(input).first(filled));
    return !blob_ended;
  }

  std::size_t read(std::span<std::byte> data) {
    if (data.empty()) return 0;
    std::size_t n = 0;
    switch (kind) {
    case Compression::none:
      if (refill()) {
        n = std::min(data.size(), filled - at);
        std::copy_n(input.begin() + static_cast<std::ptrdiff_t>(at), n, data.begin());
        at += n;
      }
      break;
    case Compression::gzip:
      n = inflated(data);
      break;
    case Compression::zstd:
      n = unzstd(data);
      break;
    }
    tar_digest.update(data.first(n));
    position += n;
    return n;
  }

  // Both decoders: `between` is true where one member or frame has ended and none has begun, where
  // alone the blob may end.
  std::size_t inflated(std::span<std::byte> data) {
    const std::size_t wanted = std::min<std::size_t>(data.size(), 1u << 30);
    while (true) {
      if (!refill()) {
        if (!between) fail("is cut off");
        return 0;
      }
      if (between && inflateReset(&inflater) != Z_OK) fail("cannot be decompressed");
      between = false;
      // zlib's own types.
      inflater.next_in = reinterpret_cast<Bytef*>(input.data() + at);
      inflater.avail_in = static_cast<uInt>(filled - at);
      inflater.next_out = reinterpret_cast<Bytef*>(data.data());
      inflater.avail_out = static_cast<uInt>(wanted);
      const int code = inflate(&inflater, Z_NO_FLUSH);
      at = filled - inflater.avail_in;
      if (code == Z_STREAM_END)
        between = true;
      else if (code != Z_OK && code != Z_BUF_ERROR)
        fail("is damaged: it is no gzip, or not all of it");
      if (const std::size_t n = wanted - inflater.avail_out; n > 0) return n;
    }
  }

  std::size_t unzstd(std::span<std::byte> data) {
    while (true) {
      // A frame may have more to give than was asked for, though its bytes are all read.
      const bool more = refill();
      if (!more && between) return 0;
      ZSTD_inBuffer in{input.data(), filled, at};
      ZSTD_outBuffer out{data.data(), data.size(), 0};
      const std::size_t code = ZSTD_decompressStream(zstd.get(), &out, &in);
      if (ZSTD_isError(code) != 0)
        fail(fmt::format("cannot be decompressed: {}", ZSTD_getErrorName(code)));
      at = in.pos;
      between = code == 0;
      if (out.pos > 0) return out.pos;
      if (!more && !between) fail("is cut off");
    }
  }

  void finish() {
    std::vector<std::byte> nowhere(buffer_size);
    while (read(nowhere) > 0) {
    }
    const Digest blob_is = blob_digest.finish();
    if (blob_is != descriptor.digest)
      fail(fmt::format("is damaged: its digest is {}, not {}", blob_is.text(),
                       descriptor.digest.text()));
    const Digest tar_is = tar_digest.finish();
    if (tar_is != expected)
      fail(fmt::format(
          "is not what the image's configuration says: its tar has the digest {}, not {}",
          tar_is.text(), expected.text()));
  }

  File blob;
  Descriptor descriptor;
  Digest expected;
  Compression kind;
  std::string name;
  std::vector<std::byte> input;
  std::size_t at = 0, filled = 0; // of `input`
  bool blob_ended = false;
  bool between = true;
  z_stream inflater{};
  std::unique_ptr<ZSTD_DCtx, FreeZstd> zstd;
  Sha256 blob_digest, tar_digest;
  std::uint64_t position = 0;
  TarReader tar;
};

LayerReader::LayerReader(const Layout& layout, const Descriptor& layer, const Digest& diff_id) {
  const auto compression = layer_compression(layer.media_type);
  if (!compression)
    throw Error(ErrorKind::integrity,
                fmt::format("layer {} is of the type '{}', which is not read",
                            layer.digest.short_hex(), printable(layer.media_type)));
  File file = layout.open(layer.digest);
  if (const std::uint64_t size = file.size(); size != layer.size)
    throw Error(ErrorKind::integrity, fmt::format("layer {} has {} bytes, and should have {}",
                                                  layer.digest.short_hex(), size, layer.size));
  state_ = std::make_unique<State>(std::move(file), layer, diff_id, *compression);
}

LayerReader::~LayerReader() = default;

TarReader& LayerReader::tar() noexcept {
  return state_->tar;
}

void LayerReader::finish() {
  state_->finish();
}

std::uint64_t LayerReader::position() const noexcept {
  return state_->position;
}

} // namespace mlp::image
