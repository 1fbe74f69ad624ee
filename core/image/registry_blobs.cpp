// Blobs to and from a registry. Either way goes on where it stopped: a part that was fetched lies
// in the layout, a part that was sent lies in the registry, whose address of it is in the layout.
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/image/registry_client.hpp"
#include "core/net/part_file.hpp"
#include "core/net/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <thread>

namespace mlp::image {

namespace {

using namespace std::chrono_literals;

// Up to this size a blob goes in one request.
constexpr std::uint64_t small_blob = 16u << 20;
// A registry keeps what came before a failure up to the end of the last part.
constexpr std::uint64_t upload_part = 64u << 20;
// Another command fetches the same blob: as long as it goes forward it is waited for.
constexpr auto longest_standstill = 120s;

// Of a blob that is fetched; nullopt once another command has brought it.
std::optional<net::PartFile> open_part(const fs::path& target, const Descriptor& blob,
                                       const Layout& layout, const std::stop_token& stop) {
  fs::path part = target;
  part += ".part";
  std::uintmax_t size = 0;
  auto since = std::chrono::steady_clock::now();
  while (true) {
    try {
      net::PartFile file(target);
      if (layout.has(blob.digest)) {
        file.remove();
        return std::nullopt;
      }
      return file;
    } catch (const Error& error) {
      const auto now = std::chrono::steady_clock::now();
      std::error_code code;
      if (const auto grown = fs::file_size(part, code); !code && grown != size) {
        size = grown;
        since = now;
      }
      if (error.kind() != ErrorKind::conflict || now - since > longest_standstill) throw;
    }
    throw_if_stopped(stop);
    std::this_thread::sleep_for(100ms);
    if (layout.has(blob.digest)) return std::nullopt;
  }
}

// Takes what attempts bring, and hashes it on the way.
class Receiver {
 public:
  Receiver(net::PartFile& part, const Descriptor& blob, Progress& progress)
      : part_(part), blob_(blob), progress_(progress) {}

  // What an earlier command left.
  void take_over(const std::stop_token& stop) {
    // The digest is the version: whatever is there is a beginning of these bytes.
    if (part_.etag() != blob_.digest.text() || part_.size() > blob_.size) {
      part_.restart(blob_.digest.text());
      return;
    }
    resumed_ = part_.size() > 0;
    File file = File::open_read(part_.path());
    std::vector<std::byte> block(std::size_t{1} << 20);
    for (std::uint64_t at = 0; at < part_.size();) {
      throw_if_stopped(stop);
      const std::size_t n = file.read_at(block, at);
      if (n == 0) break;
      sha_.update(std::span(block).first(n));
      at += n;
    }
    count();
  }

  void begin_attempt() { begun_ = false; }

  bool take(const net::HttpResponse& head, std::span<const std::byte> data) {
    if (!begun_) begin(head);
    if (part_.size() + data.size() > blob_.size)
      throw Error(ErrorKind::integrity, fmt::format("the blob '{}' has more than its {} bytes",
                                                    blob_.digest.text(), blob_.size));
    part_.append(data);
    sha_.update(data);
    count();
    return true;
  }

  void restart() {
    resumed_ = false;
    part_.restart(blob_.digest.text());
    (void)sha_.finish();
  }

  [[nodiscard]] bool whole() const { return part_.size() == blob_.size; }
  [[nodiscard]] bool resumed() const noexcept { return resumed_; }
  [[nodiscard]] bool right() { return sha_.finish() == blob_.digest; }

 private:
  void begin(const net::HttpResponse& head) {
    begun_ = true;
    const std::string* const range = head.header("content-range");
    if (head.status != 206) {
      if (part_.size() > 0) restart(); // all of it comes
    } else if (range == nullptr || !range->starts_with(fmt::format("bytes {}-", part_.size()))) {
      throw Error(ErrorKind::failed, fmt::format("the registry sent another part of '{}' than it "
                                                 "was asked for",
                                                 blob_.digest.text()));
    }
  }
  void count() {
    if (part_.size() <= counted_) return; // again from the beginning
    progress_.advance(part_.size() - counted_);
    counted_ = part_.size();
  }

