// Each attempt asks for what is missing, on the condition that the file is still the same one.
#include "core/net/download.hpp"

#include "core/net/part_file.hpp"

#include <fmt/format.h>

#include <charconv>

namespace mlp::net {

namespace {

// A strong ETag (RFC 9110, 8.8.3), or "".
std::string strong_etag(const HttpResponse& head) {
  const std::string* etag = head.header("etag");
  return etag != nullptr && etag->starts_with('"') && etag->size() < 1024 ? *etag : "";
}

// Takes what an attempt brings.
class Receiver {
 public:
  Receiver(PartFile& part, Progress& progress, const std::string& origin)
      : part_(part), progress_(progress), origin_(origin) {}

  bool take(const HttpResponse& head, std::span<const std::byte> data) {
    if (!begun_) begin(head);
    part_.append(data);
    progress_.advance(data.size());
    return true;
  }
  void begin(const HttpResponse& head) {
    begun_ = true;
    if (head.status == 206) {
      const std::string wanted = fmt::format("bytes {}-", part_.size());
      const std::string* range = head.header("content-range");
      if (range == nullptr || !range->starts_with(wanted))
        throw Error(ErrorKind::failed,
                    fmt::format("'{}' sent another part than it was asked for", origin_));
    } else {
      part_.restart(strong_etag(head));
    }
    std::uint64_t rest = 0;
    if (const std::string* length = head.header("content-length"))
      std::from_chars(length->data(), length->data() + length->size(), rest);
    if (rest == 0) return;
    progress_.begin("downloading", part_.size() + rest, ProgressUnit::bytes);
    progress_.advance(part_.size());
  }
  [[nodiscard]] bool begun() const noexcept { return begun_; }

 private:
  PartFile& part_;
  Progress& progress_;
  const std::string& origin_;
  bool begun_ = false;
};

Error refused(unsigned status, const std::string& origin) {
  if (status == 404 || status == 410)
    return Error(ErrorKind::not_found, fmt::format("'{}' has no such file", origin));
  if (status == 401 || status == 403)
    return Error(ErrorKind::denied, fmt::format("'{}' does not give the file away", origin));
  return Error(is_transient_status(status) ? ErrorKind::unreachable : ErrorKind::failed,
               fmt::format("'{}' answered {}", origin, status));
}

} // namespace

Downloaded download(const std::string& url, const fs::path& target,
                    const std::optional<Digest>& expected, HttpOptions options,
                    Progress& progress) {
  const std::string origin = url_origin(url);
  const RetryPolicy policy = options.retry;
  const std::stop_token stop = options.stop;
  options.retry.attempts = 1; // an attempt of ours goes on where the last one stopped
  HttpClient client(std::move(options));
  PartFile part(target);
  const std::uint64_t resumed_at = part.size();
  progress.begin("downloading", 0, ProgressUnit::bytes);
  progress.advance(part.size());
  Retry retry(policy, stop);
  for (bool whole = false; !whole;) {
    const std::uint64_t before = part.size();
    Receiver receiver(part, progress, origin);
    HttpRequest request{.url = url};
    if (before > 0) {
      request.headers.emplace_back("Range", fmt::format("bytes={}-", before));
      request.headers.emplace_back("If-Range", part.etag());
    }
    request.sink = [&](const HttpResponse& head, std::span<const std::byte> data) {
      return receiver.take(head, data);
    };
    std::optional<std::chrono::milliseconds> wait;
    Error failure(ErrorKind::failed, "");
    try {
      const HttpResponse response = send_again(client, std::move(request));
      if (response.ok()) {
        if (!receiver.begun()) receiver.begin(response); // an empty file
        whole = true;
        continue;
      }
      if (response.status == 416 && before > 0) { // all was there, or it has become shorter
        part.restart("");
        continue;
      }
      failure = refused(response.status, origin);
      wait = retry_after(response);
    } catch (const Error& error) {
      failure = error;
    }
    if (failure.kind() != ErrorKind::unreachable) throw failure;
    if (part.size() > before) retry = Retry(policy, stop); // it goes forward
    if (!retry.again(wait)) throw failure;
  }
  progress.end();
  return finish_download(part, target, expected, resumed_at, origin, stop);
}

Downloaded finish_download(PartFile& part, const fs::path& target,
                           const std::optional<Digest>& expected, std::uint64_t resumed_at,
                           std::string_view origin, const std::stop_token& stop) {
  const Downloaded result{.bytes = part.size(),
                          .resumed_at = std::min(resumed_at, part.size()),
                          .sha256 = part.hash(stop)};
  if (expected && result.sha256 != *expected) {
    part.remove();
    throw Error(ErrorKind::integrity,
                fmt::format("what '{}' gave is not what was expected: its digest is {}", origin,
                            result.sha256.text()))
        .with_hint("check the digest and the URL; the file may have been replaced");
  }
  part.become(target);
  return result;
}

} // namespace mlp::net
