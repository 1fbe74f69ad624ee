// `mlp image pull`: an image of a registry into the local store.
#include "cli/images.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  const std::string given = session.arguments().get("IMAGE").value_or("");
  const image::ImageName name = image::parse_image_name(given);
  if (name.transport != image::Transport::name && name.transport != image::Transport::registry)
    throw Error(ErrorKind::usage, fmt::format("'{}' is in no registry", printable(given)))
        .with_hint("mlp image copy and mlp image import take images from folders and files");
  const image::Reference reference = image::parse_reference(name.name);
  image::Layout store = open_images(session);
  image::Registry registry(reference.host, registry_options(session));
  const auto source = image::registry_source(registry, reference, store);
  const auto target = image::layout_target(store, reference.text());
  const image::Transferred result =
      image::transfer(*source, *target, transfer_options(session), session.output().progress());
  emit_transfer(session, reference.text(), result);
}

} // namespace

extern const Command image_pull_command;
const Command image_pull_command = {
    .path = "image pull",
    .summary = "fetch an image from a registry",
    .category = Category::images,
    .arguments = {{.name = "IMAGE",
                   .help = "[HOST[:PORT]/]REPOSITORY[:TAG] or ...@DIGEST; as for docker pull"}},
    .options = {platform_option(), all_platforms_option(), plain_http_option()},
    .examples = {{"mlp image pull debian:bookworm-slim", "from Docker Hub"},
                 {"mlp image pull localhost:5000/digits:v1", "from a registry on this machine"},
                 {"mlp image pull --platform linux/arm64 debian", "for another machine"}},
    .run = run};

} // namespace mlp
