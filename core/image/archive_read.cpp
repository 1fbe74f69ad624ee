// Every file of the archive becomes a blob on the way, since what names them may stand at the end.
// Then index.json or manifest.json says which of them are images; the rest is garbage.
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/tar.hpp"
#include "core/base/text.hpp"
#include "core/image/archive.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

namespace mlp::image {

namespace {

// More entries are no image: 1024 layers of three files each, and some.
constexpr std::size_t most_entries = 20'000;
constexpr std::string_view blob_folder = "blobs/sha256/";
// The name that newer Dockers write beside the tag.
constexpr std::string_view docker_name_annotation = "io.containerd.image.name";

// The path of a link's target in the archive: "a/layer.tar" and "../b/layer.tar" are "b/layer.tar".
std::string joined(const std::string& path, const std::string& target) {
  return (fs::path(path).parent_path() / target).lexically_normal().native();
}

class Archive {
 public:
  Archive(const fs::path& path, Layout& into, Progress& progress, const std::stop_token& stop)
      : path_(path), into_(into), progress_(progress), stop_(stop) {}

  std::vector<NamedImage> read() {
    File file = File::open_read(path_);
    progress_.begin("reading", file.size(), ProgressUnit::bytes);
    TarReader tar(
        [&](std::span<std::byte> data) {
          throw_if_stopped(stop_);
          const std::size_t n = file.read(data);
          progress_.advance(n);
          return n;
        },
        fmt::format("'{}'", path_.native()));
    while (const std::optional<TarEntry> entry = tar.next())
      take(tar, *entry);
    progress_.end();
    if (files_.contains("index.json")) return oci_images();
    if (files_.contains("manifest.json")) return docker_images();
    fail("holds neither an OCI image layout nor what docker save writes");
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorKind::integrity, fmt::format("'{}' {}", path_.native(), what));
  }

  void take(TarReader& tar, const TarEntry& entry) {
    if (files_.size() + links_.size() >= most_entries) fail("has too many entries");
    if (entry.kind == TarEntry::Kind::link) links_[entry.path] = joined(entry.path, entry.target);
    if (entry.kind == TarEntry::Kind::hard_link) links_[entry.path] = entry.target;
    if (entry.kind != TarEntry::Kind::file) return;
    if (entry.sparse) fail("has a file with holes"); // a few bytes would fill the disk
    std::optional<Digest> expected;
    if (entry.path.starts_with(blob_folder)) {
      const std::string hex = entry.path.substr(blob_folder.size());
      expected = parse_digest(hex);
      if (!expected || expected->hex() != hex)
        fail(fmt::format("has a blob with the name '{}'", printable(hex)));
    }
    const std::unique_ptr<BlobWriter> writer = into_.writer(expected, entry.size);
    std::vector<std::byte> block(std::size_t{256} << 10);
    while (const std::size_t n = tar.read(block))
      writer->write(std::span(block).first(n));
    files_[entry.path] = writer->commit();
  }

  // The file of that path, through links.
  [[nodiscard]] const Descriptor& file(std::string path) const {
    for (int hops = 0; hops < 8; ++hops) {
      if (const auto found = files_.find(path); found != files_.end()) return found->second;
      const auto link = links_.find(path);
      if (link == links_.end()) break;
      path = link->second;
    }
    fail(fmt::format("lacks '{}'", printable(path)));
  }

  [[nodiscard]] std::string what(std::string_view part) const {
    return fmt::format("'{}' in '{}'", part, path_.native());
  }

  std::vector<NamedImage> oci_images() {
    std::vector<NamedImage> out;
    for (const Descriptor& entry :
         parse_index(into_.read(file("index.json").digest), what("index.json")).manifests) {
      if (!into_.has(entry.digest)) fail(fmt::format("lacks the image '{}'", entry.digest.text()));
      NamedImage image{.name = {}, .manifest = entry};
      for (const std::string_view key : {ref_name_annotation, docker_name_annotation})
        if (const auto name = entry.annotations.find(key); name != entry.annotations.end())
          image.name = name->second;
      image.manifest.annotations.erase(std::string(ref_name_annotation));
      image.manifest.annotations.erase(std::string(docker_name_annotation));
      out.push_back(std::move(image));
    }
    return out;
  }

