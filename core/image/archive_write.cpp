// Archives from the blobs of a layout, in an order and with times that depend on nothing else.
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/tar.hpp"
#include "core/image/archive.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace mlp::image {

namespace {

constexpr unsigned deepest = 8;

class Writer {
 public:
  Writer(const Layout& layout, File& file, Progress& progress, const std::stop_token& stop)
      : layout_(layout), file_(file), progress_(progress), stop_(stop),
        tar_([this](std::string_view part) { put(part); }) {}

  void oci(const Descriptor& image, const std::string& name) {
    Index index;
    index.manifests = {image};
    if (!name.empty()) index.manifests.front().annotations[std::string(ref_name_annotation)] = name;
    collect(image, 0);
    begin();
    folder("blobs");
    folder("blobs/sha256");
    for (const auto& [digest, size] : blobs_)
      blob("blobs/sha256/" + digest.hex(), digest, size);
    text("index.json", to_text(index));
    text("oci-layout", dump_json(json_object({{"imageLayoutVersion", "1.0.0"}})));
    end();
  }

  void docker(const Descriptor& descriptor, const std::string& name) {
    const Image image = load_image(layout_, descriptor);
    const Manifest& manifest = image.manifest;
    std::vector<std::string> layers;
    blobs_[manifest.config.digest] = manifest.config.size;
    for (const Descriptor& layer : manifest.layers) {
      layers.push_back(layer.digest.hex() + ".tar");
      blobs_[layer.digest] = layer.size;
    }
    begin();
    const std::string config = manifest.config.digest.hex() + ".json";
    for (const auto& [digest, size] : blobs_)
      blob(digest == manifest.config.digest ? config : digest.hex() + ".tar", digest, size);
    Json list = json_array();
    list.push_back(json_object(
        {{"Config", config},
         {"RepoTags", name.empty() ? std::vector<std::string>{} : std::vector<std::string>{name}},
         {"Layers", layers}}));
    text("manifest.json", dump_json(list));
    end();
  }

 private:
  // The blobs of the image. What speaks of it stays behind: other tools take the one image of an
  // archive without a name, and such an entry would be a second one.
  void collect(const Descriptor& entry, unsigned depth) {
    if (blobs_.contains(entry.digest)) return;
    if (depth == deepest)
      throw Error(ErrorKind::integrity,
                  fmt::format("'{}' is nested too deeply", entry.digest.text()));
    const std::string document = layout_.read(entry.digest);
    blobs_[entry.digest] = document.size();
    if (is_index(entry.media_type)) {
      for (const Descriptor& child : parse_index(document, entry.digest.text()).manifests)
        if (layout_.has(child.digest)) collect(child, depth + 1);
    } else {
      const Manifest manifest = parse_manifest(document, entry.digest.text());
      blobs_[manifest.config.digest] = manifest.config.size;
      for (const Descriptor& layer : manifest.layers)
        blobs_[layer.digest] = layer.size;
    }
  }

  void begin() {
    std::uint64_t total = 0;
    for (const auto& [digest, size] : blobs_)
      total += size;
    progress_.begin("writing", total, ProgressUnit::bytes);
  }

  void folder(const std::string& path) {
    tar_.entry({.kind = TarEntry::Kind::folder, .path = path, .mode = 0755});
  }
  void text(const std::string& path, const std::string& content) {
    tar_.entry({.path = path, .size = content.size(), .mode = 0644});
    tar_.data(content);
  }
  void blob(const std::string& path, const Digest& digest, std::uint64_t size) {
    File source = layout_.open(digest);
    const auto fail = [&] {
      throw Error(ErrorKind::integrity,
                  fmt::format("'{}' does not have the digest of its name, or another size than "
                              "{} bytes",
                              source.name(), size))
          .with_hint("remove the file, then pull or build the image again");
    };
    if (source.size() != size) fail();
    tar_.entry({.path = path, .size = size, .mode = 0644});
    Sha256 sha;
    std::vector<std::byte> block(std::size_t{1} << 20);
    for (std::uint64_t left = size; left > 0;) {
      throw_if_stopped(stop_);
      const std::size_t n =
          source.read(std::span(block).first(std::min<std::uint64_t>(block.size(), left)));
      if (n == 0) fail();
      sha.update(std::span(block).first(n));
      tar_.data({reinterpret_cast<const char*>(block.data()), n});
      progress_.advance(n);
      left -= n;
    }
    if (sha.finish() != digest) fail();
  }

  // The tar writer's parts are small beside a large block.
  void put(std::string_view part) {
    if (buffer_.size() + part.size() > (1u << 20)) flush();
    if (part.size() >= (1u << 20))
      file_.write(part);
    else
      buffer_ += part;
  }
  void flush() {
    file_.write(buffer_);
    buffer_.clear();
  }
  void end() {
    tar_.end();
    flush();
    progress_.end();
  }

  const Layout& layout_;
  File& file_;
  Progress& progress_;
  const std::stop_token& stop_;
  std::string buffer_;
  TarWriter tar_;
  std::map<Digest, std::uint64_t> blobs_; // with their sizes
};

} // namespace

void write_archive(const Layout& layout, const Descriptor& image, const std::string& name,
                   const fs::path& file, ArchiveFormat format, bool replace, Progress& progress,
                   const std::stop_token& stop) {
  if (std::error_code code; !replace && fs::exists(file, code))
    throw Error(ErrorKind::conflict, fmt::format("'{}' exists", file.native()))
        .with_hint("choose another name, or remove it");
  AtomicFile out(file);
  Writer writer(layout, out.file(), progress, stop);
  if (format == ArchiveFormat::oci)
    writer.oci(image, name);
  else
    writer.docker(image, name);
  out.commit();
}

} // namespace mlp::image
