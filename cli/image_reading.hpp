// An image that a command names, with what is asked of it: documents first, layers and what is
// attached when they are needed.
#pragma once

#include "cli/images.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp {

// What is elsewhere is read through a temporary layout.
class ImageReader {
 public:
  // Of an index the image of --platform. Throws what open_image() does.
  ImageReader(Session& session, std::string_view name);

  [[nodiscard]] const std::string& name() const noexcept { return open_.name; }
  [[nodiscard]] const image::Image& image() const noexcept { return image_; }
  // Those of its index, if it has one.
  [[nodiscard]] const std::vector<image::Platform>& platforms() const noexcept {
    return platforms_;
  }
  [[nodiscard]] std::vector<image::Descriptor> referrers();
  // With the layers from the `first` on.
  [[nodiscard]] const image::Layout& with_layers(std::size_t first = 0);
  // The document of the artifact of that type beside the image; the last by digest. nullopt if
  // there is none.
  [[nodiscard]] std::optional<std::string> attached(std::string_view artifact_type);

 private:
  Session& session_;
  TemporaryDirectory folder_;
  OpenImage open_;
  image::Image image_;
  std::vector<image::Platform> platforms_;
};

} // namespace mlp
