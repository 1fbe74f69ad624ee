// Registries and layouts as sources and targets of a transfer.
#include "core/base/error.hpp"
#include "core/image/transfer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <unordered_map>

namespace mlp::image {

namespace {

class RegistrySource final : public ImageSource {
 public:
  RegistrySource(Registry& registry, const Reference& reference, Layout& staging)
      : registry_(registry), reference_(reference),
        staging_(staging), scope_{.repository = reference.repository} {}

  Document root() override { return get(reference_.selector(), reference_.text()); }
  Document document(const Descriptor& descriptor) override {
    return get(descriptor.digest.text(),
               fmt::format("{}@{}", reference_.name(), descriptor.digest.text()));
  }
  std::vector<Descriptor> referrers(const Digest& subject) override {
    return registry_.referrers(scope_, subject);
  }
  void ensure(const Descriptor& blob, Progress& progress) override {
    registry_.fetch_blob(scope_, blob, staging_, progress);
  }
  const Layout& layout() const override { return staging_; }

 private:
  Document get(const std::string& selector, const std::string& name) {
    std::optional<Document> found = registry_.manifest(scope_, selector);
    if (!found)
      throw Error(ErrorKind::not_found, fmt::format("no image '{}'", name))
          .with_hint(fmt::format("the registry '{}' has no such repository or tag, or shows it to "
                                 "its users only: docker login or podman login",
                                 registry_.host()));
    return *std::move(found);
  }

  Registry& registry_;
  Reference reference_;
  Layout& staging_;
  Scope scope_;
};

class LayoutSource final : public ImageSource {
 public:
  LayoutSource(const Layout& layout, const Descriptor& image) : layout_(layout), image_(image) {}

  Document root() override { return document(image_); }
  Document document(const Descriptor& descriptor) override {
    Document out{.descriptor = {.media_type = descriptor.media_type, .digest = descriptor.digest},
                 .text = layout_.read(descriptor.digest)};
    out.descriptor.size = out.text.size();
    return out;
  }
  std::vector<Descriptor> referrers(const Digest& subject) override {
    if (!referrers_) referrers_ = layout_.referrers();
    std::vector<Descriptor> out;
    const auto [begin, end] = referrers_->equal_range(subject);
    std::transform(begin, end, std::back_inserter(out), [](const auto& p) { return p.second; });
    return out;
  }
  void ensure(const Descriptor& blob, Progress& /*progress*/) override {
    if (layout_.has(blob.digest)) return;
    throw Error(ErrorKind::not_found, fmt::format("'{}' lacks the blob '{}' of the image",
                                                  layout_.folder().native(), blob.digest.text()));
  }
  const Layout& layout() const override { return layout_; }

 private:
  const Layout& layout_;
  Descriptor image_;
  std::optional<std::multimap<Digest, Descriptor>> referrers_; // once they were asked for
};

// Which repositories of a host have which blobs, as far as the names of a layout tell.
std::unordered_map<Digest, std::string> origins(const Layout& layout, const Reference& target) {
  std::unordered_map<Digest, std::string> out;
  for (const Descriptor& entry : layout.index().manifests) {
    const auto name = entry.annotations.find(ref_name_annotation);
    if (name == entry.annotations.end() || !name->second.starts_with(target.host + "/") ||
        !is_manifest(entry.media_type) || !layout.has(entry.digest))
      continue;
    try {
      const Reference reference = parse_reference(name->second);
      if (reference.host != target.host || reference.repository == target.repository) continue;
      const Manifest manifest = parse_manifest(layout.read(entry.digest), name->second);
      out.emplace(manifest.config.digest, reference.repository);
      for (const Descriptor& layer : manifest.layers)
        out.emplace(layer.digest, reference.repository);
    } catch (const Error&) {
      continue; // only a short cut: the blob is sent instead
    }
  }
  return out;
}

class RegistryTarget final : public ImageTarget {
 public:
  RegistryTarget(Registry& registry, const Reference& reference, const Layout* known)
      : registry_(registry),
        reference_(reference), scope_{.repository = reference.repository, .push = true} {
    if (known != nullptr) origins_ = origins(*known, reference);
  }

