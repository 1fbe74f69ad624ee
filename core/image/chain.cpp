// Keys name the layers below by their diff_ids, so that a layer is taken again only on top of what
// it was made on.
#include "core/image/chain.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"

#include <fmt/format.h>

#include <chrono>

namespace mlp::image {

namespace {

constexpr int key_version = 1;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

} // namespace

std::string format_seconds(std::int64_t seconds) {
  const std::string text = format_time(WallTime(std::chrono::seconds(seconds)));
  return text.substr(0, text.find('.')) + "Z";
}

std::int64_t parse_seconds(std::string_view text) {
  // Nanoseconds, as Docker writes them, are more than is kept.
  std::string plain(text);
  if (const std::size_t dot = plain.find('.'); dot != std::string::npos) {
    std::size_t end = dot + 1;
    while (end < plain.size() && plain[end] >= '0' && plain[end] <= '9')
      ++end;
    plain.erase(dot, end - dot);
  }
  const auto time = parse_time(plain);
  if (!time) return 0;
  return std::chrono::floor<std::chrono::seconds>(*time).time_since_epoch().count();
}

Chain::Chain(Workshop& shop, const std::optional<Image>& base, std::int64_t time)
    : shop_(&shop), time_(time) {
  manifest_.config.media_type = media::config;
  if (!base) {
    config_.platform = this_platform();
    return;
  }
  manifest_.layers = base->manifest.layers;
  config_ = base->config;
  defaults = base->config.defaults;
  // Tools that count on an entry for each layer find one.
  std::size_t told = 0;
  for (const History& entry : config_.history)
    told += entry.empty_layer ? 0 : 1;
  for (; told < config_.diff_ids.size(); ++told)
    config_.history.push_back({.created = config_.created,
                               .created_by = "a layer of the base",
                               .comment = {},
                               .author = {},
                               .empty_layer = false});
  // Docker's media types and OCI's are not to be mixed in one manifest.
  for (Descriptor& layer : manifest_.layers) {
    const auto compression = layer_compression(layer.media_type);
    if (!compression)
      throw Error(ErrorKind::failed, fmt::format("a layer of the base has the media type '{}'",
                                                 printable(layer.media_type)));
    layer.media_type = *compression == Compression::gzip   ? media::layer_gzip
                       : *compression == Compression::zstd ? media::layer_zstd
                                                           : media::layer;
    layer.annotations.clear();
  }
}

std::vector<fs::path> Chain::folders() const {
  Image image;
  image.manifest = manifest_;
  image.config = config_;
  return shop_->unpacked.ensure(shop_->layout, image, shop_->progress, shop_->runner.stop);
}

std::string Chain::key_of(std::string_view kind, std::string_view inputs) const {
  std::string key =
      fmt::format("{} {} {} {}\n", key_version, kind, time_, platform_text(config_.platform));
  for (const Digest& layer : config_.diff_ids)
    key += layer.hex() + "\n";
  key += inputs;
  return key;
}

void Chain::append(std::string_view title, const std::optional<Layer>& layer) {
  config_.history.push_back({.created = format_seconds(time_),
                             .created_by = std::string(title),
                             .comment = {},
                             .author = {},
                             .empty_layer = !layer});
  if (!layer) return;
  manifest_.layers.push_back(layer->descriptor);
  config_.diff_ids.push_back(layer->diff_id);
}

bool Chain::known(std::string_view title, std::string_view key) {
  const auto found = shop_->cache.find(key);
  if (!found) return false;
  append(title, found->layer);
  if (shop_->done)
    shop_->done({std::string(title), true, found->layer ? found->layer->descriptor.size : 0, 0});
  return true;
}

bool Chain::run(std::string_view title, std::string_view inputs, const Changes& work) {
  const std::string key = key_of("run", inputs);
  if (known(title, key)) return true;
  const auto start = Clock::now();
  const std::vector<fs::path> layers = folders();
  const TemporaryDirectory place("layer-", shop_->runner.temporary);
  const fs::path upper = place.path() / "upper", inner = place.path() / "work";
  make_directories(upper);
  make_directories(inner);
  work(layers, upper, inner);
  tidy_changes(upper, time_, shop_->runner.stop);
  const std::optional<Layer> layer = write_changes_layer(shop_->layout, upper, shop_->runner.stop);
  if (layer) shop_->unpacked.adopt(layer->diff_id, upper);
  shop_->cache.put(key, layer);
  append(title, layer);
  if (shop_->done)
    shop_->done(
        {std::string(title), false, layer ? layer->descriptor.size : 0, seconds_since(start)});
  return false;
}

bool Chain::add_layer(std::string_view title, std::string_view inputs,
                      const std::function<std::optional<Layer>(Layout&)>& make) {
  const std::string key = inputs.empty() ? "" : fmt::format("{} layer {}", key_version, inputs);
  if (!key.empty() && known(title, key)) return true;
  const auto start = Clock::now();
  const std::optional<Layer> layer = make(shop_->layout);
  if (!key.empty()) shop_->cache.put(key, layer);
  append(title, layer);
  if (shop_->done)
    shop_->done(
        {std::string(title), false, layer ? layer->descriptor.size : 0, seconds_since(start)});
  return false;
}

// A layer that has a folder replaces what the layers below have of the folder itself, or a link.
void Chain::settle(Placed& placed) const {
  if (config_.diff_ids.empty()) return;
  MergedTree tree(folders());
  for (auto one = placed.begin(); one != placed.end();) {
    if (one->second.entry.kind != TarEntry::Kind::folder) {
      ++one;
      continue;
    }
    const std::string path = one->first;
    const auto there = tree.find(path);
    const auto leads =
        there && there->entry.kind == TarEntry::Kind::link ? tree.resolve(path) : std::nullopt;
    const auto to = leads ? tree.find(*leads) : std::nullopt;
    if (to && to->entry.kind == TarEntry::Kind::folder) {
      // All that lies below goes where the link leads. Names that sort behind are moved behind.
      Placed moved;
      const std::string prefix = path + "/";
      for (auto below = placed.lower_bound(prefix);
           below != placed.end() && below->first.starts_with(prefix);) {
        auto node = placed.extract(below++);
        node.key() = *leads + node.key().substr(path.size());
        node.mapped().entry.path = node.key();
        moved.insert(std::move(node));
      }
      placed.erase(path);
      placed.merge(moved);
      one = placed.begin(); // links may lead to links
      continue;
    }
    one = there && there->entry.kind == TarEntry::Kind::folder ? placed.erase(one) : std::next(one);
  }
}

bool Chain::add_files(std::string_view title, Tree& tree, Placed placed, std::int64_t seconds) {
  settle(placed);
  const std::string print = fingerprint(placed);
  return add_layer(title, print.empty() ? "" : fmt::format("files {} {}", seconds, print),
                   [&](Layout& layout) -> std::optional<Layer> {
                     if (placed.empty()) return std::nullopt;
                     return write_files_layer(layout, tree, placed, seconds, shop_->runner.stop);
                   });
}

Chain::Target Chain::target(std::string_view path) const {
  Target out;
  std::vector<std::string> left = path_components(path);
  if (config_.diff_ids.empty()) { // nothing that a path could lead through
    for (const std::string& name : left) {
      out.path += out.path.empty() ? name : "/" + name;
      out.missing.push_back(out.path);
    }
  } else {
    MergedTree tree(folders());
    for (const std::string& name : left) {
      const std::string next = out.path.empty() ? name : fmt::format("{}/{}", out.path, name);
      if (const auto found = out.missing.empty() ? tree.resolve(next) : std::nullopt) {
        out.path = *found;
        continue;
      }
      out.path = next;
      out.missing.push_back(next);
    }
    const auto node = out.missing.empty() ? tree.find(out.path) : std::nullopt;
    out.is_folder = node && node->entry.kind == TarEntry::Kind::folder;
  }
  if (out.path.empty()) out.is_folder = true;
  return out;
}

void Chain::note(std::string_view title) {
  append(title, std::nullopt);
}

Image Chain::finish(std::int64_t created, const Annotations& annotations) const {
  Image image;
  image.config = config_;
  image.config.created = format_seconds(created);
  image.config.defaults = defaults;
  image.manifest = manifest_;
  const Descriptor config = shop_->layout.put(to_text(image.config), media::config);
  image.manifest.config = config;
  image.manifest.annotations = annotations;
  image.descriptor = shop_->layout.put(to_text(image.manifest), media::manifest);
  image.descriptor.platform = image.config.platform;
  return image;
}

} // namespace mlp::image
