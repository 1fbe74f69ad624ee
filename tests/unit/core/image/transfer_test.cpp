// Images between layouts: what moves, what stays, and what is refused.
#include "core/base/error.hpp"
#include "core/image/transfer.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::image;

namespace {

struct Place {
  TemporaryDirectory folder;
  Layout layout{folder.path() / "images", true};

  Descriptor image(std::string_view content, const Platform& platform = this_platform(),
                   const std::optional<Descriptor>& subject = {}) {
    const Config config{.platform = platform, .diff_ids = {sha256(content)}};
    Manifest manifest;
    manifest.config = layout.put(to_text(config), media::config);
    manifest.layers = {layout.put(content, media::layer)};
    manifest.subject = subject;
    if (subject) manifest.artifact_type = "application/spdx+json";
    Descriptor out = layout.put(to_text(manifest), media::manifest);
    out.platform = platform;
    if (subject) layout.add(out);
    return out;
  }
  Descriptor index(const std::vector<Descriptor>& manifests) {
    return layout.put(to_text(Index{.manifests = manifests}), media::index);
  }
};

Transferred move(Place& from, const Descriptor& image, Place& to,
                 const TransferOptions& options = {}) {
  const auto source = layout_source(from.layout, image);
  const auto target = layout_target(to.layout, "app:latest");
  return transfer(*source, *target, options, no_progress());
}

ErrorKind refusal(Place& from, const Descriptor& image) {
  Place to;
  try {
    move(from, image, to, {.all_platforms = true});
  } catch (const Error& error) {
    CHECK_FALSE(to.layout.find("app:latest"));
    return error.kind();
  }
  return ErrorKind::run_failed; // thrown by nothing here
}

} // namespace

TEST_CASE("only what the target lacks is moved", "[image]") {
  Place from, to;
  const Descriptor image = from.image("one");
  const Transferred first = move(from, image, to);
  CHECK(first.blobs == 2);
  CHECK(first.moved == 2);
  CHECK(move(from, image, to).moved == 0);
  CHECK(to.layout.find("app:latest")->digest == image.digest);
  CHECK(to.layout.find("app:latest")->platform == this_platform());
  CHECK(load_image(to.layout, image).config.diff_ids[0] == sha256("one"));
}

TEST_CASE("one platform moves, or all of them", "[image]") {
  Place from, one, all;
  const Descriptor arm = from.image("arm", {.architecture = "arm64"});
  const Descriptor both = from.index({from.image("amd", {.architecture = "amd64"}), arm});
  CHECK(move(from, both, one, {.platform = {.architecture = "arm64"}}).manifest.digest ==
        arm.digest);
  CHECK_FALSE(one.layout.has(sha256("amd")));
  CHECK(move(from, both, all, {.all_platforms = true}).manifest.digest == both.digest);
  CHECK(all.layout.has(sha256("amd")));
  CHECK(all.layout.has(sha256("arm")));
  CHECK(all.layout.index().manifests.size() == 1);
}

TEST_CASE("what speaks of an image, and of that, comes along", "[image]") {
  Place from, to, bare;
  const Descriptor image = from.image("one");
  const Descriptor sbom = from.image("sbom", this_platform(), image);
  const Descriptor signature = from.image("signature", this_platform(), sbom);
  CHECK(move(from, image, to).referrers == 2);
  CHECK(to.layout.referrers(sbom.digest).at(0).digest == signature.digest);
  CHECK(move(from, image, bare, {.referrers = false}).referrers == 0);
  CHECK_FALSE(bare.layout.has(sha256("sbom")));
}

TEST_CASE("an image that is not whole gets no name", "[image]") {
  Place from;
  const Descriptor image = from.image("one");
  fs::remove(from.layout.blob_path(sha256("one")));
  CHECK(refusal(from, image) == ErrorKind::not_found);
  write_file_atomic(from.layout.blob_path(sha256("one")), "two");
  CHECK(refusal(from, image) == ErrorKind::integrity);
}

TEST_CASE("documents that are named with another size or type are refused", "[image]") {
  Place from;
  Descriptor image = from.image("one");
  ++image.size;
  CHECK(refusal(from, from.index({image})) == ErrorKind::integrity);
  --image.size;
  image.media_type = media::index;
  CHECK(refusal(from, from.index({image})) == ErrorKind::integrity);
  Descriptor deep = from.image("one");
  for (int i = 0; i < 20; ++i)
    deep = from.index({deep});
  CHECK(refusal(from, deep) == ErrorKind::integrity);
}
