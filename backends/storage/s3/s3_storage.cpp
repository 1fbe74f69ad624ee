// The storage interface in terms of S3's requests.
#include "backends/storage/s3/s3_storage.hpp"

#include "backends/storage/s3/s3_client.hpp"
#include "backends/storage/s3/s3_writer.hpp"
#include "backends/storage/s3/xml.hpp"
#include "core/base/ids.hpp"
#include "core/base/text.hpp"
#include "core/net/http_range.hpp"
#include "core/net/md5.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace mlp::storage {

namespace {

using data::check_name_kind;
using data::check_object_name;

constexpr unsigned pool_threads = 8;
constexpr std::size_t list_limit = 1000; // of S3, as is the next
constexpr std::size_t remove_limit = 1000;
constexpr std::size_t max_list_answer = 16u << 20;

// What a removed ref holds. S3 cannot remove conditionally everywhere, but it can overwrite so.
constexpr std::string_view removed_ref = "mlp: this ref was removed\n";
constexpr std::string_view probe_text =
    "mlp asks here whether the store refuses a write on a condition\n";
constexpr const char* writer_header = "x-amz-meta-mlp-writer";
constexpr const char* probe_name = ".mlp-conditional-writes";

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string without_quotes(std::string_view etag) {
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"')
    etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

class S3Storage final : public data::Storage {
 public:
  S3Storage(S3Place place, const net::HttpOptions& options, const net::EnvironmentOf& environment)
      : client_(std::move(place), options, environment),
        removed_etag_(fmt::format("\"{}\"", net::md5(removed_ref).hex())) {}

  [[nodiscard]] std::string location() const override { return client_.place().location; }
  [[nodiscard]] unsigned parallel_reads() const override { return 8; }

  [[nodiscard]] std::vector<std::optional<std::uint64_t>>
  has(std::span<const std::string> names) override;
  std::size_t read(std::string_view name, std::uint64_t offset, std::span<std::byte> into) override;
  [[nodiscard]] std::unique_ptr<data::ObjectWriter> write(std::string_view name) override {
    check_name_kind(name, false);
    return std::make_unique<S3Writer>(client_, pool(), std::string(name));
  }
  [[nodiscard]] data::ListPage list(std::string_view prefix, std::string_view after,
                                    std::size_t limit) override;
  void remove(std::span<const std::string> names) override;
  [[nodiscard]] std::optional<std::string> read_ref(std::string_view name) override {
    check_name_kind(name, true);
    return get_ref(std::string(name)).text;
  }
  data::SwapResult compare_and_swap(std::string_view name,
                                    const std::optional<std::string>& expected,
                                    const std::optional<std::string>& desired) override;

 private:
  struct Ref {
    std::optional<std::string> text;
    std::string etag;   // empty: there is no object at all
    std::string writer; // who wrote it, as put_ref() was told
  };

  // Started when first needed: many commands only list and read.
  data::TaskPool& pool() {
    const std::lock_guard lock(mutex_);
    if (!pool_) pool_ = std::make_unique<data::TaskPool>(pool_threads, pool_threads);
    return *pool_;
  }
  std::optional<std::uint64_t> size_of(const std::string& name);
  Ref get_ref(const std::string& name);
  // The list's elements of one answer, which begins after the key `after`.
  XmlElement list_answer(const std::string& prefix, const std::string& after, std::size_t limit);
  void remove_batch(std::span<const std::string> names);
  void require_conditional_writes();
  bool use_bare_etags();
  S3Response put_ref(const std::string& name, std::string_view text, const Ref& instead_of,
                     const std::string& writer = "probe");

  S3Client client_;
  std::string removed_etag_;
  std::mutex mutex_; // over pool_ and conditional_
  bool conditional_ = false;
  std::atomic<bool> bare_etags_ = false;
  std::unique_ptr<data::TaskPool> pool_; // last: its tasks use the rest
};

std::optional<std::uint64_t> S3Storage::size_of(const std::string& name) {
  const S3Request request{.method = "HEAD", .name = name, .doing = "looking for", .also = {404}};
  const auto response = client_.send(request).http;
  if (response.status == 404) return std::nullopt;
  const std::string* length = response.header("content-length");
  const auto size = length != nullptr ? number(*length) : std::nullopt;
  if (!size) throw client_.error(ErrorKind::failed, "the store does not tell its size", request);
  return size;
}

std::vector<std::optional<std::uint64_t>> S3Storage::has(std::span<const std::string> names) {
  for (const auto& name : names)
    check_object_name(name);
  std::vector<std::optional<std::uint64_t>> sizes(names.size());
  if (names.size() == 1) {
    sizes[0] = size_of(names[0]);
    return sizes;
  }
  std::vector<std::future<std::optional<std::uint64_t>>> asked;
  asked.reserve(names.size());
  for (const auto& name : names)
    asked.push_back(pool().submit([this, name] { return size_of(name); }));
  for (std::size_t i = 0; i < names.size(); ++i)
    sizes[i] = asked[i].get();
  return sizes;
}

std::size_t S3Storage::read(std::string_view name, std::uint64_t offset,
                            std::span<std::byte> into) {
  check_object_name(name);
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (into.empty() || offset > most - into.size()) {
    if (!size_of(std::string(name)))
      throw Error(ErrorKind::not_found, fmt::format("no object '{}' at '{}'", name, location()));
    return 0;
  }
  net::RangeReader range(offset, into);
  const S3Request request{
      .name = std::string(name),
      .doing = "reading",
      .headers = {{"Range", range.header()}},
      .sink = [&](const auto& head, auto bytes) { return range.take(head, bytes); },
      .restart = [&] { range.restart(); },
      .also = {416}};
  const auto response = client_.send(request).http;
  try {
    return range.finish(response);
  } catch (const Error& error) {
    throw client_.error(error.kind(), error.message(), request);
  }
}

XmlElement S3Storage::list_answer(const std::string& prefix, const std::string& after,
                                  std::size_t limit) {
  S3Request request{.doing = "listing",
                    .query = {{"list-type", "2"},
                              {"encoding-type", "url"},
                              {"max-keys", fmt::to_string(limit)},
                              {"prefix", prefix}},
                    .max_body = max_list_answer};
  if (!after.empty()) request.query.emplace_back("start-after", after);
  auto xml = parse_xml(client_.send(request).http.body);
  if (!xml || xml->name != "ListBucketResult")
    throw client_.error(ErrorKind::failed, "the answer is no list of objects", request)
        .with_hint("is this the endpoint of an S3 store?");
  return *std::move(xml);
}

data::ListPage S3Storage::list(std::string_view prefix, std::string_view after, std::size_t limit) {
  const std::string& base = client_.place().prefix;
  data::ListPage page;
  std::string last = after.empty() ? std::string() : base + std::string(after);
  for (bool more = true; more;) {
    // One more than is wanted tells whether there are more, whatever else lies in the bucket.
    const XmlElement answer = list_answer(base + std::string(prefix), last,
                                          std::min(limit - page.objects.size() + 1, list_limit));
    more = answer.value("IsTruncated") == "true";
    bool any = false;
    for (const XmlElement& element : answer.children) {
      if (element.name != "Contents") continue;
      any = true;
      const auto key = net::percent_decode(element.value("Key"));
      const auto size = number(element.value("Size"));
      if (!key || !size || !key->starts_with(base) || *key <= last)
        throw Error(
            ErrorKind::failed,
            fmt::format("'{}' answers with a list that is wrong or out of order", location()));
      last = *key;
      std::string name = key->substr(base.size());
      try {
        check_object_name(name);
      } catch (const Error&) {
        continue; // not one of ours
      }
      if (*size == removed_ref.size() && name.starts_with("refs/") &&
          element.value("ETag") == removed_etag_)
        continue;
      if (page.objects.size() == limit) {
        page.more = true;
        return page;
      }
      page.objects.push_back({std::move(name), *size});
    }
    more = more && any;
  }
  return page;
}

void S3Storage::remove_batch(std::span<const std::string> names) {
  std::string list = "<Delete><Quiet>true</Quiet>";
  for (const std::string& name : names)
    list +=
        fmt::format("<Object><Key>{}</Key></Object>", xml_escape(client_.place().prefix + name));
  list += "</Delete>";
  const S3Request request{
      .method = "POST",
      .doing = "removing objects from",
      .query = {{"delete", ""}},
      .headers = {{"Content-Type", "application/xml"}, {"Content-MD5", net::md5(list).base64()}},
      .body = std::as_bytes(std::span(list)),
      .max_body = max_list_answer};
  const auto xml = parse_xml(client_.send(request).http.body);
  if (!xml || xml->name != "DeleteResult")
    throw client_.error(ErrorKind::failed, "the answer is no list of removed objects", request);
  const XmlElement* error = xml->find("Error");
  if (error == nullptr || error->value("Code") == "NoSuchKey") return;
  const bool denied = error->value("Code") == "AccessDenied";
  throw client_.error(denied ? ErrorKind::denied : ErrorKind::failed,
                      fmt::format("object '{}' cannot be removed: {}",
                                  printable(error->value("Key")), printable(error->value("Code"))),
                      request);
}

void S3Storage::remove(std::span<const std::string> names) {
  for (const auto& name : names)
    check_name_kind(name, false);
  for (std::size_t first = 0; first < names.size(); first += remove_limit)
    remove_batch(names.subspan(first, std::min(remove_limit, names.size() - first)));
}

S3Storage::Ref S3Storage::get_ref(const std::string& name) {
  const S3Request request{
      .name = name, .doing = "reading", .max_body = data::max_ref_bytes, .also = {404}};
  auto response = client_.send(request).http;
  Ref ref;
  if (response.status == 404) {
    // An object that is not there is an answer; a bucket that is not is an error.
    const auto xml = parse_xml(response.body);
    if (xml && xml->value("Code") == "NoSuchBucket")
      throw client_
          .error(ErrorKind::not_found, fmt::format("no bucket '{}'", client_.place().bucket),
                 request)
          .with_hint("create it, or correct the remote's URL");
    return ref;
  }
  const std::string* etag = response.header("etag");
  if (etag == nullptr || etag->empty())
    throw client_.error(ErrorKind::failed, "the store does not tell the ETag", request);
  ref.etag = *etag;
  if (const std::string* writer = response.header(writer_header)) ref.writer = *writer;
  if (response.body != removed_ref) ref.text = std::move(response.body);
  return ref;
}

// 412: somebody else was first.
S3Response S3Storage::put_ref(const std::string& name, std::string_view text, const Ref& instead_of,
                              const std::string& writer) {
  S3Request request{
      .method = "PUT",
      .name = name,
      .doing = "writing",
      .headers = {{"Content-Type", "text/plain; charset=utf-8"}, {writer_header, writer}},
      .body = std::as_bytes(std::span(text)),
      .also = {412}};
  if (instead_of.etag.empty())
    request.headers.emplace_back("If-None-Match", "*");
  else
    request.headers.emplace_back("If-Match",
                                 bare_etags_ ? without_quotes(instead_of.etag) : instead_of.etag);
  return client_.send(request);
}

// A store that does not know conditional writes takes them as plain ones, and two pushes at once
// would lose one. So it is asked, with an object for the purpose: of two writes of which each wants
// to be the first the second must be refused, and so must one instead of what is not there.
void S3Storage::require_conditional_writes() {
  {
    const std::lock_guard lock(mutex_);
    if (conditional_) return;
  }
  bool refused = put_ref(probe_name, probe_text, {}).http.status == 412;
  if (!refused) refused = put_ref(probe_name, probe_text, {}).http.status == 412;
  if (refused)
    refused =
        put_ref(probe_name, probe_text, {{}, "\"00000000000000000000000000000000\""}).http.status ==
        412;
  if (!refused)
    throw Error(ErrorKind::failed,
                fmt::format("'{}' does not support conditional writes, which a push needs so that "
                            "two at once lose nothing",
                            location()))
        .with_hint("use a store that honours If-None-Match and If-Match on PutObject: Amazon S3, "
                   "Ceph, MinIO");
  const std::lock_guard lock(mutex_);
  conditional_ = true;
}

// Ceph up to 16 compares If-Match with the ETag without its quotes, and so refuses what is right.
// Where a bare one is compared too, that is the way. False if it is in use already.
bool S3Storage::use_bare_etags() {
  if (bare_etags_.exchange(true)) return false;
  const bool compared =
      put_ref(probe_name, probe_text, {{}, "\"00000000000000000000000000000000\""}).http.status ==
      412;
  if (!compared) bare_etags_ = false;
  return compared;
}

data::SwapResult S3Storage::compare_and_swap(std::string_view name,
                                             const std::optional<std::string>& expected,
                                             const std::optional<std::string>& desired) {
  check_name_kind(name, true);
  if (desired && desired->size() > data::max_ref_bytes)
    throw Error(ErrorKind::failed, fmt::format("ref '{}' is larger than 64 KiB", name));
  if (desired == removed_ref)
    throw Error(ErrorKind::failed, fmt::format("ref '{}' cannot hold this text", name));
  require_conditional_writes();
  const std::string ref(name);
  Ref current = get_ref(ref);
  if (current.text != expected) return {false, std::move(current.text)};
  if (!desired && current.etag.empty()) return {true, std::nullopt};
  const std::string_view text = desired ? *desired : removed_ref;
  const std::string writer = random_token(20);
  S3Response response = put_ref(ref, text, current, writer);
  if (response.http.status != 412) return {true, desired};
  const std::string etag = std::exchange(current, get_ref(ref)).etag;
  if (!etag.empty() && current.etag == etag && use_bare_etags()) {
    response = put_ref(ref, text, current, writer);
    if (response.http.status != 412) return {true, desired};
    current = get_ref(ref);
  }
  // Refused, but a former attempt, of ours or of the HTTP library's own, whose answer was lost may
  // have been the one that changed it.
  const bool ours = current.writer == writer;
  return {ours, std::move(current.text)};
}

} // namespace

std::unique_ptr<data::Storage> open_s3_storage(const net::Url& url, const net::HttpOptions& options,
                                               const net::EnvironmentOf& environment) {
  return std::make_unique<S3Storage>(read_s3_url(url, environment), options, environment);
}

} // namespace mlp::storage
