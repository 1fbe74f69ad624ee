// NAME[@SELECTOR]; what the selector is can be seen from its form.
#include "core/model/reference.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace mlp::model {

namespace {

constexpr std::string_view digest_prefix = "sha256:";

bool is_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

} // namespace

bool is_valid_alias(std::string_view name) {
  return is_valid_name(name) && !is_digits(name);
}

std::string ModelReference::text() const {
  if (version) return fmt::format("{}@{}", name, *version);
  if (!digest.empty()) return fmt::format("{}@{}{}", name, digest_prefix, digest);
  return alias.empty() ? name : fmt::format("{}@{}", name, alias);
}

ModelReference parse_model_reference(std::string_view text) {
  const auto wrong = [&](std::string_view why) {
    return Error(ErrorKind::usage,
                 fmt::format("'{}' does not name a model: {}", printable(text), why))
        .with_hint("write NAME, NAME@ALIAS, NAME@3 or NAME@sha256:...");
  };
  ModelReference reference;
  const std::size_t at = text.find('@');
  const std::string_view name = text.substr(0, at);
  if (!is_valid_name(name)) throw wrong(fmt::format("'{}' is no valid name", printable(name)));
  reference.name = name;
  if (at == std::string_view::npos) return reference;
  const std::string_view selector = text.substr(at + 1);
  if (selector.starts_with(digest_prefix)) {
    const std::string_view hex = selector.substr(digest_prefix.size());
    if (hex.size() < 8 || hex.size() > 64 || !is_hex(hex))
      throw wrong("a digest has 8 to 64 hexadecimal characters");
    reference.digest = hex;
  } else if (is_digits(selector)) {
    std::int64_t version = 0;
    const auto [end, error] =
        std::from_chars(selector.data(), selector.data() + selector.size(), version);
    if (error != std::errc() || version < 1) throw wrong("versions are 1, 2, 3, ...");
    reference.version = version;
  } else if (is_valid_alias(selector)) {
    reference.alias = selector;
  } else {
    throw wrong(selector.empty() ? "nothing follows the '@'"
                                 : fmt::format("'{}' is no alias", printable(selector)));
  }
  return reference;
}

} // namespace mlp::model
