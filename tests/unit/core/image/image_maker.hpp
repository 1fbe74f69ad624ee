// Small images for tests: layers of given entries in a layout of their own.
#pragma once

#include "core/image/layer_writer.hpp"
#include "core/image/layout.hpp"

#include <string>
#include <utility>
#include <vector>

namespace mlp::image {

struct ImageMaker {
  using Entry = std::pair<TarEntry, std::string>; // and its content

  TemporaryDirectory folder;
  Layout layout{folder.path() / "images", true};

  static Entry file(std::string path, std::string content, unsigned mode = 0644) {
    return {{.path = std::move(path), .size = content.size(), .mode = mode}, content};
  }
  static Entry directory(std::string path) {
    return {{.kind = TarEntry::Kind::folder, .path = std::move(path), .mode = 0755}, ""};
  }
  static Entry link(TarEntry::Kind kind, std::string path, std::string target) {
    return {{.kind = kind, .path = std::move(path), .target = std::move(target), .mode = 0777}, ""};
  }

  Layer layer(const std::vector<Entry>& entries) {
    LayerWriter writer(layout, 1);
    for (const auto& [entry, content] : entries) {
      writer.tar().entry(entry);
      if (!content.empty()) writer.tar().data(content);
    }
    return writer.finish();
  }

  Image image(const std::vector<std::vector<Entry>>& layers, const Defaults& defaults = {}) {
    Config config{.platform = this_platform(), .defaults = defaults};
    Manifest manifest;
    for (const auto& entries : layers) {
      const Layer made = layer(entries);
      manifest.layers.push_back(made.descriptor);
      config.diff_ids.push_back(made.diff_id);
    }
    manifest.config = layout.put(to_text(config), media::config);
    return load_image(layout, layout.put(to_text(manifest), media::manifest));
  }
};

} // namespace mlp::image
