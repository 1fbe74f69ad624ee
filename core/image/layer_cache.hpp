// Which layer a step of a build made from which inputs, so that it is not done again. One small
// file a key; losing one costs time and nothing else.
#pragma once

#include "core/image/layer_writer.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace mlp::image {

// Safe in several processes at once: files appear whole. Blocks on the file system.
class LayerCache {
 public:
  // `folder` is made with the first entry. Layers are in `layout`, which may have lost them.
  // renew: nothing is known, and all is written anew. off: nothing is written either.
  enum class Use { full, renew, off };
  LayerCache(fs::path folder, const Layout& layout, Use use = Use::full)
      : folder_(std::move(folder)), layout_(layout), use_(use) {}

  // `key` is any text; its digest names the file. nullopt if it is not known, or its blob is gone.
  // An empty layer (nothing was changed) has no descriptor.
  struct Known {
    std::optional<Layer> layer;
  };
  [[nodiscard]] std::optional<Known> find(std::string_view key) const;
  void put(std::string_view key, const std::optional<Layer>& layer);

  // The same for a text that was worked out from layers.
  [[nodiscard]] std::optional<std::string> find_text(std::string_view key) const;
  void put_text(std::string_view key, std::string_view text);

 private:
  [[nodiscard]] fs::path path_of(std::string_view key) const;
  fs::path folder_;
  const Layout& layout_;
  Use use_;
};

} // namespace mlp::image
