// Layers as tars: every compression, members and frames one after the other, and damage.
#include "core/base/error.hpp"
#include "core/image/layer_reader.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

using namespace mlp;
using namespace mlp::image;

namespace {

std::string tar_of(std::size_t files, std::size_t size) {
  std::string out;
  TarWriter writer([&](std::string_view part) { out += part; });
  for (std::size_t i = 0; i < files; ++i) {
    writer.entry({.path = fmt::format("f{}", i), .size = size, .mode = 0644});
    writer.data(std::string(size, static_cast<char>('a' + i % 26)));
  }
  writer.end();
  return out;
}

std::string gzip(std::string_view text) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const std::size_t n = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3);
  REQUIRE(ZSTD_isError(n) == 0);
  out.resize(n);
  return out;
}

struct Place {
  TemporaryDirectory folder;
  Layout layout{folder.path() / "images", true};

  // How many bytes the files of the layer have; what is thrown is left to the caller.
  std::uint64_t read(std::string_view blob, std::string_view type, const Digest& diff_id,
                     bool content = true) {
    const Descriptor layer = layout.put(blob, type);
    LayerReader reader(layout, layer, diff_id);
    std::uint64_t bytes = 0;
    std::vector<std::byte> buffer(1000);
    while (reader.tar().next())
      while (content) {
        const std::size_t n = reader.tar().read(buffer);
        if (n == 0) break;
        bytes += n;
      }
    reader.finish();
    return bytes;
  }
  std::string error(std::string_view blob, std::string_view type, const Digest& diff_id) {
    try {
      static_cast<void>(read(blob, type, diff_id));
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::integrity);
      return error.message();
    }
    return "none";
  }
};

} // namespace

TEST_CASE("a layer reads the same however it is compressed", "[image]") {
  Place place;
  const std::string tar = tar_of(30, 50000);
  const Digest id = sha256(tar);
  CHECK(place.read(tar, media::layer, id) == 1500000);
  CHECK(place.read(tar, media::docker_layer, id, false) == 0);
  CHECK(place.read(gzip(tar), media::layer_gzip, id) == 1500000);
  CHECK(place.read(gzip(tar), media::docker_layer_gzip, id) == 1500000);
  CHECK(place.read(zstd(tar), media::layer_zstd, id) == 1500000);
  // As parallel compressors write it.
  std::string members, frames;
  for (std::size_t at = 0; at < tar.size(); at += 100000) {
    members += gzip(std::string_view(tar).substr(at, 100000));
    frames += zstd(std::string_view(tar).substr(at, 100000));
  }
  CHECK(place.read(members, media::layer_gzip, id) == 1500000);
  CHECK(place.read(frames, media::layer_zstd, id) == 1500000);
}

TEST_CASE("a layer that is damaged, cut off or another is refused", "[image]") {
  Place place;
  const std::string tar = tar_of(3, 5000);
  const Digest id = sha256(tar);
  const std::string packed = gzip(tar), frame = zstd(tar);
  const auto contains = [](const std::string& text) { return Catch::Matchers::Contains(text); };
  CHECK_THAT(place.error(packed, media::layer_gzip, sha256("else")),
             contains("is not what the image's configuration says"));
  CHECK_THAT(place.error(packed.substr(0, packed.size() - 9), media::layer_gzip, id),
             contains("is cut off"));
  CHECK_THAT(place.error(packed.substr(0, packed.size() / 2), media::layer_gzip, id),
             contains("is cut off"));
  CHECK_THAT(place.error(frame.substr(0, frame.size() / 2), media::layer_zstd, id),
             contains("is cut off"));
  CHECK_THAT(place.error(packed + "rubbish", media::layer_gzip, id), contains("is damaged"));
  CHECK_THAT(place.error(tar, media::layer_gzip, id), contains("is damaged"));
  CHECK_THAT(place.error(tar, media::layer_zstd, id), contains("cannot be decompressed"));
  CHECK_THAT(place.error(packed, media::layer, id), contains("no tar archive"));
  CHECK_THAT(place.error(tar, "application/vnd.oci.image.layer.v1.tar+xz", id),
             contains("is of the type"));
  // Bytes other than the digest says, in the padding where no decoder looks.
  Descriptor layer = place.layout.put(tar, media::layer);
  fs::permissions(place.layout.blob_path(layer.digest), fs::perms::owner_write,
                  fs::perm_options::add);
  std::string changed = tar;
  changed.back() = 'x';
  write_file_atomic(place.layout.blob_path(layer.digest), changed);
  LayerReader reader(place.layout, layer, id);
  while (reader.tar().next()) {
  }
  CHECK_THROWS_WITH(reader.finish(), contains("is damaged: its digest is"));
}
