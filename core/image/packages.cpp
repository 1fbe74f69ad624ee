// Both kinds are paragraphs of "Field: value" lines.
#include "core/image/packages.hpp"

#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace mlp::image {

namespace {

using Texts = std::map<std::string, std::string, std::less<>>;
using Fields = std::map<std::string, std::string, std::less<>>;

constexpr std::string_view dpkg_status = "var/lib/dpkg/status";
constexpr std::string_view dpkg_folder = "var/lib/dpkg/status.d/";

std::string small(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// Valid UTF-8, and no control characters.
std::string plain(std::string_view text) {
  std::string out(trim(text).substr(0, max_package_field));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  if (is_valid_utf8(out)) return out;
  // The one place that repairs it is the writer of JSON.
  return parse_json(dump_json(Json(out)), "a field").get<std::string>();
}

// The next paragraph: fields by name in small letters, the first of a name; continued lines are
// left out, as no field that is asked for has them. Empty at the end of the text.
Fields next_paragraph(std::string_view& text) {
  Fields fields;
  bool any = false;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) {
      if (any) return fields;
      continue;
    }
    any = true;
    const std::size_t colon = line.find(':');
    if (line.front() == ' ' || line.front() == '\t' || colon == std::string_view::npos) continue;
    if (colon > 64 || fields.size() > 256) continue;
    const std::string name = small(line.substr(0, colon));
    // Several lines of one name are joined for classifiers only.
    auto [field, added] = fields.emplace(name, plain(line.substr(colon + 1)));
    if (!added && name == "classifier" && field->second.size() < 64 * max_package_field)
      field->second += "\n" + plain(line.substr(colon + 1));
  }
  return fields;
}

std::string field(const Fields& fields, std::string_view name) {
  const auto found = fields.find(name);
  return found == fields.end() ? std::string() : found->second;
}

// "glibc (2.36-9)" is "glibc 2.36-9"; without a version it has the package's.
std::string source_of(const std::string& text, const std::string& version) {
  if (text.empty()) return text;
  const std::size_t open = text.find('(');
  const std::string name(trim(std::string_view(text).substr(0, open)));
  if (open == std::string::npos) return name + " " + version;
  const std::size_t close = text.find(')', open);
  return name + " " + text.substr(open + 1, close == std::string::npos ? close : close - open - 1);
}

void read_debian(std::string_view text, std::string_view path, const std::string& distribution,
                 std::vector<Package>& packages) {
  while (!text.empty() && packages.size() < max_packages) {
    const Fields fields = next_paragraph(text);
    Package package;
    package.name = field(fields, "package");
    package.version = field(fields, "version");
    if (package.name.empty() || package.version.empty()) continue;
    // Removed packages stay in the list with their configuration; a list of one file says nothing.
    const std::string status = field(fields, "status");
    if (!status.empty() && !status.ends_with(" installed")) continue;
    package.architecture = field(fields, "architecture");
    package.source = source_of(field(fields, "source"), package.version);
    package.maintainer = field(fields, "maintainer");
    package.path = path;
    package.purl = fmt::format("pkg:deb/{}/{}@{}", purl_encoded(distribution),
                               purl_encoded(small(package.name)), purl_encoded(package.version));
    if (!package.architecture.empty())
      package.purl += "?arch=" + purl_encoded(package.architecture);
    packages.push_back(std::move(package));
  }
}

// The licence by classifier: "License :: OSI Approved :: MIT License".
std::string classified_license(std::string_view classifiers) {
  std::string found;
  for (const std::string& line : split(classifiers, '\n')) {
    if (!line.starts_with("License ::")) continue;
    const std::string name(trim(line.substr(line.rfind("::") + 2)));
    if (name == "OSI Approved") continue;
    found += (found.empty() ? "" : "; ") + name;
  }
  return found;
}

void read_python(std::string_view text, std::string_view path, std::vector<Package>& packages) {
  const Fields fields = next_paragraph(text);
  Package package;
  package.kind = Package::Kind::python;
  package.name = field(fields, "name");
  package.version = field(fields, "version");
  if (package.name.empty() || package.version.empty()) return;
  for (const std::string_view name : {"license-expression", "license"})
    if (package.license.empty()) package.license = field(fields, name);
  // A licence as a whole text begins with its first line only.
  if (const std::string by_class = classified_license(field(fields, "classifier"));
      !by_class.empty() && (package.license.empty() || package.license == "UNKNOWN"))
    package.license = by_class;
  if (package.license == "UNKNOWN") package.license.clear();
  for (const std::string_view name : {"maintainer-email", "author-email", "maintainer", "author"})
    if (package.maintainer.empty()) package.maintainer = field(fields, name);
  package.path = path;
  std::string name = small(package.name);
  std::replace(name.begin(), name.end(), '_', '-');
  package.purl = fmt::format("pkg:pypi/{}@{}", purl_encoded(name), purl_encoded(package.version));
  packages.push_back(std::move(package));
}

bool is_python(std::string_view path) {
  return path.ends_with(".dist-info/METADATA") || path.ends_with(".egg-info/PKG-INFO") ||
         path.ends_with(".egg-info");
}
bool is_os_release(std::string_view path) {
  return path == "etc/os-release" || path == "usr/lib/os-release";
}
bool is_debian(std::string_view path) {
  return path == dpkg_status || (path.starts_with(dpkg_folder) && !path.ends_with(".md5sums"));
}

} // namespace

bool is_package_text(std::string_view path) noexcept {
  return is_debian(path) || is_python(path) || is_os_release(path);
}

std::string distribution_in(const Texts& texts) {
  for (const std::string_view path : {"usr/lib/os-release", "etc/os-release"}) {
    const auto found = texts.find(path);
    if (found == texts.end()) continue;
    std::string_view rest = found->second;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      std::string_view line = trim(rest.substr(0, end));
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
      if (!line.starts_with("ID=")) continue;
      line.remove_prefix(3);
      if (line.size() > 1 && (line.front() == '"' || line.front() == '\'') &&
          line.back() == line.front())
        line = line.substr(1, line.size() - 2);
      if (is_valid_name(line)) return small(line);
    }
  }
  return "debian";
}

std::vector<Package> packages_in(const Texts& texts) {
  std::vector<Package> packages;
  const std::string distribution = distribution_in(texts);
  for (const auto& [path, text] : texts) {
    if (packages.size() >= max_packages) break;
    if (is_debian(path))
      read_debian(text, path, distribution, packages);
    else if (is_python(path))
      read_python(text, path, packages);
  }
  const auto key = [](const Package& p) {
    return std::tie(p.kind, p.name, p.version, p.architecture, p.purl, p.path);
  };
  std::sort(packages.begin(), packages.end(),
            [&](const Package& a, const Package& b) { return key(a) < key(b); });
  packages.erase(std::unique(packages.begin(), packages.end(),
                             [](const Package& a, const Package& b) { return a.purl == b.purl; }),
                 packages.end());
  return packages;
}

std::string purl_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool stays = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view(".-_~:").find(c) != std::string_view::npos;
    if (stays)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

} // namespace mlp::image
