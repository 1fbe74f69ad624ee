// A few ranges are asked for ahead, so that network and disk overlap. Source: Amazon S3 API
// Reference, GetObject (Range, If-Match).
#include "backends/storage/s3/s3_file.hpp"

#include "backends/storage/s3/s3_client.hpp"
#include "core/data/task_pool.hpp"
#include "core/net/http_range.hpp"
#include "core/net/part_file.hpp"

#include <algorithm>
#include <charconv>
#include <deque>
#include <future>

namespace mlp::storage {

namespace {

constexpr std::size_t range_bytes = 8u << 20;
constexpr unsigned ranges_under_way = 4;
constexpr std::size_t longest_etag = 1023; // of a PartFile

struct Object {
  std::string key;
  std::string etag; // "": it has none that can be relied on
  std::uint64_t size = 0;
};

Object look_at(S3Client& client, const std::string& key) {
  const S3Request request{.method = "HEAD", .name = key, .doing = "reading"};
  const auto response = client.send(request).http;
  Object object{.key = key};
  const std::string* length = response.header("content-length");
  const char* const end = length != nullptr ? length->data() + length->size() : nullptr;
  if (length == nullptr || std::from_chars(length->data(), end, object.size).ptr != end)
    throw client.error(ErrorKind::failed, "the store does not tell its size", request);
  const std::string* etag = response.header("etag");
  if (etag != nullptr && etag->starts_with('"') && etag->size() <= longest_etag)
    object.etag = *etag;
  return object;
}

void read_range(S3Client& client, const Object& object, std::uint64_t offset,
                std::span<std::byte> into) {
  net::RangeReader range(offset, into);
  S3Request request{.name = object.key,
                    .doing = "reading",
                    .headers = {{"Range", range.header()}},
                    .sink = [&](const auto& head, auto bytes) { return range.take(head, bytes); },
                    .restart = [&] { range.restart(); },
                    .also = {412, 416}};
  if (!object.etag.empty()) request.headers.emplace_back("If-Match", object.etag);
  const auto response = client.send(request).http;
  std::size_t count = 0;
  try {
    if (response.status != 412) count = range.finish(response);
  } catch (const Error& error) {
    throw client.error(error.kind(), error.message(), request);
  }
  if (count != into.size())
    throw client.error(ErrorKind::conflict, "it was replaced while it was read", request)
        .with_hint("run the command again when nobody writes it");
}

// What is missing.
void copy_rest(S3Client& client, const Object& object, net::PartFile& part, Progress& progress) {
  struct Range {
    std::span<std::byte> bytes;
    std::future<void> read;
  };
  std::vector<std::byte> buffer(ranges_under_way * range_bytes);
  data::TaskPool pool(ranges_under_way, ranges_under_way);
  std::deque<Range> under_way;
  std::uint64_t asked = part.size(), number = 0;
  while (part.size() < object.size) {
    while (asked < object.size && under_way.size() < ranges_under_way) {
      Range& range = under_way.emplace_back();
      // The slots are taken in turn, as the ranges are.
      range.bytes = std::span(buffer).subspan(
          (number++ % ranges_under_way) * range_bytes,
          static_cast<std::size_t>(std::min<std::uint64_t>(object.size - asked, range_bytes)));
      range.read = pool.submit([&client, &object, asked, into = range.bytes] {
        read_range(client, object, asked, into);
      });
      asked += range.bytes.size();
    }
    Range& first = under_way.front();
    first.read.get();
    part.append(first.bytes);
    progress.advance(first.bytes.size());
    under_way.pop_front();
  }
}

} // namespace

net::Downloaded copy_s3_file(const net::Url& url, const fs::path& target,
                             const std::optional<Digest>& expected, const net::HttpOptions& options,
                             const net::EnvironmentOf& environment, Progress& progress) {
  net::Url bucket = url;
  bucket.path.clear();
  const std::string key = url.path.substr(std::min<std::size_t>(1, url.path.size()));
  if (key.empty() || key.ends_with('/'))
    throw Error(ErrorKind::usage, "the URL names no object")
        .with_hint("write s3://bucket/path/to/object");
  S3Client client(read_s3_url(bucket, environment), options, environment);
  const Object object = look_at(client, key);
  net::PartFile part(target);
  if (part.etag() != object.etag || part.size() > object.size) part.restart(object.etag);
  const std::uint64_t resumed_at = part.size();
  progress.begin("copying", object.size, ProgressUnit::bytes);
  progress.advance(part.size());
  copy_rest(client, object, part, progress);
  progress.end();
  return net::finish_download(part, target, expected, resumed_at, client.place().location,
                              options.stop);
}

} // namespace mlp::storage
