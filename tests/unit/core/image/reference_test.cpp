// Names of images: Docker's defaults, the grammar's limits, and how they are looked up locally.
#include "core/base/error.hpp"
#include "core/image/reference.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::image;

namespace {
const std::string hex(64, 'a');
}

TEST_CASE("a reference has Docker's defaults", "[image]") {
  const auto text = [](std::string_view name) { return parse_reference(name).text(); };
  CHECK(text("debian") == "docker.io/library/debian:latest");
  CHECK(text("debian:bookworm") == "docker.io/library/debian:bookworm");
  CHECK(text("docker.io/debian") == "docker.io/library/debian:latest");
  CHECK(text("index.docker.io/team/app") == "docker.io/team/app:latest");
  CHECK(text("team/app:v1") == "docker.io/team/app:v1");
  CHECK(text("localhost/app") == "localhost/app:latest");
  CHECK(text("localhost:5000/app") == "localhost:5000/app:latest");
  CHECK(text("[::1]:5000/app:x") == "[::1]:5000/app:x");
  CHECK(text("Quay.io/a__b/c--d.e:T-1") == "Quay.io/a__b/c--d.e:T-1");
  CHECK(text("app@sha256:" + hex) == "docker.io/library/app@sha256:" + hex);
  CHECK(text("h:1/app:t@sha256:" + hex) == "h:1/app:t@sha256:" + hex);
  CHECK(parse_reference("h:1/app:t@sha256:" + hex).selector() == "sha256:" + hex);
}

TEST_CASE("what is no reference is refused", "[image]") {
  for (const std::string& name : {std::string(),
                                  std::string("Debian"),
                                  std::string("a//b"),
                                  std::string("/a"),
                                  std::string("a/"),
                                  std::string("a:"),
                                  std::string("a:-x"),
                                  std::string("a:b:c"),
                                  std::string("-a"),
                                  std::string("a-"),
                                  std::string("a..b"),
                                  std::string("a___b"),
                                  std::string("a b"),
                                  std::string("a@sha256:12"),
                                  std::string("a@sha256:") + std::string(64, 'A'),
                                  std::string("h:x/a"),
                                  std::string("h:123456/a"),
                                  std::string("[::1/a"),
                                  std::string("[]:5000/a"),
                                  std::string("a.b-/c"),
                                  std::string("localhost:5000/../x"),
                                  "a:" + std::string(129, 't'),
                                  std::string(300, 'a'),
                                  hex,
                                  std::string("a\nb"),
                                  std::string("ex\xc3\xa4mple")}) {
    INFO(name);
    CHECK_THROWS_AS(parse_reference(name), Error);
  }
}

TEST_CASE("a transport says where an image is", "[image]") {
  CHECK(parse_image_name("debian:12").transport == Transport::name);
  CHECK(parse_image_name("docker://localhost:5000/a").name == "localhost:5000/a");
  const ImageName layout = parse_image_name("oci:/tmp/x:name:with/colon");
  CHECK(layout.transport == Transport::layout);
  CHECK(layout.path == "/tmp/x");
  CHECK(layout.name == "name:with/colon");
  CHECK(parse_image_name("oci-archive:a.tar").name.empty());
  CHECK(parse_image_name("docker-archive:a.tar:b:1").name == "b:1");
  for (const std::string_view text : {"oci:/tmp/x", "oci-archive:a:b:c", "docker://a:1", "plain"})
    CHECK(parse_image_name(text).text() == text);
  for (const std::string_view text : {"", "oci:", "oci::name", "containers-storage://x", "dir://x"})
    CHECK_THROWS_AS(parse_image_name(text), Error);
}

TEST_CASE("a local image is found by name and by the beginning of its digest", "[image]") {
  const TemporaryDirectory folder;
  Layout layout(folder.path(), true);
  CHECK_FALSE(find_image(layout, ""));
  const Descriptor one = layout.put("{}1", media::manifest),
                   two = layout.put("{}2", media::manifest);
  layout.tag(local_name("digits"), one);
  CHECK(find_image(layout, "")->name == "digits:latest");
  layout.tag(local_name("docker.io/debian:12"), two);
  CHECK(find_image(layout, "digits")->manifest.digest == one.digest);
  CHECK(find_image(layout, "digits:latest")->manifest.digest == one.digest);
  CHECK(find_image(layout, "debian:12")->name == "docker.io/library/debian:12");
  CHECK(find_image(layout, one.digest.short_hex())->name == "digits:latest");
  CHECK(find_image(layout, one.digest.text())->name == "digits:latest");
  CHECK(find_image(layout, "digits@" + one.digest.text())->manifest.digest == one.digest);
  CHECK_FALSE(find_image(layout, "debian"));
  CHECK_FALSE(find_image(layout, "digits:v1"));
  CHECK_THROWS_AS(find_image(layout, ""), Error);
  CHECK(local_name("team/digits") == "team/digits:latest");
  CHECK_THROWS_AS(local_name("Digits"), Error);
  CHECK_THROWS_AS(local_name("digits@" + one.digest.text()), Error);
}
