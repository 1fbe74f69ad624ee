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
    document = open_.source->document(
        image::choose_platform(image::parse_index(document.text, what), platform, what));
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
  std::optional<image::Descriptor> found;
  for (const image::Descriptor& referrer : open_.source->referrers(image_.descriptor.digest))
    if (referrer.artifact_type == artifact_type && (!found || found->digest < referrer.digest))
      found = referrer;
  if (!found) return std::nullopt;
  const std::string what = fmt::format("artifact '{}'", found->digest.text());
  const image::Manifest manifest = image::parse_manifest(open_.source->document(*found).text, what);
  for (const image::Descriptor& layer : manifest.layers)
    open_.source->ensure(layer, no_progress());
  return image::artifact_document(open_.source->layout(), manifest, what);
}

} // namespace mlp
