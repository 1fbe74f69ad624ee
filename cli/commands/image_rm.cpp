// `mlp image rm`: takes names from local images.
#include "cli/completers.hpp"
#include "cli/images.hpp"
#include "core/base/json.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

void run(Session& session) {
  image::Layout store = open_images(session);
  std::vector<image::NamedImage> chosen;
  for (const std::string& name : session.arguments().all("IMAGE")) { // before anything goes
    chosen.push_back(local_image(store, name));
    if (chosen.back().name.empty())
      throw Error(ErrorKind::not_found, fmt::format("the image '{}' has no name", name))
          .with_hint("what has no name goes with: mlp image gc");
  }
  Json removed = json_array();
  std::string text;
  for (const image::NamedImage& image : chosen) {
    store.untag(image.name);
    removed.push_back(
        json_object({{"image", image.name}, {"digest", image.manifest.digest.text()}}));
    text += fmt::format("removed {}\n", image.name);
  }
  session.output().emit(json_object({{"removed", std::move(removed)}}), TextView{text});
}

} // namespace

extern const Command image_rm_command;
const Command image_rm_command = {
    .path = "image rm",
    .summary = "remove names of local images",
    .category = Category::images,
    .arguments =
        {{.name = "IMAGE", .help = "a local image", .repeated = true, .complete = complete_images}},
    .examples = {{"mlp image rm digits:v1", "the name; mlp image gc then frees the space"}},
    .run = run};

} // namespace mlp