  net::PartFile& part_;
  const Descriptor& blob_;
  Progress& progress_;
  Sha256 sha_;
  std::uint64_t counted_ = 0;
  bool begun_ = false, resumed_ = false;
};

// "0-99" or "bytes=0-99": how many bytes a session has. "0-0" is what some say for none.
std::optional<std::uint64_t> kept_bytes(const net::HttpResponse& response) {
  const std::string* const header = response.header("range");
  if (header == nullptr) return std::nullopt;
  std::string_view text = *header;
  if (text.starts_with("bytes=")) text.remove_prefix(6);
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  text.remove_prefix(dash + 1);
  std::uint64_t last = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), last);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return last == 0 ? 0 : last + 1;
}

Digest sha256_of(const File& file, const std::stop_token& stop) {
  Sha256 sha;
  std::vector<std::byte> block(std::size_t{1} << 20);
  for (std::uint64_t at = 0;;) {
    throw_if_stopped(stop);
    const std::size_t n = file.read_at(block, at);
    if (n == 0) return sha.finish();
    sha.update(std::span(block).first(n));
    at += n;
  }
}

bool may_pass(const Error& error) {
  return error.kind() == ErrorKind::unreachable;
}

} // namespace

bool Registry::has_blob(const Scope& scope, const Descriptor& blob) {
  const net::HttpResponse response =
      http_.send({.method = "HEAD", .url = url(scope, "blobs/" + blob.digest.text())}, scope);
  if (response.status == 404) return false;
  if (response.ok()) return true;
  throw http_.error(response,
                    fmt::format("cannot ask for a blob of '{}/{}'", host(), scope.repository));
}

void Registry::fetch_blob(const Scope& scope, const Descriptor& blob, Layout& layout,
                          Progress& progress) {
  if (layout.has(blob.digest)) return;
  const std::stop_token& stop = http_.options().http.stop;
  auto part = open_part(layout.state_folder() / blob.digest.hex(), blob, layout, stop);
  if (!part) return;
  Receiver receiver(*part, blob, progress);
  receiver.take_over(stop);
  std::uint64_t furthest = part->size();
  for (net::Retry retry(http_.options().http.retry, stop);;) {
    const std::uint64_t before = part->size();
    try {
      if (!receiver.whole()) {
        net::HttpRequest request{.url = url(scope, "blobs/" + blob.digest.text())};
        if (before > 0) request.headers.emplace_back("Range", fmt::format("bytes={}-", before));
        request.sink = [&](const net::HttpResponse& head, std::span<const std::byte> data) {
          return receiver.take(head, data);
        };
        const net::HttpResponse response = http_.send(
            std::move(request), scope, RegistryHttp::Repeat::no, [&] { receiver.begin_attempt(); });
        if (response.status == 416) {
          receiver.restart();
        } else if (!response.ok()) {
          throw http_.error(
              response, fmt::format("cannot fetch a blob of '{}/{}'", host(), scope.repository));
        }
      }
      if (receiver.whole()) {
        if (receiver.right()) break;
        // What was there may have been damaged by a crash of this machine: once more, all of it.
        const bool again = receiver.resumed();
        receiver.restart();
        if (again) continue;
        part->remove();
        throw Error(ErrorKind::integrity,
                    fmt::format("what '{}' sent for the blob '{}' does not have that digest",
                                host(), blob.digest.text()))
            .with_hint("the registry, or something on the way to it, has damaged or changed it");
      }
      throw Error(ErrorKind::unreachable,
                  fmt::format("'{}' sent {} of the {} bytes of the blob '{}'", host(), part->size(),
                              blob.size, blob.digest.text()));
    } catch (const Error& error) {
      if (!may_pass(error)) throw;
      if (part->size() > furthest) retry = net::Retry(http_.options().http.retry, stop);
      furthest = std::max(furthest, part->size());
      if (!retry.again()) throw;
    }
  }
  part->become(layout.blob_path(blob.digest));
}

