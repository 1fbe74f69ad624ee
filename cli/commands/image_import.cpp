// `mlp image import`: the images of a file into the local store.
#include "cli/completers.hpp"
#include "cli/images.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/image/archive.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

// The name that the local image gets; "" for what speaks of an image and has none.
std::string name_for(const image::NamedImage& image, const std::optional<std::string>& given,
                     const fs::path& file) {
  if (image.name.empty() && !image.manifest.artifact_type.empty()) return {};
  if (given) return image::local_name(*given);
  if (image.name.empty())
    throw Error(ErrorKind::usage, fmt::format("an image in '{}' has no name", file.native()))
        .with_hint(
            fmt::format("give it one: mlp image import {} NAME[:TAG]", shell_quote(file.native())));
  return image::local_name(image.name);
}

void run(Session& session) {
  const fs::path file = session.arguments().get("FILE").value_or("");
  const auto given = session.arguments().get("NAME");
  image::Layout store = open_images(session);
  std::vector<image::NamedImage> images =
      image::read_archive(file, store, session.output().progress(), session.stop_token());
  if (given) { // one name is for one image
    const image::NamedImage chosen = image::choose_archived(images, "", file);
    std::erase_if(images, [&](const image::NamedImage& image) {
      return image.manifest.artifact_type.empty() &&
             image.manifest.digest != chosen.manifest.digest;
    });
  }
  std::vector<std::string> names;
  for (const image::NamedImage& image : images) // before anything is named
    names.push_back(name_for(image, given, file));
  Json rows = json_array();
  std::string text;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const image::Descriptor& manifest = images[i].manifest;
    if (names[i].empty()) {
      store.add(manifest);
      continue;
    }
    store.tag(names[i], manifest);
    rows.push_back(json_object({{"image", names[i]}, {"digest", manifest.digest.text()}}));
    text += fmt::format("{}: {}\n", names[i], manifest.digest.text());
  }
  session.output().emit(json_object({{"file", file.native()}, {"images", std::move(rows)}}),
                        TextView{text});
}

} // namespace

extern const Command image_import_command;
const Command image_import_command = {
    .path = "image import",
    .summary = "take the images of a file into the local store",
    .category = Category::images,
    .arguments = {{.name = "FILE",
                   .help = "an oci-archive or docker-archive",
                   .complete = complete_files},
                  {.name = "NAME",
                   .help = "the local name of its one image; default: those in the file",
                   .required = false}},
    .examples = {{"mlp image import digits.tar", "what mlp image export or docker save wrote"},
                 {"mlp image import base.tar base:v1", "under another name"}},
    .run = run};

} // namespace mlp
