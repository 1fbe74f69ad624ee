// `mlp image sbom`: what is in an image, as SPDX: the document that its build attached, else one
// made from its layers.
#include "cli/completers.hpp"
#include "cli/image_reading.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/image/artifact.hpp"
#include "core/image/chain.hpp"
#include "core/image/image_content.hpp"
#include "core/image/sbom.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

std::string made(Session& session, ImageReader& reader) {
  const image::ImageContent content =
      image::image_content(reader.with_layers(), reader.image(), session.stop_token());
  return image::spdx_document(
      {.name = reader.name(),
       .digest = reader.image().descriptor.digest,
       // The same image gives the same document.
       .created = image::format_seconds(image::parse_seconds(reader.image().config.created)),
       .tool_version = MLP_VERSION,
       .packages = image::packages_in(content.package_texts),
       .project = {}});
}

void run(Session& session) {
  ImageReader reader(session, session.arguments().get("IMAGE").value_or(""));
  const auto attached = reader.attached(image::sbom_type);
  const Json json = parse_json(attached ? *attached : made(session, reader), "the SBOM",
                               {.max_bytes = image::max_artifact});
  session.output().emit(json_object({{"digest", reader.image().descriptor.digest.text()},
                                     {"attached", attached.has_value()},
                                     {"document", json}}),
                        TextView{dump_json_pretty(json)});
}

} // namespace

extern const Command image_sbom_command;
const Command image_sbom_command = {
    .path = "image sbom",
    .summary = "print what is in an image as an SPDX document",
    .category = Category::images,
    .arguments = {{.name = "IMAGE",
                   .help = "a local image, a registry's, or one in a folder or file",
                   .complete = complete_images}},
    .options = {platform_option(), plain_http_option()},
    .examples = {{"mlp image sbom digits", "of a local image"},
                 {"mlp image sbom docker://debian:bookworm-slim", "of one in a registry"}},
    .run = run};

} // namespace mlp
