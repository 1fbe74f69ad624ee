// An OCI image layout: a folder of blobs by digest and an index that names images. Every tool that
// knows the format reads ours, and ours reads theirs.
// Source: OCI Image Format Specification 1.1, image-layout.md.
#pragma once

#include "core/base/fs.hpp"
#include "core/image/oci.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

// A blob that is being written. Appears whole, checked and durable by commit(), or not at all.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  virtual void write(std::span<const std::byte> data) = 0;
  // Throws Error(integrity) unless the bytes have the digest and size that were expected, if any.
  // The media type of what it returns is empty.
  virtual Descriptor commit() = 0;
};

// Blobs and index are only ever added to or replaced whole. Safe to use from several threads and
// processes at once: changes of the index take a lock. All methods block on the file system.
class Layout {
 public:
  // Makes the folder if `create`, else throws Error(not_found) if it is none, Error(config) for an
  // unknown version of the format.
  explicit Layout(fs::path folder, bool create = false);

  [[nodiscard]] const fs::path& folder() const noexcept { return folder_; }

  // blobs/sha256/<hex>
  [[nodiscard]] fs::path blob_path(const Digest& digest) const;
  [[nodiscard]] bool has(const Digest& digest) const;
  // Throw Error(not_found) for what is not there. read() checks the digest: Error(integrity). It
  // reads documents: more than max_document bytes are refused.
  [[nodiscard]] File open(const Digest& digest) const;
  [[nodiscard]] std::string read(const Digest& digest) const;

  [[nodiscard]] std::unique_ptr<BlobWriter> writer(std::optional<Digest> expected = {},
                                                   std::optional<std::uint64_t> size = {});
  // The whole of it at once; free if it is there.
  Descriptor put(std::string_view bytes, std::string_view media_type);

  // A folder of the layout for what is under way, which other tools do not look into; made if it is
  // not there.
  [[nodiscard]] fs::path state_folder() const;

  // The index as it is now; entries without a name too.
  [[nodiscard]] Index index() const;
  // Points a name at a manifest or index that is in the layout. Replaces what the name had.
  void tag(std::string_view name, const Descriptor& manifest);
  // Adds an entry without a name, as referrers (an SBOM) have. Twice is once.
  void add(const Descriptor& manifest);
  // True if the name was there. Its blobs stay until gc().
  bool untag(std::string_view name);
  [[nodiscard]] std::optional<Descriptor> find(std::string_view name) const;
  // The manifests of the index that speak of another one, by that one's digest; with their artifact
  // types and annotations.
  [[nodiscard]] std::multimap<Digest, Descriptor> referrers() const;
  // Those of one manifest or index.
  [[nodiscard]] std::vector<Descriptor> referrers(const Digest& subject) const;

  struct Garbage {
    std::uint64_t blobs = 0, bytes = 0;
    std::uint64_t kept = 0;
  };
  // Removes the blobs that no entry of the index needs, and referrers of what is gone; not what is
  // younger than `age`, which a build or pull under way may be about to name. `dry`: only counts.
  Garbage gc(std::chrono::seconds age, bool dry, const std::stop_token& stop);

 private:
  void change_index(const std::function<bool(Index&)>& change);
  fs::path folder_;
};

// An image of one platform, with its documents.
struct Image {
  Descriptor descriptor; // of the manifest
  Manifest manifest;
  Config config; // as many diff_ids as layers: else Error(integrity)
};
// Whether an image for `offered` runs where `wanted` is asked for.
[[nodiscard]] bool satisfies(const Platform& offered, const Platform& wanted);
// The entry of an index for a platform. Throws Error(not_found) that names `what` and the platforms
// that there are.
[[nodiscard]] Descriptor choose_platform(const Index& index, const Platform& platform,
                                         std::string_view what);
// A manifest or index that is in the layout, by its digest alone. Throws Error: not_found,
// integrity.
[[nodiscard]] Descriptor descriptor_of(const Layout& layout, const Digest& digest);
// Follows an index to the manifest of the platform. Throws Error(not_found) naming the platforms
// that there are, Error(integrity).
[[nodiscard]] Image load_image(const Layout& layout, const Descriptor& manifest,
                               const Platform& platform = this_platform());

} // namespace mlp::image
