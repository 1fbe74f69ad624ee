// Archives of images: what goes in comes out, hostile ones are refused, the same image is the same
// file.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/tar.hpp"
#include "core/image/archive.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::image;

namespace {

struct Place {
  TemporaryDirectory folder;
  Layout layout{folder.path() / "images", true};

  Descriptor image(std::string_view content) {
    Config config{.platform = this_platform(), .diff_ids = {sha256(content)}};
    Manifest manifest;
    manifest.config = layout.put(to_text(config), media::config);
    manifest.layers = {layout.put(content, media::layer)};
    return layout.put(to_text(manifest), media::manifest);
  }
  // A referrer of an image.
  void sbom(const Descriptor& subject) {
    Manifest manifest;
    manifest.artifact_type = "application/spdx+json";
    manifest.config = layout.put("{}", media::empty);
    manifest.layers = {layout.put("{\"sbom\":1}", "application/spdx+json")};
    manifest.subject = subject;
    Descriptor out = layout.put(to_text(manifest), media::manifest);
    out.artifact_type = manifest.artifact_type;
    layout.add(out);
  }
  std::vector<NamedImage> read(const fs::path& file) {
    return read_archive(file, layout, no_progress(), {});
  }
  void write(const Descriptor& image, const std::string& name, const fs::path& file,
             ArchiveFormat format) {
    write_archive(layout, image, name, file, format, false, no_progress(), {});
  }
};

// A tar of what a list says: files, and links as "NAME -> TARGET".
fs::path tar_of(const fs::path& folder,
                const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string bytes;
  TarWriter writer([&](std::string_view part) { bytes += part; });
  for (const auto& [path, content] : entries) {
    if (const auto arrow = path.find(" -> "); arrow != std::string::npos) {
      writer.entry({.kind = TarEntry::Kind::link,
                    .path = path.substr(0, arrow),
                    .target = path.substr(arrow + 4)});
      continue;
    }
    writer.entry({.path = path, .size = content.size(), .mode = 0644});
    writer.data(content);
  }
  writer.end();
  write_file_atomic(folder / "test.tar", bytes);
  return folder / "test.tar";
}

std::string refusal(Place& place, const std::vector<std::pair<std::string, std::string>>& entries) {
  try {
    (void)place.read(tar_of(place.folder.path(), entries));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::integrity);
    return error.message();
  }
  return "accepted";
}

} // namespace

TEST_CASE("an image goes through an oci-archive without what speaks of it", "[image]") {
  Place from, to;
  const Descriptor image = from.image("one");
  from.sbom(image);
  const fs::path file = from.folder.path() / "a.tar";
  from.write(image, "digits:latest", file, ArchiveFormat::oci);
  const std::vector<NamedImage> images = to.read(file);
  REQUIRE(images.size() == 1);
  CHECK(choose_archived(images, "digits", file).manifest.digest == image.digest);
  CHECK(choose_archived(images, "", file).name == "digits:latest");
  CHECK(load_image(to.layout, images[0].manifest).config.diff_ids[0] == sha256("one"));
  CHECK_THROWS_AS(choose_archived(images, "other", file), Error);

  const std::string before = read_file(file);
  CHECK_THROWS_AS(from.write(image, "digits:latest", file, ArchiveFormat::oci), Error);
  fs::remove(file);
  from.write(image, "digits:latest", file, ArchiveFormat::oci);
  CHECK(read_file(file) == before);
}

TEST_CASE("an image goes through a docker-archive with its layers", "[image]") {
  Place from, to;
  const Descriptor image = from.image("one");
  const fs::path file = from.folder.path() / "a.tar";
  from.write(image, "digits:latest", file, ArchiveFormat::docker);
  const std::vector<NamedImage> images = to.read(file);
  REQUIRE(images.size() == 1);
  CHECK(images[0].name == "digits:latest");
  CHECK(load_image(to.layout, images[0].manifest).manifest.layers[0].digest == sha256("one"));
}

TEST_CASE("layers of a docker-archive may be links to those of another image", "[image]") {
  Place place;
  const std::string config =
      to_text(Config{.platform = this_platform(), .diff_ids = {sha256("one"), sha256("one")}});
  const fs::path file =
      tar_of(place.folder.path(),
             {{"a/layer.tar", "one"},
              {"b/layer.tar -> ../a/layer.tar", ""},
              {"c.json", config},
              {"manifest.json",
               R"([{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar","b/layer.tar"]}])"}});
  const std::vector<NamedImage> images = place.read(file);
  REQUIRE(images.size() == 1);
  CHECK(images[0].name.empty());
  CHECK(load_image(place.layout, images[0].manifest).manifest.layers.size() == 2);
}

TEST_CASE("hostile archives are refused", "[image]") {
  Place place;
  const std::string config =
      to_text(Config{.platform = this_platform(), .diff_ids = {sha256("one")}});
  const auto docker = [&](const std::string& manifest) {
    return refusal(place, {{"l.tar", "two"}, {"c.json", config}, {"manifest.json", manifest}});
  };
  CHECK(refusal(place, {}) != "accepted");
  CHECK(refusal(place, {{"a", "b"}}).find("holds neither") != std::string::npos);
  CHECK(refusal(place, {{"blobs/sha256/" + sha256("x").hex(), "y"}}).find("has the digest") !=
        std::string::npos);
  CHECK(refusal(place, {{"blobs/sha256/../../x", "y"}}).find("has a blob with the name") !=
        std::string::npos);
  CHECK(refusal(place, {{"index.json", "{}"}}) != "accepted");
  CHECK(refusal(place, {{"index.json -> /etc/passwd", ""},
                        {"manifest.json -> ../../etc/passwd", ""}}) != "accepted");
  Index index;
  index.manifests = {{.media_type = std::string(media::manifest), .digest = sha256("none")}};
  CHECK(refusal(place, {{"index.json", to_text(index)}}).find("lacks the image") !=
        std::string::npos);
  CHECK(docker("{}") != "accepted");
  CHECK(docker("[1]") != "accepted");
  CHECK(docker("[{}]") != "accepted");
  CHECK(docker(R"([{"Config":"c.json","Layers":["l.tar","l.tar"]}])").find("as many layers") !=
        std::string::npos);
  CHECK(docker(R"([{"Config":"c.json","Layers":["l.tar"]}])").find("does not have the digest") !=
        std::string::npos);
  CHECK(docker(R"([{"Config":"c.json","Layers":["../l.tar"]}])").find("lacks '../l.tar'") !=
        std::string::npos);
  CHECK(docker(R"([{"Config":"/etc/passwd","Layers":["l.tar"]}])").find("lacks") !=
        std::string::npos);
  CHECK(refusal(place, {{"a -> b", ""}, {"b -> a", ""}, {"manifest.json -> a", ""}}) != "accepted");
  CHECK(place.layout.index().manifests.empty());
}
