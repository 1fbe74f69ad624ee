// A layout on disk: blobs appear whole or not at all, names point at manifests, garbage goes.
#include "core/base/error.hpp"
#include "core/image/layout.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <thread>

using namespace mlp;
using namespace mlp::image;
using namespace std::chrono_literals;

namespace {

struct Place {
  TemporaryDirectory folder;
  Layout layout{folder.path() / "images", true};

  // An image of one layer.
  Descriptor image(std::string_view content, const Platform& platform = this_platform(),
                   std::optional<Descriptor> subject = {}) {
    Config config{.platform = platform, .diff_ids = {sha256(content)}};
    Manifest manifest;
    manifest.config = layout.put(to_text(config), media::config);
    manifest.layers = {layout.put(content, media::layer)};
    manifest.subject = std::move(subject);
    if (manifest.subject) manifest.artifact_type = "application/spdx+json";
    Descriptor out = layout.put(to_text(manifest), media::manifest);
    out.platform = platform;
    return out;
  }
};

ErrorKind kind_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::run_failed; // thrown by nothing here
}

} // namespace

TEST_CASE("a name points at what it was given last", "[image]") {
  Place place;
  const Descriptor one = place.image("one"), two = place.image("two");
  place.layout.tag("digits:latest", one);
  place.layout.tag("digits:v1", one);
  place.layout.tag("digits:latest", two);
  CHECK(place.layout.find("digits:latest")->digest == two.digest);
  CHECK(place.layout.find("digits:v1")->digest == one.digest);
  CHECK(place.layout.index().manifests.size() == 2);
  CHECK_FALSE(place.layout.find("digits"));
  CHECK(place.layout.untag("digits:v1"));
  CHECK_FALSE(place.layout.untag("digits:v1"));
  CHECK(kind_of([&] { place.layout.tag("x", {.digest = sha256("none")}); }) ==
        ErrorKind::not_found);
  // Another user of the folder sees the same.
  CHECK(Layout(place.layout.folder()).find("digits:latest")->digest == two.digest);
}

TEST_CASE("a blob with other bytes than were expected never appears", "[image]") {
  Place place;
  const auto write = [&](std::optional<Digest> digest, std::optional<std::uint64_t> size) {
    const auto blob = place.layout.writer(digest, size);
    blob->write(std::as_bytes(std::span(std::string_view("abc"))));
    return blob->commit();
  };
  CHECK(kind_of([&] { write(sha256("abd"), {}); }) == ErrorKind::integrity);
  CHECK(kind_of([&] { write(sha256("abc"), 2); }) == ErrorKind::integrity);
  CHECK(kind_of([&] { write(sha256("abc"), 4); }) == ErrorKind::integrity);
  CHECK_FALSE(place.layout.has(sha256("abc")));
  CHECK_FALSE(place.layout.has(sha256("abd")));
  CHECK(fs::is_empty(place.layout.folder() / ".state"));
  CHECK(write(sha256("abc"), 3).digest == sha256("abc"));
  CHECK(place.layout.read(sha256("abc")) == "abc");
}

TEST_CASE("a blob that was changed on disk is noticed", "[image]") {
  Place place;
  const Descriptor blob = place.layout.put("abc", media::layer);
  write_file_atomic(place.layout.blob_path(blob.digest), "abd");
  CHECK(kind_of([&] { (void)place.layout.read(blob.digest); }) == ErrorKind::integrity);
  CHECK(kind_of([&] { (void)place.layout.read(sha256("other")); }) == ErrorKind::not_found);
  CHECK(kind_of([&] { (void)place.layout.open(sha256("other")); }) == ErrorKind::not_found);
}

TEST_CASE("names given by several threads at once are all kept", "[image]") {
  Place place;
  const Descriptor image = place.image("one");
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      Layout mine(place.layout.folder());
      for (int k = 0; k < 5; ++k)
        mine.tag(fmt::format("t{}:{}", i, k), image);
    });
  for (std::thread& thread : threads)
    thread.join();
  CHECK(place.layout.index().manifests.size() == 20);
}

