// Reading by GET and HEAD. The listing is fetched once for each list from its beginning, so that a
// walk over its pages sees one state of it.
#include "backends/storage/http/http_storage.hpp"

#include "backends/storage/file/listing.hpp"
#include "core/base/text.hpp"
#include "core/net/http_range.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <mutex>

namespace mlp::storage {

namespace {

using data::check_name_kind;
using data::check_object_name;

class HttpStorage final : public data::Storage {
 public:
  HttpStorage(std::string location, std::string base, const net::HttpOptions& options)
      : location_(std::move(location)), base_(std::move(base)), http_(options) {}

  [[nodiscard]] std::string location() const override { return location_; }
  [[nodiscard]] unsigned parallel_reads() const override { return 8; }

  [[nodiscard]] std::vector<std::optional<std::uint64_t>>
  has(std::span<const std::string> names) override;
  std::size_t read(std::string_view name, std::uint64_t offset, std::span<std::byte> into) override;
  [[nodiscard]] data::ListPage list(std::string_view prefix, std::string_view after,
                                    std::size_t limit) override;
  [[nodiscard]] std::optional<std::string> read_ref(std::string_view name) override;

  [[nodiscard]] std::unique_ptr<data::ObjectWriter> write(std::string_view name) override {
    check_name_kind(name, false);
    throw read_only();
  }
  void remove(std::span<const std::string> names) override {
    for (const auto& name : names)
      check_name_kind(name, false);
    throw read_only();
  }
  data::SwapResult compare_and_swap(std::string_view name, const std::optional<std::string>&,
                                    const std::optional<std::string>&) override {
    check_name_kind(name, true);
    throw read_only();
  }

 private:
  // The answer to a request for a file: 2xx or 404, or one of `also`.
  net::HttpResponse ask(std::string_view name, net::HttpRequest request,
                        const std::function<void()>& restart = {}, unsigned also = 404);
  [[nodiscard]] Error read_only() const {
    return Error(ErrorKind::denied, fmt::format("remote '{}' is read-only", location_))
        .with_hint("push to the file: remote that this server serves");
  }
  [[nodiscard]] Error missing(std::string_view name) const {
    return {ErrorKind::not_found, fmt::format("no object '{}' at '{}'", name, location_)};
  }

  std::string location_;
  std::string base_; // ends in '/'
  net::HttpClient http_;
  std::mutex mutex_; // over listing_
  std::vector<data::ListedObject> listing_;
  bool listed_ = false;
};

net::HttpResponse HttpStorage::ask(std::string_view name, net::HttpRequest request,
                                   const std::function<void()>& restart, unsigned also) {
  request.url = base_ + std::string(name);
  request.netrc = true;
  try {
    net::HttpResponse response = net::send_again(http_, std::move(request), restart);
    if (response.ok() || response.status == 404 || response.status == also) return response;
    const bool denied = response.status == 401 || response.status == 403;
    Error error(denied ? ErrorKind::denied : ErrorKind::failed,
                fmt::format("'{}' answered {}", net::url_origin(base_), response.status));
    if (response.status == 401)
      error.add_hint("give a user name and password for this host in ~/.netrc");
    throw std::move(error);
  } catch (Error& error) {
    error.add_context(fmt::format("while reading object '{}' at '{}'", name, location_));
    throw;
  }
}

std::vector<std::optional<std::uint64_t>> HttpStorage::has(std::span<const std::string> names) {
  for (const auto& name : names)
    check_object_name(name);
  std::vector<std::optional<std::uint64_t>> sizes;
  for (const auto& name : names) {
    const auto response = ask(name, {.method = "HEAD"});
    std::uint64_t size = 0;
    if (response.status == 404) {
      sizes.emplace_back();
      continue;
    }
    const std::string* length = response.header("content-length");
    const auto* end = length == nullptr ? nullptr : length->data() + length->size();
    if (length == nullptr || std::from_chars(length->data(), end, size).ptr != end)
      throw Error(ErrorKind::failed,
                  fmt::format("'{}' does not tell the size of object '{}'", location_, name));
    sizes.emplace_back(size);
  }
  return sizes;
}

std::size_t HttpStorage::read(std::string_view name, std::uint64_t offset,
                              std::span<std::byte> into) {
  check_object_name(name);
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (into.empty() || offset > most - into.size()) {
    if (ask(name, {.method = "HEAD"}).status == 404) throw missing(name);
    return 0;
  }
  net::RangeReader range(offset, into);
  const auto response = ask(
      name,
      {.headers = {{"Range", range.header()}},
       .sink = [&](const auto& head, auto bytes) { return range.take(head, bytes); }},
      [&] { range.restart(); }, 416);
  if (response.status == 404) throw missing(name);
  return with_context(fmt::format("while reading object '{}' at '{}'", name, location_),
                      [&] { return range.finish(response); });
}

data::ListPage HttpStorage::list(std::string_view prefix, std::string_view after,
                                 std::size_t limit) {
  const std::lock_guard lock(mutex_);
  if (!listed_ || after.empty()) {
    const auto response = ask(
        listing_name, {.headers = {{"Cache-Control", "no-cache"}}, .max_body = max_listing_bytes});
    if (response.status == 404)
      throw Error(ErrorKind::not_found,
                  fmt::format("no remote at '{}': there is no '{}'", location_, listing_name))
          .with_hint("is this the folder of a file: remote that was pushed to? a push with this "
                     "version of mlp writes the file");
    listing_ = parse_listing(response.body, location_);
    listed_ = true;
  }
  data::ListPage page;
  auto at = std::ranges::upper_bound(listing_, after, {}, &data::ListedObject::name);
  at = std::max(at, std::ranges::lower_bound(listing_, prefix, {}, &data::ListedObject::name));
  for (; at != listing_.end() && at->name.starts_with(prefix); ++at) {
    if (page.objects.size() == limit) {
      page.more = true;
      break;
    }
    page.objects.push_back(*at);
  }
  return page;
}

std::optional<std::string> HttpStorage::read_ref(std::string_view name) {
  check_name_kind(name, true);
  auto response =
      ask(name, {.headers = {{"Cache-Control", "no-cache"}}, .max_body = data::max_ref_bytes});
  if (response.status == 404) return std::nullopt;
  return std::move(response.body);
}

} // namespace

std::unique_ptr<data::Storage> open_http_storage(const net::Url& url,
                                                 const net::HttpOptions& options) {
  const std::string location = net::redacted(url);
  const auto refuse = [&](std::string_view reason) {
    return Error(ErrorKind::config, fmt::format("bad remote '{}': {}", location, reason));
  };
  if (!url.user.empty() || !url.password.empty())
    throw refuse("it holds credentials").with_hint("they belong in ~/.netrc");
  if (!url.query.empty() || !url.fragment.empty()) throw refuse("it has a query or a fragment");
  if (url.host.empty()) throw refuse("it names no host");
  std::string base = location;
  if (!base.ends_with('/')) base += '/';
  return std::make_unique<HttpStorage>(location, std::move(base), options);
}

} // namespace mlp::storage
