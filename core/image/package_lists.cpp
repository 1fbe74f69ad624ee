// What apt and pip print.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/image/install.hpp"
#include "core/net/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <tuple>

namespace mlp::image {

namespace {

constexpr std::size_t most_packages = 20'000;
constexpr std::string_view name_characters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+~%:!";

[[noreturn]] void fail(std::string_view tool, std::string_view what) {
  throw Error(ErrorKind::integrity, fmt::format("{} {}", tool, what));
}

std::string_view next_word(std::string_view& line) {
  while (line.starts_with(' '))
    line.remove_prefix(1);
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

bool is_file_name(std::string_view text) {
  return !text.empty() && text.size() < 256 && !text.starts_with('.') &&
         text.find_first_not_of(name_characters) == std::string_view::npos;
}

// Without user and password, which have no place in a file that git keeps.
std::string plain_url(std::string_view text) {
  const std::size_t begin = text.find("//");
  if (begin == std::string_view::npos) return std::string(text);
  const std::size_t end = std::min(text.find('/', begin + 2), text.size());
  const std::size_t at = text.substr(0, end).rfind('@');
  if (at == std::string_view::npos || at < begin) return std::string(text);
  return fmt::format("{}{}", text.substr(0, begin + 2), text.substr(at + 1));
}

} // namespace

std::vector<PackageLock> parse_print_uris(std::string_view output) {
  std::vector<PackageLock> out;
  while (!output.empty()) {
    const std::size_t end = std::min(output.find('\n'), output.size());
    std::string_view line = output.substr(0, end);
    output.remove_prefix(std::min(end + 1, output.size()));
    if (!line.starts_with('\'')) continue;
    const std::string_view url = next_word(line), file = next_word(line), size = next_word(line),
                           digest = next_word(line);
    PackageLock package;
    if (url.size() < 3 || !url.ends_with('\'')) fail("apt", "printed a URL without its end");
    package.url = plain_url(url.substr(1, url.size() - 2));
    constexpr std::string_view sum = "SHA256:";
    const auto sha =
        digest.starts_with(sum) ? parse_digest(digest.substr(sum.size())) : std::nullopt;
    if (!sha) fail("apt", fmt::format("gave no SHA-256 of '{}'", printable(file)));
    package.digest = *sha;
    const auto [stop, wrong] =
        std::from_chars(size.data(), size.data() + size.size(), package.bytes);
    if (wrong != std::errc() || stop != size.data() + size.size())
      fail("apt", fmt::format("gave no size of '{}'", printable(file)));
    // NAME_VERSION_ARCHITECTURE.deb, with a version's ':' as %3a.
    const std::size_t first = file.find('_'), last = file.rfind('_');
    if (!is_file_name(file) || !file.ends_with(".deb") || first == std::string_view::npos ||
        first == 0 || first == last)
      fail("apt", fmt::format("named a file '{}'", printable(file)));
    package.name = file.substr(0, first);
    package.version = net::percent_decode(file.substr(first + 1, last - first - 1)).value_or("");
    if (package.version.empty()) fail("apt", fmt::format("named a file '{}'", printable(file)));
    if (out.size() >= most_packages) fail("apt", "wants more than 20,000 packages");
    out.push_back(std::move(package));
  }
  // apt's own order need not be the same everywhere; it sorts out the order of installation itself.
  std::sort(out.begin(), out.end(), [](const PackageLock& a, const PackageLock& b) {
    return std::tie(a.name, a.version) < std::tie(b.name, b.version);
  });
  return out;
}

std::vector<PackageLock> parse_pip_report(std::string_view json) {
  constexpr std::string_view what = "pip's report";
  const Json report = parse_json(json, what, {.max_bytes = 64u << 20});
  const Json& list = json_member(report, "install", what);
  if (!list.is_array() || list.size() > most_packages) fail(what, "has no list of packages");
  std::vector<PackageLock> out;
  for (const Json& item : list) {
    PackageLock package;
    const Json& metadata = json_member(item, "metadata", what);
    package.name = json_string(metadata, "name", what);
    package.version = json_string(metadata, "version", what);
    if (!is_file_name(package.name) || !is_file_name(package.version))
      fail("pip", fmt::format("named a package '{}' '{}'", printable(package.name),
                              printable(package.version)));
    const Json& info = json_member(item, "download_info", what);
    package.url = plain_url(json_string(info, "url", what));
    std::string hash;
    if (info.contains("archive_info")) {
      const Json& archive = info["archive_info"];
      if (archive.is_object() && archive.contains("hashes") && archive["hashes"].is_object() &&
          archive["hashes"].contains("sha256"))
        hash = json_string(archive["hashes"], "sha256", what);
      else if (archive.is_object() && archive.contains("hash")) // before pip 23
        hash = json_string(archive, "hash", what);
    }
    constexpr std::string_view old_form = "sha256=";
    if (hash.starts_with(old_form)) hash.erase(0, old_form.size());
    const auto digest = parse_digest(hash);
    const std::string& url = package.url;
    const std::string file =
        net::percent_decode(
            url.substr(url.rfind('/') + 1, url.find_first_of("?#") - url.rfind('/') - 1))
            .value_or("");
    if (!digest) fail("pip", fmt::format("gave no SHA-256 of '{}'", printable(package.name)));
    if (!is_file_name(file) || !file.ends_with(".whl"))
      throw Error(ErrorKind::failed,
                  fmt::format("'{}' has no wheel for this Python", printable(package.name)))
          .with_hint("only wheels are installed; choose a version that has one, or build it in a "
                     "step of 'run'");
    package.digest = *digest;
    out.push_back(std::move(package));
  }
  std::sort(out.begin(), out.end(), [](const PackageLock& a, const PackageLock& b) {
    return std::tie(a.name, a.version) < std::tie(b.name, b.version);
  });
  return out;
}

} // namespace mlp::image
