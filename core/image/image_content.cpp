// One map from paths to files: what a layer takes away is a range of it.
#include "core/image/image_content.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/text.hpp"
#include "core/image/layer_reader.hpp"
#include "core/image/packages.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::image {

namespace {

using Kind = TarEntry::Kind;

constexpr std::string_view whiteout = ".wh.";
constexpr std::string_view opaque = ".wh..wh..opq";

class LayerOver {
 public:
  LayerOver(ImageContent& content, std::size_t number, const std::stop_token& stop)
      : content_(content), number_(number), stop_(stop), buffer_(256u << 10) {}

  void take(LayerReader& reader) {
    while (auto entry = reader.tar().next()) {
      throw_if_stopped(stop_);
      const std::string path = checked(entry->path);
      if (path.empty()) continue; // the root itself
      const std::size_t slash = path.rfind('/');
      const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
      const std::string_view name = std::string_view(path).substr(folder.size());
      if (name == opaque)
        remove_below(folder);
      else if (name.starts_with(".wh..wh."))
        continue; // AUFS's own
      else if (name.starts_with(whiteout))
        remove(folder + std::string(name.substr(whiteout.size())));
      else
        put(path, *std::move(entry), reader);
    }
  }

 private:
  static std::string checked(std::string_view path) {
    std::string out;
    for (const std::string& part : split(path, '/')) {
      if (part.empty() || part == ".") continue;
      if (part == ".." || part.find('\0') != std::string::npos)
        throw Error(
            ErrorKind::integrity,
            fmt::format("a layer has an entry '{}', which no path can be", printable(path)));
      if (!out.empty()) out += '/';
      out += part;
    }
    return out;
  }

  using Iterator = decltype(ImageContent::files)::iterator;

  static std::size_t names_of(const std::string& path, const ContentFile& file) {
    std::size_t bytes = path.size() + file.target.size();
    for (const auto& [name, value] : file.attributes)
      bytes += name.size() + value.size();
    return bytes;
  }

  Iterator erase(Iterator at) {
    content_.name_bytes -= names_of(at->first, at->second);
    forget_text(at->first);
    return content_.files.erase(at);
  }
  void forget_text(const std::string& path) {
    const auto text = content_.package_texts.find(path);
    if (text == content_.package_texts.end()) return;
    content_.text_bytes -= text->second.size();
    content_.package_texts.erase(text);
  }

  // What lower layers have there: a whiteout says nothing of its own layer.
  void remove_below(const std::string& folder) {
    auto at = content_.files.lower_bound(folder);
    while (at != content_.files.end() && at->first.starts_with(folder)) {
      throw_if_stopped(stop_);
      at = at->second.layer < number_ ? erase(at) : std::next(at);
    }
  }
  void remove(const std::string& path) {
    const auto at = content_.files.find(path);
    if (at != content_.files.end() && at->second.layer < number_) erase(at);
    remove_below(path + "/");
  }

  void put(const std::string& path, TarEntry&& entry, LayerReader& reader) {
    ContentFile file{.kind = entry.kind,
                     .mode = entry.mode,
                     .uid = entry.uid,
                     .gid = entry.gid,
                     .device_major = entry.device_major,
                     .device_minor = entry.device_minor,
                     .size = entry.size,
                     .modified = entry.modified,
                     .target = std::move(entry.target),
                     .attributes = std::move(entry.attributes),
                     .layer = number_};
    std::optional<std::string> text;
    if (entry.kind == Kind::file)
      text = read_content(path, file, reader);
    else if (entry.kind == Kind::hard_link)
      text = shared(path, file);
    if (const auto there = content_.files.find(path); there != content_.files.end()) {
      const bool folder = there->second.kind == Kind::folder;
      erase(there);
      if (folder && file.kind != Kind::folder) {
        const std::string below = path + "/";
        auto at = content_.files.lower_bound(below);
        while (at != content_.files.end() && at->first.starts_with(below))
          at = erase(at);
      }
    }
    content_.name_bytes += names_of(path, file);
    if (text) {
      content_.text_bytes += text->size();
      content_.package_texts[path] = *std::move(text);
    }
    content_.files.emplace(path, std::move(file));
    if (content_.files.size() > max_content_entries || content_.name_bytes > max_content_names ||
        content_.text_bytes > max_content_texts)
      throw Error(ErrorKind::failed,
                  fmt::format("the image has more than {} files, or their names take more than {}",
                              format_count(max_content_entries), format_bytes(max_content_names)));
  }

  std::optional<std::string> read_content(const std::string& path, ContentFile& file,
                                          LayerReader& reader) {
    std::optional<std::string> text;
    if (is_package_text(path) && file.size <= max_package_text) text.emplace();
    Sha256 digest;
    while (const std::size_t n = reader.tar().read(buffer_)) {
      throw_if_stopped(stop_);
      const auto part = std::span(buffer_).first(n);
      digest.update(part);
      if (text) text->append(reinterpret_cast<const char*>(part.data()), part.size());
    }
    file.content = digest.finish();
    return text;
  }

  // A hard link becomes the file whose inode it shares.
  std::optional<std::string> shared(const std::string& path, ContentFile& file) {
    const std::string target = checked(file.target);
    const auto found = content_.files.find(target);
    if (found == content_.files.end() || found->second.kind == Kind::folder)
      throw Error(ErrorKind::integrity,
                  fmt::format("a layer has a hard link '{}' to '{}', which is no file",
                              printable(path), printable(target)));
    file = found->second;
    file.layer = number_;
    const auto text = content_.package_texts.find(target);
    if (text == content_.package_texts.end() || !is_package_text(path)) return std::nullopt;
    return text->second;
  }

  ImageContent& content_;
  std::size_t number_;
  const std::stop_token& stop_;
  std::vector<std::byte> buffer_;
};

} // namespace

void add_layer(ImageContent& content, const Layout& layout, const Image& image, std::size_t number,
               const std::stop_token& stop) {
  LayerReader reader(layout, image.manifest.layers.at(number), image.config.diff_ids.at(number));
  LayerOver(content, number, stop).take(reader);
  reader.finish();
}

ImageContent image_content(const Layout& layout, const Image& image, const std::stop_token& stop) {
  ImageContent content;
  for (std::size_t i = 0; i < image.manifest.layers.size(); ++i)
    add_layer(content, layout, image, i, stop);
  return content;
}

std::map<std::string, std::string, std::less<>> package_texts(Tree& tree,
                                                              const std::stop_token& stop) {
  std::map<std::string, std::string, std::less<>> texts;
  std::vector<std::string> folders = {""};
  std::size_t bytes = 0;
  while (!folders.empty()) {
    throw_if_stopped(stop);
    const std::string folder = std::move(folders.back());
    folders.pop_back();
    for (const TreeNode& node : tree.list(folder)) {
      const std::string& path = node.entry.path;
      if (node.entry.kind == Kind::folder) folders.push_back(path);
      if (node.entry.kind != Kind::file || !is_package_text(path)) continue;
      if (node.entry.size > max_package_text || bytes + node.entry.size > max_content_texts)
        continue;
      auto text = tree.read(path, max_package_text);
      if (!text) continue;
      bytes += text->size();
      texts.emplace(path, *std::move(text));
    }
  }
  return texts;
}

} // namespace mlp::image
