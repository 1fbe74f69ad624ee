// An image elsewhere is looked at through a temporary layout that gets its documents only.
#include "cli/image_facts.hpp"

#include "core/base/text.hpp"

#include <fmt/format.h>

namespace mlp {

ImageFacts image_facts(Session& session, std::string_view name) {
  const TemporaryDirectory folder;
  const OpenImage open =
      open_image(session, image::parse_image_name(name), folder.path() / "layout");
  const image::Platform platform = transfer_options(session).platform;
  image::Document document = open.source->root();
  ImageFacts facts{.name = open.name};
  if (image::is_index(document.descriptor.media_type)) {
    const std::string what = fmt::format("'{}'", printable(name));
    const image::Index index = image::parse_index(document.text, what);
    for (const image::Descriptor& entry : index.manifests)
      if (entry.platform && entry.platform->os != "unknown")
        facts.platforms.push_back(*entry.platform);
    document = open.source->document(image::choose_platform(index, platform, what));
  }
  const image::Manifest manifest =
      image::parse_manifest(document.text, document.descriptor.digest.text());
  // In a layout these are there already.
  image::Layout seen(folder.path() / "seen", true);
  const image::Descriptor descriptor = seen.put(document.text, document.descriptor.media_type);
  open.source->ensure(manifest.config, no_progress());
  seen.put(open.layout->read(manifest.config.digest), manifest.config.media_type);
  facts.image = image::load_image(seen, descriptor, platform);
  facts.referrers = open.source->referrers(descriptor.digest);
  facts.bytes = descriptor.size + manifest.config.size;
  for (const image::Descriptor& layer : manifest.layers)
    facts.bytes += layer.size;
  return facts;
}

} // namespace mlp
