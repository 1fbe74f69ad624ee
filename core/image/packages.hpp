// The packages that are installed in an image, from what their installers wrote down: Debian's
// dpkg and Python's distributions. Pure: texts in, values out. All text is hostile.
// Sources: deb822(5), dpkg(1); packaging.python.org, "Core metadata specifications" and "Recording
// installed projects"; github.com/package-url/purl-spec (types deb, pypi, oci).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::image {

// Beyond these what is left of a text is passed over.
inline constexpr std::size_t max_packages = 50000;
inline constexpr std::size_t max_package_field = 1024; // bytes of a field
// No file that a package is read from is larger: dpkg's list of 10,000 packages is 10 MiB.
inline constexpr std::size_t max_package_text = 64u << 20;

struct Package {
  enum class Kind { debian, python };
  Kind kind = Kind::debian;
  std::string name, version;
  std::string architecture; // of Debian; "all" too
  std::string source;       // of Debian: "glibc 2.36-9"; empty if it is as the package
  std::string maintainer;   // "Name <mail>", may be empty
  std::string license;      // as it is declared, mostly no SPDX expression; may be empty
  std::string path;         // where in the image it is written down
  std::string purl;         // "pkg:deb/debian/libc6@2.36-9?arch=amd64"
  bool operator==(const Package&) const = default;
};

// Whether a file of an image, by its path without "/" before it, says something about packages.
[[nodiscard]] bool is_package_text(std::string_view path) noexcept;

// By those texts, path to content: the packages sorted by kind, name, version and architecture,
// each once. What cannot be read is passed over; bytes that are not UTF-8 are replaced.
[[nodiscard]] std::vector<Package>
packages_in(const std::map<std::string, std::string, std::less<>>& texts);

// ID of os-release ("debian", "ubuntu"); "debian" if it says none.
[[nodiscard]] std::string
distribution_in(const std::map<std::string, std::string, std::less<>>& texts);

// A part of a purl: all but letters, digits and ".-_~:" as %XX.
[[nodiscard]] std::string purl_encoded(std::string_view text);

} // namespace mlp::image
