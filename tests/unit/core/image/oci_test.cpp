// The documents of images: what is read, what is refused, and that one value has one text.
#include "core/base/error.hpp"
#include "core/image/oci.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace mlp;
using namespace mlp::image;

namespace {

const std::string some_digest = "sha256:" + std::string(64, 'a');

std::string descriptor(std::string_view type, std::string_view more = "") {
  return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":7{}}})", type, some_digest, more);
}

std::string manifest(std::string_view members) {
  return fmt::format(R"({{"schemaVersion":2{}{}}})", members.empty() ? "" : ",", members);
}

std::string whole_manifest(std::string_view more = "") {
  return manifest(fmt::format(R"("config":{},"layers":[{}]{})", descriptor(media::config),
                              descriptor(media::layer_gzip), more));
}

template <class Parse>
std::string refusal(Parse parse, const std::string& text) {
  try {
    (void)parse(text, "doc");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::integrity);
    return error.message();
  }
  return "accepted";
}

} // namespace

TEST_CASE("a manifest that is written is read back the same", "[image]") {
  Manifest value;
  value.config = {.media_type = std::string(media::config), .digest = sha256("c"), .size = 1};
  value.layers = {{.media_type = std::string(media::layer), .digest = sha256("l"), .size = 2},
                  {.media_type = std::string(media::layer_zstd),
                   .digest = sha256("m"),
                   .size = 3,
                   .annotations = {{"a", "b"}}}};
  value.subject = {.media_type = std::string(media::manifest), .digest = sha256("s"), .size = 4};
  value.artifact_type = "application/spdx+json";
  value.annotations = {{"org.opencontainers.image.revision", "abc"}};
  const std::string text = to_text(value);
  const Manifest again = parse_manifest(text, "doc");
  CHECK(to_text(again) == text);
  CHECK(again.layers == value.layers);
  CHECK(again.subject == value.subject);
  CHECK(text.find('\n') == std::string::npos);
}

TEST_CASE("a configuration keeps what containers are started with", "[image]") {
  Config value;
  value.platform = {.architecture = "arm64", .variant = "v8"};
  value.created = "2024-01-02T03:04:05Z";
  value.defaults = {.user = "1000:1000",
                    .workdir = "/src",
                    .stop_signal = "SIGINT",
                    .env = {"PATH=/bin", "A=b=c"},
                    .entrypoint = {"/bin/sh", "-c"},
                    .cmd = {"true"},
                    .shell = {"/bin/bash", "-c"},
                    .exposed_ports = {"80/tcp"},
                    .volumes = {"/data"},
                    .labels = {{"x", "y"}},
                    .health_check = HealthCheck{.test = {"CMD", "true"}, .interval = 5}};
  value.diff_ids = {sha256("l")};
  value.history = {{.created_by = "COPY . .", .empty_layer = false},
                   {.created_by = "ENV A=b=c", .empty_layer = true}};
  const Config again = parse_config(to_text(value), "doc");
  CHECK(to_text(again) == to_text(value));
  CHECK(again.defaults == value.defaults);
  CHECK(again.history == value.history);
  CHECK(again.platform == value.platform);
}

TEST_CASE("what Go's tools write as null is absent", "[image]") {
  const Config config = parse_config(
      R"({"architecture":"amd64","os":"linux","config":{"Env":null,"Labels":null,"Volumes":null,)"
      R"("Entrypoint":null},"rootfs":{"type":"layers","diff_ids":null},"history":null})",
      "doc");
  CHECK(config.defaults == Defaults{});
  CHECK(config.diff_ids.empty());
  CHECK(parse_index(R"({"schemaVersion":2,"manifests":null})", "doc").manifests.empty());
}

TEST_CASE("a manifest of Docker stays one", "[image]") {
  const std::string text =
      whole_manifest(fmt::format(R"(,"mediaType":"{}")", media::docker_manifest));
  CHECK(parse_manifest(text, "doc").media_type == media::docker_manifest);
  CHECK(to_text(parse_manifest(text, "doc")).find(media::docker_manifest) != std::string::npos);
}

