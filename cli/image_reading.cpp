// The source hands out documents and fetches blobs; the layout that it fetches into has them then.
#include "cli/image_reading.hpp"

#include "core/base/text.hpp"
#include "core/image/artifact.hpp"

#include <fmt/format.h>

namespace mlp {

ImageReader::ImageReader(Session& session, std::string_view name)
    : session_(session),
      open_(open_image(session, image::parse_image_name(name), folder_.path() / "layout")) {
  const image::Platform platform = transfer_options(session).platform;
  image::Document document = open_.source->root();
  if (image::is_index(document.descriptor.media_type)) {
    const std::string what = fmt::format("'{}'", printable(name));
    const image::Index index = image::parse_index(document.text, what);
    for (const image::Descriptor& entry : index.manifests)
      if (entry.platform && entry.platform->os != "unknown") platforms_.push_back(*entry.platform);
    document = open_.source->document(image::choose_platform(index, platform, what));
  }
  const image::Manifest manifest =
      image::parse_manifest(document.text, document.descriptor.digest.text());
  open_.source->ensure(manifest.config, no_progress());
  // A registry's manifest is in no layout yet.
  image::Layout seen(folder_.path() / "seen", true);
  const image::Descriptor descriptor = seen.put(document.text, document.descriptor.media_type);
  seen.put(open_.source->layout().read(manifest.config.digest), manifest.config.media_type);
  image_ = image::load_image(seen, descriptor, platform);
}

const image::Layout& ImageReader::with_layers(std::size_t first) {
  for (std::size_t i = first; i < image_.manifest.layers.size(); ++i)
    open_.source->ensure(image_.manifest.layers[i], session_.output().progress());
  return open_.source->layout();
}

std::optional<std::string> ImageReader::attached(std::string_view artifact_type) {
  return image::attached(*open_.source, image_.descriptor.digest, artifact_type);
}

std::vector<image::Descriptor> ImageReader::referrers() {
  return open_.source->referrers(image_.descriptor.digest);
}

} // namespace mlp
