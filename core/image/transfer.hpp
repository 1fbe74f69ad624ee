// Images on the move: from a registry or a layout to a registry or a layout. Archives are read into
// a layout and written from one (archive.hpp).
#pragma once

#include "core/base/progress.hpp"
#include "core/image/reference.hpp"
#include "core/image/registry_client.hpp"

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace mlp::image {

// Where an image is read from. ensure() is called by several threads at once, the rest by one.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  // What was asked for: a manifest or an index.
  [[nodiscard]] virtual Document root() = 0;
  [[nodiscard]] virtual Document document(const Descriptor& descriptor) = 0;
  [[nodiscard]] virtual std::vector<Descriptor> referrers(const Digest& subject) = 0;
  // Returns once the blob is in layout().
  virtual void ensure(const Descriptor& blob, Progress& progress) = 0;
  [[nodiscard]] virtual const Layout& layout() const = 0;
};

// Where an image is written to. What speaks of blobs is called by several threads at once.
class ImageTarget {
 public:
  virtual ~ImageTarget() = default;
  // Whether the target's own name for the image already stands for this document.
  [[nodiscard]] virtual bool is_current(const Digest& root) = 0;
  [[nodiscard]] virtual bool has(const Descriptor& blob) = 0;
  // True if it has taken the blob from a place of its own (a mount). `from` need not have it yet.
  [[nodiscard]] virtual bool take_over(const Descriptor& blob) = 0;
  virtual void put(const Descriptor& blob, const Layout& from, Progress& progress) = 0;
  // False if it lacks something that the document needs. `named`: the image itself, which gets the
  // target's name.
  [[nodiscard]] virtual bool put(const Document& document, bool named) = 0;
};

// `staging` keeps what is fetched. All that is given must outlive the result.
[[nodiscard]] std::unique_ptr<ImageSource>
registry_source(Registry& registry, const Reference& reference, Layout& staging);
[[nodiscard]] std::unique_ptr<ImageSource> layout_source(const Layout& layout,
                                                         const Descriptor& image);
// `known`: a layout whose names tell from which other repositories of the registry its blobs came;
// they are mounted from there.
[[nodiscard]] std::unique_ptr<ImageTarget>
registry_target(Registry& registry, const Reference& reference, const Layout* known = nullptr);
// Without a name the image has an entry without one.
[[nodiscard]] std::unique_ptr<ImageTarget> layout_target(Layout& layout, const std::string& name);

struct TransferOptions {
  Platform platform = this_platform(); // of an index
  bool all_platforms = false;          // all that an index names, and itself
  bool referrers = true;               // SBOM, provenance and signatures come along
  unsigned jobs = 6;                   // blobs at once
  std::stop_token stop = {};
};

struct Transferred {
  Descriptor manifest;         // what the name stands for now
  std::uint64_t blobs = 0;     // of the image: layers and configurations, each once
  std::uint64_t moved = 0;     // of these, how many were not there
  std::uint64_t bytes = 0;     // of these
  std::uint64_t referrers = 0; // manifests
};

// Moves what the target lacks, blobs first and the name last, so that an interrupted transfer
// leaves nothing half; calling it again goes on. Throws Error: not_found for an unknown image or
// platform, and what source and target throw.
Transferred transfer(ImageSource& source, ImageTarget& target, const TransferOptions& options,
                     Progress& progress);

} // namespace mlp::image