TEST_CASE("a folder that is no layout, or of another version, is refused", "[image]") {
  const TemporaryDirectory folder;
  CHECK(kind_of([&] { const Layout layout(folder.path()); }) == ErrorKind::not_found);
  write_file_atomic(folder.path() / "oci-layout", R"({"imageLayoutVersion":"2.0.0"})");
  CHECK(kind_of([&] { const Layout layout(folder.path()); }) == ErrorKind::config);
}

TEST_CASE("referrers are found by what they speak of", "[image]") {
  Place place;
  const Descriptor image = place.image("one");
  const Descriptor sbom = place.image("sbom", this_platform(), image);
  place.layout.tag("digits:latest", image);
  place.layout.add(sbom);
  place.layout.add(sbom);
  CHECK(place.layout.index().manifests.size() == 2);
  const std::vector<Descriptor> found = place.layout.referrers(image.digest);
  REQUIRE(found.size() == 1);
  CHECK(found[0].digest == sbom.digest);
  CHECK(found[0].artifact_type == "application/spdx+json");
  CHECK(place.layout.referrers(sbom.digest).empty());
}

TEST_CASE("garbage is what no name leads to, referrers of garbage too", "[image]") {
  Place place;
  const Descriptor image = place.image("one"), other = place.image("two");
  const Descriptor sbom = place.image("sbom", this_platform(), image);
  place.layout.tag("digits:latest", image);
  place.layout.tag("other:latest", other);
  place.layout.add(sbom);
  const std::size_t all = 9; // three images of three blobs, whose configurations differ
  CHECK(place.layout.gc(0s, false, {}).blobs == 0);

  place.layout.untag("digits:latest");
  CHECK(place.layout.gc(1h, false, {}).blobs == 0); // too young
  const Layout::Garbage dry = place.layout.gc(0s, true, {});
  CHECK(dry.blobs == 6);
  CHECK(dry.kept == all - 6);
  CHECK(place.layout.has(image.digest));
  const Layout::Garbage done = place.layout.gc(0s, false, {});
  CHECK(done.blobs == dry.blobs);
  CHECK(done.bytes == dry.bytes);
  CHECK_FALSE(place.layout.has(image.digest));
  CHECK_FALSE(place.layout.has(sbom.digest));
  CHECK(place.layout.has(other.digest));
  CHECK(place.layout.index().manifests.size() == 1);
  CHECK(load_image(place.layout, *place.layout.find("other:latest")).manifest.layers.size() == 1);
}

TEST_CASE("an index leads to the image of the platform", "[image]") {
  Place place;
  Index index;
  index.manifests = {place.image("amd", {.architecture = "amd64"}),
                     place.image("arm", {.architecture = "arm64", .variant = "v8"})};
  const Descriptor both = place.layout.put(to_text(index), media::index);
  const Image arm = load_image(place.layout, both, parse_platform("linux/arm64"));
  CHECK(arm.descriptor.digest == index.manifests[1].digest);
  CHECK(arm.config.diff_ids[0] == sha256("arm"));
  try {
    (void)load_image(place.layout, both, parse_platform("linux/s390x"));
    FAIL("no such platform");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::not_found);
    CHECK(error.hints().at(0).find("linux/amd64, linux/arm64/v8") != std::string::npos);
  }
}

TEST_CASE("a configuration of more layers than the manifest is refused", "[image]") {
  Place place;
  Config config{.platform = this_platform(), .diff_ids = {sha256("a"), sha256("b")}};
  Manifest manifest;
  manifest.config = place.layout.put(to_text(config), media::config);
  manifest.layers = {place.layout.put("a", media::layer)};
  const Descriptor bad = place.layout.put(to_text(manifest), media::manifest);
  CHECK(kind_of([&] { (void)load_image(place.layout, bad); }) == ErrorKind::integrity);
}
