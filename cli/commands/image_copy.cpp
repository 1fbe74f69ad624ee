// `mlp image copy`: an image from anywhere to anywhere.
#include "cli/completers.hpp"
#include "cli/images.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/image/archive.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

image::Transferred to_layout(Session& session, const fs::path& folder, const std::string& name,
                             const image::ImageName& from) {
  image::Layout layout(folder, true);
  const OpenImage open = open_image(session, from, folder);
  const auto target = image::layout_target(layout, name);
  return image::transfer(*open.source, *target, transfer_options(session),
                         session.output().progress());
}

image::Transferred to_registry(Session& session, const std::string& name,
                               const image::ImageName& from) {
  const image::Reference reference = image::parse_reference(name);
  const OpenImage open = open_image(session, from, images_folder(session));
  image::Registry registry(reference.host, registry_options(session));
  const auto target = image::registry_target(registry, reference, open.layout.get());
  return image::transfer(*open.source, *target, transfer_options(session),
                         session.output().progress());
}

// By way of a layout beside the file, with nothing in it but the image.
image::Transferred to_archive(Session& session, const image::ImageName& to,
                              const image::ImageName& from) {
  const fs::path parent = fs::absolute(to.path).parent_path();
  const TemporaryDirectory folder(".mlp-", parent);
  image::Transferred result = to_layout(session, folder.path(), "", from);
  image::write_archive(image::Layout(folder.path()), result.manifest, to.name, to.path,
                       to.transport == image::Transport::oci_archive ? image::ArchiveFormat::oci
                                                                     : image::ArchiveFormat::docker,
                       false, session.output().progress(), session.stop_token());
  return result;
}

image::Transferred copy(Session& session, const image::ImageName& from,
                        const image::ImageName& to) {
  switch (to.transport) {
  case image::Transport::name:
    return to_layout(session, images_folder(session), image::local_name(to.name), from);
  case image::Transport::registry:
    return to_registry(session, to.name, from);
  case image::Transport::layout:
    return to_layout(session, to.path, to.name, from);
  case image::Transport::oci_archive:
  case image::Transport::docker_archive:
    break;
  }
  return to_archive(session, to, from);
}

void run(Session& session) {
  const std::string from = session.arguments().get("SOURCE").value_or("");
  const std::string to = session.arguments().get("TARGET").value_or("");
  const image::Transferred result =
      copy(session, image::parse_image_name(from), image::parse_image_name(to));
  Json record = transfer_json(result);
  record["source"] = from;
  record["target"] = to;
  session.output().emit(std::move(record),
                        TextView{fmt::format("{}: {}, {}\n", to, result.manifest.digest.text(),
                                             transfer_text(result))});
}

} // namespace

extern const Command image_copy_command;
const Command image_copy_command = {
    .path = "image copy",
    .summary = "copy an image between registries, folders, files and the local store",
    .category = Category::images,
    .arguments = {{.name = "SOURCE",
                   .help = "an image; docker://, oci:, oci-archive: and docker-archive: say where",
                   .complete = complete_images},
                  {.name = "TARGET", .help = "the same; a name alone is a local image"}},
    .options = {platform_option(), all_platforms_option(), plain_http_option()},
    .examples = {{"mlp image copy digits:latest digits:v1", "another name for a local image"},
                 {"mlp image copy docker://debian docker://localhost:5000/debian --all-platforms",
                  "from one registry to another"},
                 {"mlp image copy digits oci:/mnt/images:digits", "into a folder"}},
    .run = run};

} // namespace mlp
