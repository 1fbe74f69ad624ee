// Blobs and index of a layout. What is not yet part of the image format's folder (blobs that are
// being written, the lock) is in .state beside it, which other tools pass over.
#include "core/image/layout.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <iterator>

namespace mlp::image {

namespace {

using namespace std::chrono_literals;

constexpr std::string_view version = "1.0.0";
constexpr auto lock_wait = 60s;

// A blob that somebody counts on is young again, so that gc() leaves it while its image is made.
void refresh(const fs::path& path, const struct stat& info) {
  if (std::time(nullptr) - info.st_mtime > 60) ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
}

class FileBlobWriter final : public BlobWriter {
 public:
  FileBlobWriter(const Layout& layout, const fs::path& state, std::optional<Digest> expected,
                 std::optional<std::uint64_t> size)
      : layout_(layout), file_(state / "blob"), expected_(expected), size_(size) {}

  void write(std::span<const std::byte> data) override {
    written_ += data.size();
    if (size_ && written_ > *size_) fail(fmt::format("has more than {} bytes", *size_));
    sha_.update(data);
    file_.file().write(data);
  }

  Descriptor commit() override {
    const Digest digest = sha_.finish();
    if (size_ && written_ != *size_)
      fail(fmt::format("has {} bytes instead of {}", written_, *size_));
    if (expected_ && digest != *expected_) fail(fmt::format("has the digest {}", digest.text()));
    if (!layout_.has(digest)) file_.commit_as(layout_.blob_path(digest));
    return {.digest = digest, .size = written_};
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorKind::integrity,
                fmt::format("the blob '{}' {}",
                            expected_ ? expected_->text() : std::string("without a digest"), what));
  }

  const Layout& layout_;
  AtomicFile file_;
  std::optional<Digest> expected_;
  std::optional<std::uint64_t> size_;
  std::uint64_t written_ = 0;
  Sha256 sha_;
};

void make_layout(const fs::path& folder) {
  make_directories(folder / "blobs" / "sha256");
  const fs::path index = folder / "index.json", mark = folder / "oci-layout";
  if (!fs::exists(index)) write_file_atomic(index, to_text(Index{}));
  if (!fs::exists(mark))
    write_file_atomic(mark, dump_json(json_object({{"imageLayoutVersion", version}})));
}

void check_version(const fs::path& folder) {
  const fs::path path = folder / "oci-layout";
  const std::optional<std::string> text = read_file_if_exists(path, 4096);
  if (!text)
    throw Error(ErrorKind::not_found, fmt::format("'{}' is no OCI image layout", folder.native()))
        .with_hint("a layout is a folder with the files oci-layout and index.json");
  const std::string what = fmt::format("'{}'", path.native());
  const std::string found = json_string(parse_json(*text, what), "imageLayoutVersion", what);
  if (found != version)
    throw Error(ErrorKind::config, fmt::format("{}: unknown version '{}' of image layouts; '{}' "
                                               "is known",
                                               what, printable(found), version));
}

std::string_view name_of(const Descriptor& entry) {
  const auto name = entry.annotations.find(ref_name_annotation);
  return name == entry.annotations.end() ? std::string_view() : std::string_view(name->second);
}

} // namespace

Layout::Layout(fs::path folder, bool create) : folder_(std::move(folder)) {
  if (create && !fs::exists(folder_ / "oci-layout")) make_layout(folder_);
  check_version(folder_);
}

fs::path Layout::state_folder() const {
  fs::path folder = folder_ / ".state";
  make_directories(folder);
  return folder;
}

fs::path Layout::blob_path(const Digest& digest) const {
  return folder_ / "blobs" / "sha256" / digest.hex();
}

bool Layout::has(const Digest& digest) const {
  const fs::path path = blob_path(digest);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  refresh(path, info);
  return true;
}

File Layout::open(const Digest& digest) const {
  const fs::path path = blob_path(digest);
  if (std::error_code ignored; !fs::is_regular_file(path, ignored))
    throw Error(ErrorKind::not_found,
                fmt::format("no blob '{}' in '{}'", digest.text(), folder_.native()));
  return File::open_read(path);
}

std::string Layout::read(const Digest& digest) const {
  File file = open(digest); // says which blob of which layout is not there
  file.close();
  std::string text = read_file(blob_path(digest), max_document);
  if (sha256(text) != digest)
    throw Error(ErrorKind::integrity, fmt::format("'{}' does not have the digest of its name",
                                                  blob_path(digest).native()))
        .with_hint("remove the file, then pull or build the image again");
  return text;
}

