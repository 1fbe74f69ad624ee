// `mlp image provenance`: how an image was made, as its build attached it.
#include "cli/completers.hpp"
#include "cli/image_reading.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/image/artifact.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const std::string name = session.arguments().get("IMAGE").value_or("");
  ImageReader reader(session, name);
  const auto document = reader.attached(image::provenance_type);
  if (!document)
    throw Error(ErrorKind::not_found,
                fmt::format("the image '{}' has no provenance attached", printable(name)))
        .with_hint("mlp build attaches it, and mlp image push takes it along");
  const Json statement =
      parse_json(*document, "the provenance", {.max_bytes = image::max_artifact});
  session.output().emit(
      json_object({{"digest", reader.image().descriptor.digest.text()}, {"document", statement}}),
      TextView{dump_json_pretty(statement)});
}

} // namespace

extern const Command image_provenance_command;
const Command image_provenance_command = {
    .path = "image provenance",
    .summary = "print how an image was made as an in-toto statement",
    .category = Category::images,
    .arguments = {{.name = "IMAGE",
                   .help = "a local image, a registry's, or one in a folder or file",
                   .complete = complete_images}},
    .options = {platform_option(), plain_http_option()},
    .examples = {{"mlp image provenance digits", "of a local image"},
                 {"mlp image provenance docker://registry.example.com/digits:v1",
                  "of one in a registry"}},
    .run = run};

} // namespace mlp