TEST_CASE("hostile documents are refused with the member that is wrong", "[image]") {
  const auto refused = [](const std::string& text) { return refusal(parse_manifest, text); };
  CHECK(refused("{") != "accepted");
  CHECK(refused("[]") == "doc: is no JSON object");
  CHECK(refused("{}") == "doc: 'schemaVersion' is not 2");
  CHECK(refused(R"({"schemaVersion":1,"fsLayers":[]})") == "doc: 'schemaVersion' is not 2");
  CHECK(refused(manifest("")) == "doc: 'config' is missing");
  CHECK(refused(whole_manifest(R"(,"manifests":[])")).find("'manifests' has no place") !=
        std::string::npos);
  CHECK(refused(whole_manifest(fmt::format(R"(,"mediaType":"{}")", media::index)))
            .find("'mediaType' is") != std::string::npos);
  CHECK(refused(manifest(R"("config":{"mediaType":"x","digest":"sha256:AB","size":1})")) ==
        "doc: 'config.digest' is no digest 'sha256:' and 64 hexadecimal digits");
  CHECK(
      refused(manifest(fmt::format(R"("config":{{"mediaType":"x","digest":"sha256:{}","size":1}})",
                                   std::string(64, 'A')))) ==
      "doc: 'config.digest' is no digest 'sha256:' and 64 hexadecimal digits");
  CHECK(
      refused(manifest(fmt::format(R"("config":{{"mediaType":"x","digest":"sha512:{}","size":1}})",
                                   std::string(128, 'a')))) ==
      "doc: 'config.digest' is a SHA-512 digest; only SHA-256 ones are known here");
  for (const std::string_view size : {"-1", "1.5", "\"1\"", "18446744073709551615", "1e3", "null"})
    CHECK(refused(manifest(fmt::format(R"("config":{{"mediaType":"x","digest":"{}","size":{}}})",
                                       some_digest, size)))
              .find("'config.size' is") != std::string::npos);
  CHECK(refused(manifest(fmt::format(R"("config":{},"layers":[1])", descriptor("x")))) ==
        "doc: 'layers[0]' is no object");
  CHECK(refused(manifest(fmt::format(R"("config":{},"layers":{{}})", descriptor("x")))) ==
        "doc: 'layers' is no list");

  std::string layers;
  for (int i = 0; i < 1025; ++i)
    layers += (i == 0 ? "" : ",") + descriptor(media::layer);
  CHECK(refused(manifest(
            fmt::format(R"("config":{},"layers":[{}])", descriptor(media::config), layers))) ==
        "doc: 'layers' has 1025 members; at most 1024 are read");
  CHECK(refused(std::string(max_document + 1, ' ')) != "accepted");
  CHECK(refused(std::string(100'000, '[')) != "accepted");
}

TEST_CASE("an index that is also a manifest is refused", "[image]") {
  CHECK(refusal(parse_index, R"({"schemaVersion":2,"manifests":[],"layers":[]})")
            .find("'layers' has no place") != std::string::npos);
  CHECK(refusal(parse_index, R"({"schemaVersion":2,"manifests":[{}]})") ==
        "doc: 'manifests[0].mediaType' is missing");
}

TEST_CASE("a configuration without a root file system is refused", "[image]") {
  CHECK(refusal(parse_config, R"({"architecture":"amd64","os":"linux"})") ==
        "doc: 'rootfs' is missing");
  CHECK(refusal(parse_config, R"({"os":"linux"})") == "doc: 'architecture' is missing");
  CHECK(refusal(parse_config,
                R"({"architecture":"a","os":"b","rootfs":{"type":"layers","diff_ids":[3]}})") ==
        "doc: 'rootfs.diff_ids' is no list of strings");
}

TEST_CASE("platforms are words of Go", "[image]") {
  CHECK(platform_text(parse_platform("linux/arm64/v8")) == "linux/arm64/v8");
  CHECK(parse_platform(platform_text(this_platform())) == this_platform());
  for (const std::string_view text : {"", "linux", "linux/", "/amd64", "linux/AMD64", "a/b/c/d"})
    CHECK_THROWS_AS(parse_platform(text), Error);
}

TEST_CASE("the compression of a layer is told by its media type", "[image]") {
  CHECK(layer_compression(media::layer) == Compression::none);
  CHECK(layer_compression(media::docker_layer_gzip) == Compression::gzip);
  CHECK(layer_compression(media::layer_zstd) == Compression::zstd);
  CHECK_FALSE(layer_compression("application/vnd.in-toto+json"));
}
