// Canonical request -> string to sign -> derived key -> signature.
#include "core/net/sigv4.hpp"

#include "core/base/text.hpp"
#include "core/net/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

namespace mlp::net {

namespace {

constexpr std::size_t hmac_block = 64;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string squeezed(std::string_view value) {
  std::string out;
  for (const char c : trim(value)) {
    if (c == ' ' && !out.empty() && out.back() == ' ') continue;
    out += c;
  }
  return out;
}

// Values of one name are joined by commas in the order in which they stand.
std::map<std::string, std::string> canonical_headers(const Pairs& headers) {
  std::map<std::string, std::string> all;
  for (const auto& [name, value] : headers) {
    const auto [at, fresh] = all.try_emplace(lower(name), squeezed(value));
    if (!fresh) at->second += "," + squeezed(value);
  }
  return all;
}

std::string signed_names(const Pairs& headers) {
  std::vector<std::string> names;
  for (const auto& [name, value] : canonical_headers(headers))
    names.push_back(name);
  return join(names, ";");
}

Digest hmac_sha256(const Digest& key, std::string_view text) {
  return net::hmac_sha256(std::as_bytes(std::span(key.bytes)), text);
}

} // namespace

Digest hmac_sha256(std::span<const std::byte> key, std::string_view text) {
  std::array<std::byte, hmac_block> padded{};
  if (key.size() > hmac_block) {
    const Digest digest = sha256(key);
    std::ranges::copy(std::as_bytes(std::span(digest.bytes)), padded.begin());
  } else {
    std::ranges::copy(key, padded.begin());
  }
  const auto with = [&](std::byte mask) {
    std::array<std::byte, hmac_block> pad{};
    std::ranges::transform(padded, pad.begin(), [mask](std::byte b) { return b ^ mask; });
    return pad;
  };
  Sha256 inner;
  inner.update(with(std::byte{0x36}));
  inner.update(text);
  const Digest message = inner.finish();
  Sha256 outer;
  outer.update(with(std::byte{0x5c}));
  outer.update(std::as_bytes(std::span(message.bytes)));
  return outer.finish();
}

std::string amz_date(WallTime time) {
  std::string date;
  for (const char c : format_time(time).substr(0, 19)) // 2015-08-30T12:36:00
    if (c != '-' && c != ':') date += c;
  return date + "Z";
}

std::string canonical_query(const Pairs& query) {
  std::vector<std::string> parts;
  Pairs encoded;
  for (const auto& [name, value] : query)
    encoded.emplace_back(percent_encode(name), percent_encode(value));
  std::ranges::sort(encoded);
  parts.reserve(encoded.size());
  for (const auto& [name, value] : encoded)
    parts.push_back(fmt::format("{}={}", name, value));
  return join(parts, "&");
}

std::string canonical_request(const SignedRequest& request) {
  std::string headers;
  for (const auto& [name, value] : canonical_headers(request.headers))
    headers += fmt::format("{}:{}\n", name, value);
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, request.path,
                     canonical_query(request.query), headers, signed_names(request.headers),
                     request.payload_hash);
}

std::string authorization(const SignedRequest& request, const SigningKey& key,
                          std::string_view date) {
  const std::string day(date.substr(0, 8));
  const std::string scope = fmt::format("{}/{}/{}/aws4_request", day, key.region, key.service);
  const std::string text = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", date, scope,
                                       sha256(canonical_request(request)).hex());
  const std::string secret = "AWS4" + key.secret_key;
  Digest derived = net::hmac_sha256(std::as_bytes(std::span(secret)), day);
  for (const std::string_view part : {std::string_view(key.region), std::string_view(key.service),
                                      std::string_view("aws4_request")})
    derived = hmac_sha256(derived, part);
  return fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
                     key.access_key, scope, signed_names(request.headers),
                     hmac_sha256(derived, text).hex());
}

} // namespace mlp::net