  bool is_current(const Digest& root) override {
    return registry_.manifest_digest(scope_, reference_.selector()) == root;
  }
  bool has(const Descriptor& blob) override { return registry_.has_blob(scope_, blob); }
  bool take_over(const Descriptor& blob) override {
    const auto origin = origins_.find(blob.digest);
    return origin != origins_.end() && registry_.mount_blob(scope_, blob, origin->second);
  }
  void put(const Descriptor& blob, const Layout& from, Progress& progress) override {
    registry_.push_blob(scope_, blob, from, progress);
  }
  bool put(const Document& document, bool named) override {
    const std::string selector = named ? reference_.selector() : document.descriptor.digest.text();
    if (named && reference_.digest && *reference_.digest != document.descriptor.digest)
      throw Error(ErrorKind::usage,
                  fmt::format("the image is '{}', not '{}'", document.descriptor.digest.text(),
                              reference_.digest->text()));
    return registry_.put_manifest(scope_, selector, document);
  }

 private:
  Registry& registry_;
  Reference reference_;
  Scope scope_;
  std::unordered_map<Digest, std::string> origins_;
};

class LayoutTarget final : public ImageTarget {
 public:
  LayoutTarget(Layout& layout, std::string name) : layout_(layout), name_(std::move(name)) {}

  // What is missing of an image is found only by looking at all of it.
  bool is_current(const Digest& /*root*/) override { return false; }
  bool has(const Descriptor& blob) override { return layout_.has(blob.digest); }
  bool take_over(const Descriptor& /*blob*/) override { return false; }
  void put(const Descriptor& blob, const Layout& from, Progress& progress) override {
    if (layout_.has(blob.digest)) return; // fetched into this very layout
    const std::unique_ptr<BlobWriter> writer = layout_.writer(blob.digest, blob.size);
    File file = from.open(blob.digest);
    std::vector<std::byte> block(std::size_t{1} << 20);
    while (const std::size_t n = file.read(block)) {
      writer->write(std::span(block).first(n));
      progress.advance(n);
    }
    writer->commit();
  }
  bool put(const Document& document, bool named) override {
    Descriptor entry = layout_.put(document.text, document.descriptor.media_type);
    if (is_manifest(entry.media_type)) {
      const Manifest manifest = parse_manifest(document.text, entry.digest.text());
      entry.artifact_type = manifest.artifact_type;
      if (named) entry.platform = platform_of(manifest);
      if (!named && !manifest.subject) return true; // its index names it
    }
    if (named && !name_.empty())
      layout_.tag(name_, entry);
    else if (named || is_manifest(entry.media_type))
      layout_.add(entry);
    return true;
  }

 private:
  [[nodiscard]] std::optional<Platform> platform_of(const Manifest& manifest) const {
    const Descriptor& config = manifest.config;
    if (config.media_type != media::config && config.media_type != media::docker_config)
      return std::nullopt;
    return parse_config(layout_.read(config.digest), config.digest.text()).platform;
  }

  Layout& layout_;
  std::string name_;
};

} // namespace

std::unique_ptr<ImageSource> registry_source(Registry& registry, const Reference& reference,
                                             Layout& staging) {
  return std::make_unique<RegistrySource>(registry, reference, staging);
}
std::unique_ptr<ImageSource> layout_source(const Layout& layout, const Descriptor& image) {
  return std::make_unique<LayoutSource>(layout, image);
}
std::unique_ptr<ImageTarget> registry_target(Registry& registry, const Reference& reference,
                                             const Layout* known) {
  return std::make_unique<RegistryTarget>(registry, reference, known);
}
std::unique_ptr<ImageTarget> layout_target(Layout& layout, const std::string& name) {
  return std::make_unique<LayoutTarget>(layout, name);
}

} // namespace mlp::image
