// `mlp image push`: a local image to a registry.
#include "cli/completers.hpp"
#include "cli/images.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

// Where the image goes: the words, or what its own name says.
image::Reference target_of(Session& session, const std::string& own) {
  if (const auto given = session.arguments().get("TARGET")) {
    const image::ImageName name = image::parse_image_name(*given);
    if (name.transport != image::Transport::name && name.transport != image::Transport::registry)
      throw Error(ErrorKind::usage, fmt::format("'{}' is in no registry", printable(*given)))
          .with_hint("mlp image copy and mlp image export write folders and files");
    return image::parse_reference(name.name);
  }
  const image::Reference reference = image::parse_reference(own);
  if (!own.starts_with(reference.host + "/"))
    throw Error(ErrorKind::usage, fmt::format("the name '{}' has no registry", printable(own)))
        .with_hint(fmt::format("say where it goes: mlp image push {} HOST/REPOSITORY:TAG",
                               shell_quote(own)));
  return reference;
}

void run(Session& session) {
  image::Layout store = open_images(session);
  const image::NamedImage found = local_image(store, session.arguments().get("IMAGE").value_or(""));
  const image::Reference reference = target_of(session, found.name);
  image::Registry registry(reference.host, registry_options(session));
  const auto source = image::layout_source(store, found.manifest);
  const auto target = image::registry_target(registry, reference, &store);
  const image::Transferred result =
      image::transfer(*source, *target, transfer_options(session), session.output().progress());
  emit_transfer(session, reference.text(), result);
}

} // namespace

extern const Command image_push_command;
const Command image_push_command = {
    .path = "image push",
    .summary = "send a local image to a registry",
    .category = Category::images,
    .arguments = {{.name = "IMAGE", .help = "a local image", .complete = complete_images},
                  {.name = "TARGET",
                   .help = "[HOST[:PORT]/]REPOSITORY[:TAG]; default: the image's own name",
                   .required = false}},
    .options = {platform_option(), all_platforms_option(), plain_http_option()},
    .examples = {{"mlp image push digits registry.example.com/team/digits:v1", "under that name"},
                 {"mlp image push localhost:5000/digits:v1", "an image that has such a name"}},
    .run = run};

} // namespace mlp