struct Registry::Upload {
  std::string location;     // of the session; empty: there is none
  std::uint64_t offset = 0; // how much of the blob it has
  std::uint64_t part = upload_part;
  std::uint64_t counted = 0; // told to the progress
  bool done = false;         // the blob is in the registry
  fs::path saved;            // the session's address, for the next command

  void save() const {
    if (!saved.empty())
      write_file_atomic(saved, dump_json(json_object({{"location", location}})), 0600);
  }
  void load() {
    if (saved.empty()) return;
    const std::optional<std::string> text = read_file_if_exists(saved, 64 * 1024);
    if (!text) return;
    try {
      location = json_string(parse_json(*text, "upload"), "location", "upload");
    } catch (const Error&) {
      location.clear(); // not ours to read: a new session does
    }
  }
  void forget() const {
    if (!saved.empty()) mlp::remove_all(saved);
  }
};

bool Registry::mount_blob(const Scope& scope, const Descriptor& blob, const std::string& from) {
  Scope both = scope;
  both.mount_from = from;
  const std::string address =
      url(scope, fmt::format("blobs/uploads/?mount={}&from={}", blob.digest.text(),
                             net::percent_encode(from, "/")));
  try {
    const net::HttpResponse response =
        http_.send({.method = "POST", .url = address, .body = net::HttpBody{}}, both);
    if (response.status == 201) return true;
    const std::string* const location = response.header("location");
    if (response.status == 202 && location != nullptr) // a session, which nobody needs
      (void)http_.send({.method = "DELETE", .url = http_.resolve(address, *location)}, scope,
                       RegistryHttp::Repeat::no);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) throw;
  }
  return false; // whatever the reason: the blob is sent instead
}

void Registry::begin_upload(const Scope& scope, Upload& upload) {
  const std::string address = url(scope, "blobs/uploads/");
  const net::HttpResponse response =
      http_.send({.method = "POST", .url = address, .body = net::HttpBody{}}, scope);
  upload.offset = 0;
  const std::string* const location = response.header("location");
  if (response.status != 202 || location == nullptr)
    throw http_.error(response, fmt::format("cannot write to '{}/{}'", host(), scope.repository));
  upload.location = http_.resolve(address, *location);
  if (const std::string* const least = response.header("oci-chunk-min-length")) {
    std::uint64_t bytes = 0;
    const char* const end = least->data() + least->size();
    if (std::from_chars(least->data(), end, bytes).ec == std::errc() && bytes <= (1ull << 30))
      upload.part = std::max(upload.part, bytes);
  }
}

// Asks for what the session has; false if it is gone.
bool Registry::find_upload(const Scope& scope, Upload& upload) {
  if (upload.location.empty()) return false;
  const net::HttpResponse response = http_.send({.url = upload.location}, scope);
  const auto kept = kept_bytes(response);
  if (response.status != 204 || !kept) return false;
  if (const std::string* const location = response.header("location"))
    upload.location = http_.resolve(upload.location, *location);
  upload.offset = *kept;
  return true;
}

