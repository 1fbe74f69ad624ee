// `mlp image diff`: what differs between two images, packages first.
#include "core/image/image_diff.hpp"

#include "cli/completers.hpp"
#include "cli/image_differences.hpp"
#include "cli/image_reading.hpp"
#include "core/base/json.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

constexpr std::size_t most_files = 1000000;

// How many layers from the base on both have: they are read from the first image only.
std::size_t shared_layers(const image::Image& a, const image::Image& b) {
  std::size_t n = 0;
  while (n < std::min(a.config.diff_ids.size(), b.config.diff_ids.size()) &&
         a.config.diff_ids[n] == b.config.diff_ids[n])
    ++n;
  return n;
}

void run(Session& session) {
  ImageReader before(session, session.arguments().get("A").value_or(""));
  ImageReader after(session, session.arguments().get("B").value_or(""));
  const std::size_t shared = shared_layers(before.image(), after.image());
  const bool same_files = before.image().config.diff_ids == after.image().config.diff_ids;
  const std::size_t none = before.image().manifest.layers.size();
  const image::ImageDiff diff = image::diff_images(before.with_layers(same_files ? none : 0),
                                                   before.image(), after.with_layers(shared),
                                                   after.image(), most_files, session.stop_token());
  const std::string text =
      fmt::format("{} -> {}: {}\n{}", before.image().descriptor.digest.short_hex(),
                  after.image().descriptor.digest.short_hex(), image::verdict_word(diff.verdict),
                  diff_text(diff));
  Json record = diff_json(diff);
  record["before"] = before.image().descriptor.digest.text();
  record["after"] = after.image().descriptor.digest.text();
  session.output().emit(std::move(record), TextView{text});
}

} // namespace

extern const Command image_diff_command;
const Command image_diff_command = {
    .path = "image diff",
    .summary = "show what differs between two images: packages, configuration, layers, files",
    .category = Category::images,
    .arguments = {{.name = "A",
                   .help = "a local image, a registry's, or one in a folder or file",
                   .complete = complete_images},
                  {.name = "B", .help = "the other image", .complete = complete_images}},
    .options = {platform_option(), plain_http_option()},
    .examples = {{"mlp image diff digits:v1 digits", "since the tag v1"},
                 {"mlp image diff docker://debian:bookworm docker://debian:trixie",
                  "between two that are in a registry"},
                 {"mlp image diff digits oci-archive:digits.tar --json", "for a program"}},
    .run = run};

} // namespace mlp