std::unique_ptr<BlobWriter> Layout::writer(std::optional<Digest> expected,
                                           std::optional<std::uint64_t> size) {
  make_directories(folder_ / "blobs" / "sha256");
  return std::make_unique<FileBlobWriter>(*this, state_folder(), expected, size);
}

Descriptor Layout::put(std::string_view bytes, std::string_view media_type) {
  Descriptor out{
      .media_type = std::string(media_type), .digest = sha256(bytes), .size = bytes.size()};
  if (has(out.digest)) return out;
  const std::unique_ptr<BlobWriter> blob = writer(out.digest, bytes.size());
  blob->write(std::as_bytes(std::span(bytes)));
  blob->commit();
  return out;
}

Index Layout::index() const {
  const fs::path path = folder_ / "index.json";
  return parse_index(read_file(path, max_document), fmt::format("'{}'", path.native()));
}

void Layout::change_index(const std::function<bool(Index&)>& change) {
  const FileLock lock(state_folder() / "lock", fmt::format("the index of '{}'", folder_.native()),
                      lock_wait);
  Index now = index();
  if (!change(now)) return;
  const std::string text = to_text(now);
  (void)parse_index(text, fmt::format("the new index of '{}'", folder_.native())); // its limits
  write_file_atomic(folder_ / "index.json", text);
}

void Layout::tag(std::string_view name, const Descriptor& manifest) {
  if (!has(manifest.digest))
    throw Error(ErrorKind::not_found,
                fmt::format("no manifest '{}' in '{}'", manifest.digest.text(), folder_.native()));
  Descriptor entry = manifest;
  entry.annotations.insert_or_assign(std::string(ref_name_annotation), std::string(name));
  change_index([&](Index& index) {
    const auto old = std::ranges::find_if(index.manifests,
                                          [&](const Descriptor& d) { return name_of(d) == name; });
    if (old != index.manifests.end() && *old == entry) return false;
    std::erase_if(index.manifests, [&](const Descriptor& d) { return name_of(d) == name; });
    index.manifests.push_back(entry);
    return true;
  });
}

void Layout::add(const Descriptor& manifest) {
  if (!has(manifest.digest))
    throw Error(ErrorKind::not_found,
                fmt::format("no manifest '{}' in '{}'", manifest.digest.text(), folder_.native()));
  Descriptor entry = manifest;
  entry.annotations.erase(std::string(ref_name_annotation));
  change_index([&](Index& index) {
    const bool known = std::ranges::any_of(index.manifests, [&](const Descriptor& d) {
      return d.digest == entry.digest && name_of(d).empty();
    });
    if (!known) index.manifests.push_back(entry);
    return !known;
  });
}

bool Layout::untag(std::string_view name) {
  bool found = false;
  change_index([&](Index& index) {
    found = std::erase_if(index.manifests,
                          [&](const Descriptor& d) { return name_of(d) == name; }) != 0;
    return found;
  });
  return found;
}

std::optional<Descriptor> Layout::find(std::string_view name) const {
  const Index now = index();
  const auto found =
      std::ranges::find_if(now.manifests, [&](const Descriptor& d) { return name_of(d) == name; });
  if (found == now.manifests.end()) return std::nullopt;
  return *found;
}

std::multimap<Digest, Descriptor> Layout::referrers() const {
  std::multimap<Digest, Descriptor> out;
  for (Descriptor& entry : index().manifests) {
    // Images have names, referrers an artifact type.
    if (!is_manifest(entry.media_type) ||
        (!name_of(entry).empty() && entry.artifact_type.empty()) || !has(entry.digest))
      continue;
    const Manifest manifest =
        parse_manifest(read(entry.digest), fmt::format("manifest '{}'", entry.digest.text()));
    if (!manifest.subject) continue;
    const auto [begin, end] = out.equal_range(manifest.subject->digest);
    if (std::any_of(begin, end, [&](const auto& d) { return d.second.digest == entry.digest; }))
      continue;
    entry.artifact_type =
        manifest.artifact_type.empty() ? manifest.config.media_type : manifest.artifact_type;
    entry.annotations = manifest.annotations; // as a registry answers
    out.emplace(manifest.subject->digest, std::move(entry));
  }
  return out;
}

std::vector<Descriptor> Layout::referrers(const Digest& subject) const {
  std::vector<Descriptor> out;
  const auto all = referrers();
  const auto [begin, end] = all.equal_range(subject);
  std::transform(begin, end, std::back_inserter(out), [](const auto& pair) { return pair.second; });
  return out;
}

} // namespace mlp::image