// The next part, or the end: a small blob goes whole, with its digest.
net::HttpResponse Registry::send_part(const Scope& scope, Upload& upload, const File& file,
                                      const Descriptor& blob, Progress& progress) {
  const bool small = upload.offset == 0 && blob.size <= small_blob;
  const bool last = small || upload.offset == blob.size;
  const std::uint64_t size = small ? blob.size : std::min(upload.part, blob.size - upload.offset);
  net::HttpRequest request{.method = last ? "PUT" : "PATCH", .url = upload.location};
  if (last)
    request.url +=
        fmt::format("{}digest={}", request.url.find('?') == std::string::npos ? '?' : '&',
                    net::percent_encode(blob.digest.text()));
  request.headers.emplace_back("Content-Type", "application/octet-stream");
  if (!last)
    request.headers.emplace_back("Content-Range",
                                 fmt::format("{}-{}", upload.offset, upload.offset + size - 1));
  const std::uint64_t from = upload.offset;
  request.body = net::HttpBody{
      last && !small ? 0 : size, [&, from](std::uint64_t offset, std::span<std::byte> into) {
        if (file.read_at(into, from + offset) != into.size())
          throw Error(ErrorKind::integrity,
                      fmt::format("'{}' is shorter than {} bytes", file.name(), blob.size));
        const std::uint64_t at = from + offset + into.size();
        if (at <= upload.counted) return;
        progress.advance(at - upload.counted);
        upload.counted = at;
      }};
  net::HttpResponse response = http_.send(std::move(request), scope, RegistryHttp::Repeat::no);
  if (!response.ok()) return response;
  if (last) {
    upload.done = true;
    return response;
  }
  upload.offset += size;
  if (const auto kept = kept_bytes(response); kept && *kept > from && *kept <= blob.size)
    upload.offset = *kept; // it may have taken less
  if (const std::string* const location = response.header("location"))
    upload.location = http_.resolve(upload.location, *location);
  upload.save();
  return response;
}

void Registry::push_blob(const Scope& scope, const Descriptor& blob, const Layout& layout,
                         Progress& progress) {
  const File file = layout.open(blob.digest);
  if (file.size() != blob.size)
    throw Error(ErrorKind::integrity,
                fmt::format("'{}' has {} bytes instead of {}", file.name(), file.size(), blob.size))
        .with_hint("remove the file, then pull or build the image again");
  const std::stop_token& stop = http_.options().http.stop;
  Upload upload;
  if (blob.size > small_blob) {
    const std::string place =
        sha256(fmt::format("{}/{}", host(), scope.repository)).hex().substr(0, 16);
    upload.saved = layout.state_folder() / fmt::format("{}.{}.upload", blob.digest.hex(), place);
    upload.load();
  }
  const std::uint64_t before =
      !upload.location.empty() && find_upload(scope, upload) ? upload.offset : 0;
  if (before == 0) begin_upload(scope, upload);
  upload.counted = before;
  std::uint64_t furthest = upload.offset;
  for (net::Retry retry(http_.options().http.retry, stop); !upload.done;) {
    Error failure(ErrorKind::failed, "");
    bool lost = false; // the session may be another than we think
    try {
      const net::HttpResponse response = send_part(scope, upload, file, blob, progress);
      if (response.ok()) {
        if (upload.offset > furthest) retry = net::Retry(http_.options().http.retry, stop);
        furthest = std::max(furthest, upload.offset);
        continue;
      }
      failure = http_.error(
          response, fmt::format("cannot write a blob to '{}/{}'", host(), scope.repository));
      if (failure.kind() == ErrorKind::integrity && sha256_of(file, stop) != blob.digest)
        throw Error(ErrorKind::integrity,
                    fmt::format("'{}' does not have the digest of its name", file.name()))
            .with_hint("remove the file, then pull or build the image again");
      lost = response.status == 404 || response.status == 416 ||
             registry_error_code(response) == "BLOB_UPLOAD_INVALID" ||
             registry_error_code(response) == "BLOB_UPLOAD_UNKNOWN";
    } catch (const Error& error) {
      failure = error;
    }
    if (!lost && !may_pass(failure)) throw failure;
    if (!retry.again()) throw failure;
    if (find_upload(scope, upload)) continue;
    // Perhaps only the last answer was lost.
    upload.done = has_blob(scope, blob);
    if (!upload.done) begin_upload(scope, upload);
  }
  upload.forget();
}

} // namespace mlp::image
