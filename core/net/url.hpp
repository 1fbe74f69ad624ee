// URLs as settings hold them: split by the rules of RFC 3986, and printed without credentials.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mlp::net {

// "scheme://user:password@host:port/path?query#fragment". Parts are percent-decoded, but for query
// and fragment, whose inner syntax belongs to the scheme.
struct Url {
  std::string scheme; // lower case, never empty
  std::string user;
  std::string password;
  std::string host; // lower case; brackets of an IPv6 address are removed
  std::optional<unsigned> port;
  std::string path; // "file:data" has "data", "file:///data" has "/data"
  std::string query;
  std::string fragment;
  bool has_authority = false; // "//" was there, even if nothing followed it

  bool operator==(const Url&) const = default;
};

// Throws Error(config) that says what is wrong; the text in the message carries no password.
[[nodiscard]] Url parse_url(std::string_view text);

// The URL again, percent-encoded where needed, with the password replaced by "***" and the values
// of query parameters that carry secrets (token, secret, signature, key, password) likewise. What
// may be printed, logged or stored is only this.
[[nodiscard]] std::string redacted(const Url& url);
// The same for a text that may not even be a URL: whatever stands between "//" and "@" with a ":"
// in it loses what follows the colon.
[[nodiscard]] std::string redacted(std::string_view text);

// "%41" -> "A". nullopt at a '%' without two hexadecimal digits, and for %00.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);
// Encodes all but unreserved characters and those in `keep`.
[[nodiscard]] std::string percent_encode(std::string_view text, std::string_view keep = {});

} // namespace mlp::net
