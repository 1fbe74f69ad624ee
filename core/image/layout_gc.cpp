// What a layout still needs: everything that an entry of the index leads to. An entry without a
// name that speaks of another manifest is needed only with that.
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/image/layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

namespace mlp::image {

namespace {

// Not Layout::has(), which would make it young.
bool is_there(const Layout& layout, const Digest& digest) {
  return fs::exists(layout.blob_path(digest));
}

// Deeper than any image: indexes of indexes.
constexpr unsigned deepest = 8;

class Marks {
 public:
  explicit Marks(const Layout& layout) : layout_(layout) {}

  [[nodiscard]] bool has(const Digest& digest) const { return needed_.contains(digest); }

  // What is not there is passed over: a layout may lack the platforms that nobody asked for.
  void mark(const Descriptor& entry, unsigned depth = 0) {
    if (!needed_.insert(entry.digest).second || depth == deepest ||
        !is_there(layout_, entry.digest))
      return;
    const std::string what = fmt::format("'{}'", entry.digest.text());
    if (is_index(entry.media_type)) {
      for (const Descriptor& child : parse_index(layout_.read(entry.digest), what).manifests)
        mark(child, depth + 1);
    } else if (is_manifest(entry.media_type)) {
      const Manifest manifest = parse_manifest(layout_.read(entry.digest), what);
      needed_.insert(manifest.config.digest);
      for (const Descriptor& layer : manifest.layers)
        needed_.insert(layer.digest);
    }
  }

 private:
  const Layout& layout_;
  std::unordered_set<Digest> needed_;
};

// The subject of an entry without a name.
std::optional<Digest> subject_of(const Layout& layout, const Descriptor& entry) {
  if (entry.annotations.contains(ref_name_annotation) || !is_manifest(entry.media_type) ||
      !is_there(layout, entry.digest))
    return std::nullopt;
  const Manifest manifest =
      parse_manifest(layout.read(entry.digest), fmt::format("'{}'", entry.digest.text()));
  if (!manifest.subject) return std::nullopt;
  return manifest.subject->digest;
}

struct Referrer {
  Descriptor entry;
  Digest subject;
};

// Marks what the index needs and returns the referrers of what is gone.
std::vector<Referrer> mark_all(const Layout& layout, const Index& index, Marks& marks,
                               const std::stop_token& stop) {
  std::vector<Referrer> waiting;
  for (const Descriptor& entry : index.manifests) {
    throw_if_stopped(stop);
    if (const auto subject = subject_of(layout, entry)) {
      waiting.push_back({entry, *subject});
    } else {
      marks.mark(entry);
    }
  }
  // A referrer may speak of another one.
  for (bool more = true; more;) {
    more = std::erase_if(waiting, [&](const Referrer& referrer) {
             if (!marks.has(referrer.subject)) return false;
             marks.mark(referrer.entry);
             return true;
           }) != 0;
  }
  return waiting;
}

bool is_older(const fs::path& path, std::chrono::seconds age) {
  std::error_code code;
  const auto modified = fs::last_write_time(path, code);
  return !code && fs::file_time_type::clock::now() - modified >= age;
}

// Files that a killed command was writing.
void remove_leftovers(const fs::path& folder, std::chrono::seconds age) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(folder, code))
    if (entry.path().filename() != "lock" && entry.is_regular_file(code) &&
        is_older(entry.path(), age))
      fs::remove(entry.path(), code);
}

} // namespace

Layout::Garbage Layout::gc(std::chrono::seconds age, bool dry, const std::stop_token& stop) {
  Garbage out;
  // The marks and the removal are one change of the index: nobody names a blob in between.
  change_index([&](Index& index) {
    Marks marks(*this);
    const std::vector<Referrer> orphans = mark_all(*this, index, marks, stop);
    std::error_code code;
    for (const auto& file : fs::directory_iterator(folder_ / "blobs" / "sha256", code)) {
      throw_if_stopped(stop);
      const auto digest = parse_digest(file.path().filename().native());
      if (!digest) continue;
      if (marks.has(*digest) || !is_older(file.path(), age)) {
        ++out.kept;
        continue;
      }
      ++out.blobs;
      out.bytes += file.file_size(code);
      if (!dry) mlp::remove_all(file.path());
    }
    if (dry) return false;
    remove_leftovers(folder_ / ".state", age);
    return std::erase_if(index.manifests, [&](const Descriptor& entry) {
             return std::ranges::any_of(orphans,
                                        [&](const Referrer& r) { return r.entry == entry; }) &&
                    !is_there(*this, entry.digest);
           }) != 0;
  });
  return out;
}

} // namespace mlp::image
