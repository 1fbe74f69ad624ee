// RFC 3986, section 3: split at the delimiters first, decode each part after.
#include "core/net/url.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace mlp::net {

namespace {

constexpr std::size_t max_url_bytes = 8192;

bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
  return out;
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

bool is_secret_parameter(std::string_view name) {
  static constexpr std::array<std::string_view, 6> words = {"token", "secret",   "signature",
                                                            "key",   "password", "credential"};
  const std::string l = lower(name);
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return l.find(word) != std::string::npos; });
}

[[noreturn]] void bad_url(std::string_view text, std::string_view reason) {
  throw Error(ErrorKind::config,
              fmt::format("bad URL '{}': {}", printable(redacted(text.substr(0, 200))), reason));
}

void split_authority(std::string_view authority, Url& url, std::string_view text) {
  const auto decode = [&](std::string_view part) {
    auto decoded = percent_decode(part);
    if (!decoded) bad_url(text, "a '%' without two hexadecimal digits");
    return *std::move(decoded);
  };
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    const std::string_view info = authority.substr(0, at);
    const auto colon = info.find(':');
    url.user = decode(info.substr(0, colon));
    if (colon != std::string_view::npos) url.password = decode(info.substr(colon + 1));
    authority.remove_prefix(at + 1);
  }
  std::string_view port;
  if (!authority.empty() && authority.front() == '[') {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) bad_url(text, "'[' without ']'");
    url.host = lower(authority.substr(1, end - 1));
    authority.remove_prefix(end + 1);
    if (!authority.empty() && authority.front() != ':') bad_url(text, "text after ']'");
    port = authority.empty() ? authority : authority.substr(1);
  } else {
    const auto colon = authority.find(':');
    url.host = lower(decode(authority.substr(0, colon)));
    if (colon != std::string_view::npos) port = authority.substr(colon + 1);
  }
  if (port.empty()) return;
  unsigned value = 0;
  for (const char c : port) {
    if (!is_digit(c) || (value = value * 10 + static_cast<unsigned>(c - '0')) > 65535)
      bad_url(text, "the port is not a number up to 65535");
  }
  url.port = value;
}

} // namespace

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0 || high + low == 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::string percent_encode(std::string_view text, std::string_view keep) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_alpha(c) || is_digit(c) || std::string_view("-._~").find(c) != std::string_view::npos ||
        keep.find(c) != std::string_view::npos)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Url parse_url(std::string_view text) {
  if (text.size() > max_url_bytes) bad_url(text, "longer than 8192 bytes");
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) bad_url(text, "a control character");
  }
  Url url;
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || !is_alpha(text.front()))
    bad_url(text, "it does not begin with a scheme, such as 'file:' or 's3:'");
  for (const char c : text.substr(0, colon)) {
    if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.')
      bad_url(text, "it does not begin with a scheme, such as 'file:' or 's3:'");
  }
  url.scheme = lower(text.substr(0, colon));

  std::string_view rest = text.substr(colon + 1);
  if (const auto hash = rest.find('#'); hash != std::string_view::npos) {
    url.fragment = rest.substr(hash + 1);
    rest = rest.substr(0, hash);
  }
  if (const auto mark = rest.find('?'); mark != std::string_view::npos) {
    url.query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    url.has_authority = true;
    const auto slash = std::min(rest.find('/'), rest.size());
    split_authority(rest.substr(0, slash), url, text);
    rest.remove_prefix(slash);
  }
  auto path = percent_decode(rest);
  if (!path) bad_url(text, "a '%' in the path without two hexadecimal digits");
  url.path = *std::move(path);
  return url;
}

std::string redacted(const Url& url) {
  std::string out = url.scheme + ":";
  if (url.has_authority) {
    out += "//";
    if (!url.user.empty() || !url.password.empty()) {
      out += percent_encode(url.user);
      if (!url.password.empty()) out += ":***";
      out += '@';
    }
    out += url.host.find(':') == std::string::npos ? percent_encode(url.host)
                                                   : fmt::format("[{}]", url.host);
    if (url.port) out += fmt::format(":{}", *url.port);
  }
  out += percent_encode(url.path, "/:@!$&'()*+,;=");
  if (!url.query.empty()) {
    out += '?';
    bool first = true;
    for (const std::string& pair : split(url.query, '&')) {
      if (!std::exchange(first, false)) out += '&';
      const auto equals = pair.find('=');
      const bool secret =
          equals != std::string::npos && is_secret_parameter(pair.substr(0, equals));
      out += secret ? pair.substr(0, equals) + "=***" : pair;
    }
  }
  if (!url.fragment.empty()) out += "#" + url.fragment;
  return out;
}

std::string redacted(std::string_view text) {
  const auto slashes = text.find("//");
  if (slashes == std::string_view::npos) return std::string(text);
  const auto start = slashes + 2;
  const auto at = text.rfind('@', text.find('/', start));
  if (at == std::string_view::npos || at < start) return std::string(text);
  const auto colon = text.find(':', start);
  if (colon == std::string_view::npos || colon > at) return std::string(text);
  return std::string(text.substr(0, colon)) + ":***" + std::string(text.substr(at));
}

} // namespace mlp::net
