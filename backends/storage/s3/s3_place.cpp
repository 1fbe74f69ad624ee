// Amazon's own endpoint addresses buckets by host name; others by path, unless told otherwise,
// since a host name for each bucket needs DNS and certificates to match.
#include "backends/storage/s3/s3_place.hpp"

#include "core/base/text.hpp"
#include "core/data/storage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace mlp::storage {

namespace {

bool is_bucket_name(std::string_view name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return name.size() >= 3 && name.size() <= 63 && plain(name.front()) && plain(name.back()) &&
         std::ranges::all_of(name,
                             [&](char c) { return plain(c) || c == '-' || c == '.' || c == '_'; });
}

bool is_region_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

std::string aws_endpoint(const std::string& region) {
  return fmt::format("https://s3.{}.amazonaws.com{}", region,
                     region.starts_with("cn-") ? ".cn" : "");
}

// "http://host:port/path" without what an endpoint cannot have.
std::string checked_endpoint(const std::string& text, const std::string& location) {
  const net::Url url = net::parse_url(text);
  const auto refuse = [&](std::string_view reason) {
    return Error(ErrorKind::config,
                 fmt::format("bad endpoint '{}' of '{}': {}", net::redacted(url), location, reason))
        .with_hint("write it as https://host or http://host:port");
  };
  if (url.scheme != "http" && url.scheme != "https") throw refuse("it is not http: or https:");
  if (url.host.empty()) throw refuse("it names no host");
  if (!url.user.empty() || !url.password.empty()) throw refuse("it must not hold credentials");
  if (!url.query.empty() || !url.fragment.empty()) throw refuse("it has a query");
  const bool usual_port =
      !url.port || *url.port == (url.scheme == "https" ? 443u : 80u); // HTTP does not name those
  std::string path = net::percent_encode(url.path, "/");
  while (path.ends_with('/'))
    path.pop_back();
  const bool v6 = url.host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}", url.scheme, v6 ? fmt::format("[{}]", url.host) : url.host,
                     usual_port ? "" : fmt::format(":{}", *url.port), path);
}

} // namespace

S3Place::Address S3Place::address(std::string_view key, const std::string& in_region) const {
  const std::string base = is_aws ? aws_endpoint(in_region) : endpoint;
  const auto host_at = base.find("://") + 3;
  const auto path_at = std::min(base.find('/', host_at), base.size());
  const std::string host = base.substr(host_at, path_at - host_at);
  const std::string key_path = net::percent_encode(key, "/");
  Address result;
  result.host = path_style ? host : fmt::format("{}.{}", bucket, host);
  result.path = base.substr(path_at) + (path_style ? "/" + bucket : "") +
                (path_style && key.empty() ? "" : "/") + key_path;
  result.url = base.substr(0, host_at) + result.host + result.path;
  return result;
}

S3Place read_s3_url(const net::Url& url, const net::EnvironmentOf& environment) {
  S3Place place;
  place.location = net::redacted(url);
  const auto refuse = [&](std::string_view reason) {
    return Error(ErrorKind::config, fmt::format("bad remote '{}': {}", place.location, reason))
        .with_hint("write s3://bucket/prefix, with ?endpoint=https://host for a store that is not "
                   "Amazon's");
  };
  if (!url.user.empty() || !url.password.empty())
    throw refuse("it holds credentials, which belong in the environment or in ~/.aws/credentials");
  if (url.port) throw refuse("a bucket has no port; the endpoint has");
  if (!url.fragment.empty()) throw refuse("it has a fragment");
  if (!is_bucket_name(url.host)) throw refuse("it names no valid bucket");
  place.bucket = url.host;
  std::string_view prefix = url.path;
  while (prefix.starts_with('/'))
    prefix.remove_prefix(1);
  while (prefix.ends_with('/'))
    prefix.remove_suffix(1);
  if (!prefix.empty()) {
    try {
      data::check_object_name(prefix);
    } catch (const Error& error) {
      throw refuse(error.message());
    }
    place.prefix = std::string(prefix) + "/";
  }

  std::map<std::string, std::string> given;
  if (!url.query.empty()) {
    for (const std::string& pair : split(url.query, '&')) {
      const auto equals = pair.find('=');
      const std::string key = pair.substr(0, equals);
      const auto value =
          net::percent_decode(equals == std::string::npos ? "" : pair.substr(equals + 1));
      static const std::vector<std::string> known = {"endpoint", "region", "profile", "addressing",
                                                     "anonymous"};
      if (std::ranges::find(known, key) == known.end()) {
        Error error = refuse(fmt::format("unknown parameter '{}'", printable(key)));
        error.add_hint(suggestion_hint(key, known, "parameters"));
        throw error;
      }
      if (!value || value->empty()) throw refuse(fmt::format("parameter '{}' has no value", key));
      given[key] = *value;
    }
  }
  place.profile = net::load_aws_profile(environment, given["profile"]);
  place.region = !given["region"].empty() ? given["region"] : place.profile.region;
  if (place.region.empty()) place.region = "us-east-1";
  if (!is_region_name(place.region)) throw refuse("the region is not a name");

  const std::string endpoint =
      !given["endpoint"].empty() ? given["endpoint"] : place.profile.endpoint;
  place.is_aws = endpoint.empty();
  place.endpoint =
      place.is_aws ? aws_endpoint(place.region) : checked_endpoint(endpoint, place.location);
  if (!place.is_aws && given["endpoint"].empty())
    place.location += fmt::format("{}endpoint={}", url.query.empty() ? "?" : "&", place.endpoint);

  // A dot in the bucket's name would not match the certificate of "*.host".
  const std::string& addressing = given["addressing"];
  if (!addressing.empty() && addressing != "path" && addressing != "virtual")
    throw refuse("addressing is 'path' or 'virtual'");
  place.path_style = addressing.empty()
                         ? !place.is_aws || place.bucket.find('.') != std::string::npos
                         : addressing == "path";
  const std::string& anonymous = given["anonymous"];
  if (!anonymous.empty() && anonymous != "true" && anonymous != "false")
    throw refuse("anonymous is 'true' or 'false'");
  place.anonymous = anonymous == "true";
  return place;
}

} // namespace mlp::storage