  std::string_view layer_type(const Descriptor& layer) const {
    std::array<std::byte, 4> head{};
    const std::size_t n = into_.open(layer.digest).read_at(head, 0);
    const std::string_view magic(reinterpret_cast<const char*>(head.data()), n);
    if (magic.starts_with("\x1f\x8b")) return media::layer_gzip;
    if (magic == "\x28\xb5\x2f\xfd") return media::layer_zstd;
    return media::layer;
  }

  Descriptor docker_image(const Json& entry) {
    const std::string where = what("manifest.json");
    Manifest manifest;
    manifest.config = file(json_string(entry, "Config", where));
    manifest.config.media_type = media::config;
    const Config config = parse_config(into_.read(manifest.config.digest), what("configuration"));
    const Json& layers = json_member(entry, "Layers", where);
    if (!layers.is_array() || layers.size() != config.diff_ids.size())
      fail("does not have as many layers as its configuration says");
    for (const Json& layer : layers) {
      if (!layer.is_string()) fail("names a layer by something else than a path");
      Descriptor blob = file(layer.get<std::string>());
      blob.media_type = layer_type(blob);
      if (blob.media_type == media::layer && blob.digest != config.diff_ids[manifest.layers.size()])
        fail(fmt::format("has the layer '{}', which does not have the digest that the "
                         "configuration gives it",
                         printable(layer.get<std::string>())));
      manifest.layers.push_back(std::move(blob));
    }
    Descriptor out = into_.put(to_text(manifest), media::manifest);
    out.platform = config.platform;
    return out;
  }

  std::vector<NamedImage> docker_images() {
    const std::string where = what("manifest.json");
    try {
      const Json list = parse_json(into_.read(file("manifest.json").digest), where);
      if (!list.is_array()) fail("has a manifest.json that is no list");
      std::vector<NamedImage> out;
      for (const Json& entry : list) {
        if (!entry.is_object()) fail("has a manifest.json that is no list of objects");
        const Descriptor image = docker_image(entry);
        bool named = false;
        if (const auto tags = entry.find("RepoTags"); tags != entry.end() && tags->is_array())
          for (const Json& tag : *tags)
            if (tag.is_string()) {
              out.push_back({.name = tag.get<std::string>(), .manifest = image});
              named = true;
            }
        if (!named) out.push_back({.name = {}, .manifest = image});
      }
      return out;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::config) throw; // a member that is wrong
      throw Error(ErrorKind::integrity, error.message());
    }
  }

  const fs::path& path_;
  Layout& into_;
  Progress& progress_;
  const std::stop_token& stop_;
  std::map<std::string, Descriptor> files_;
  std::map<std::string, std::string> links_; // to the path of their target
};

} // namespace

std::vector<NamedImage> read_archive(const fs::path& file, Layout& into, Progress& progress,
                                     const std::stop_token& stop) {
  try {
    return Archive(file, into, progress, stop).read();
  } catch (Error& error) {
    if (error.kind() == ErrorKind::integrity)
      error.add_hint("an archive of images is made by: mlp image export, docker save, podman save, "
                     "skopeo copy; a compressed one is decompressed first");
    throw;
  }
}

NamedImage choose_archived(const std::vector<NamedImage>& images, std::string_view name,
                           const fs::path& file) {
  std::vector<const NamedImage*> found;
  std::vector<std::string> names;
  std::vector<std::string> wanted{std::string(name)};
  try {
    wanted.push_back(local_name(name));
    wanted.push_back(parse_reference(name).text());
  } catch (const Error&) {
    // Then it has just that name, or none.
  }
  for (const NamedImage& image : images) {
    if (image.name.empty() && !image.manifest.artifact_type.empty()) continue; // a referrer
    if (!image.name.empty()) names.push_back(image.name);
    if (name.empty() || std::ranges::find(wanted, image.name) != wanted.end())
      found.push_back(&image);
  }
  if (found.empty())
    throw Error(ErrorKind::not_found,
                fmt::format("no image '{}' in '{}'", printable(name), file.native()))
        .with_hint(names.empty() ? "it names no image; leave the name out"
                                 : fmt::format("it has: {}", printable(join(names, ", "))));
  const bool several = std::ranges::any_of(found, [&](const NamedImage* image) {
    return image->manifest.digest != found.front()->manifest.digest;
  });
  if (several)
    throw Error(ErrorKind::conflict, fmt::format("'{}' holds several images", file.native()))
        .with_hint(fmt::format("name one of them: {}", printable(join(names, ", "))));
  return *found.front();
}

} // namespace mlp::image
