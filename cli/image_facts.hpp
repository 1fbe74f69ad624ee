// What is shown of an image: its documents, read without its layers.
#pragma once

#include "cli/images.hpp"

namespace mlp {

struct ImageFacts {
  std::string name;
  image::Image image;
  std::uint64_t bytes = 0; // as it is stored: manifest, configuration, layers
  std::vector<image::Descriptor> referrers;
  std::vector<image::Platform> platforms; // of its index, if it has one
};

// Of an image that a command names, wherever it is. Of one for several platforms the one that
// --platform chooses.
[[nodiscard]] ImageFacts image_facts(Session& session, std::string_view name);

} // namespace mlp
