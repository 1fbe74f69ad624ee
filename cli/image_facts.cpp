// All but the layers.
#include "cli/image_facts.hpp"

#include "cli/image_reading.hpp"

namespace mlp {

ImageFacts image_facts(Session& session, std::string_view name) {
  ImageReader reader(session, name);
  const image::Manifest& manifest = reader.image().manifest;
  ImageFacts facts{.name = reader.name(),
                   .image = reader.image(),
                   .bytes = reader.image().descriptor.size + manifest.config.size,
                   .referrers = reader.referrers(),
                   .platforms = reader.platforms()};
  for (const image::Descriptor& layer : manifest.layers)
    facts.bytes += layer.size;
  return facts;
}

} // namespace mlp
