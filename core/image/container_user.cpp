// The layers are not stacked yet when ids are mapped, so each is asked from the top down; a layer's
// links stay inside of it.
#include "core/image/container_user.hpp"

#include "core/base/text.hpp"
#include "core/image/mount_calls.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <charconv>
#include <optional>
#include <vector>

namespace mlp::image {

namespace {

constexpr std::size_t most_bytes = 4u << 20;

std::string read_some(File file) {
  std::string text(most_bytes, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const std::size_t n = file.read(std::as_writable_bytes(std::span(text)).subspan(size));
    if (n == 0) break;
    size += n;
  }
  text.resize(size);
  return text;
}

// The lines' fields; none if no layer has the file.
std::vector<std::vector<std::string>> read_table(const ContainerSpec& spec, const char* path) {
  std::vector<fs::path> folders = spec.layers;
  if (!spec.upper.empty()) folders.push_back(spec.upper);
  std::vector<std::vector<std::string>> rows;
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    const File root(::open(folder->c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC), folder->native());
    if (!root.is_open()) continue;
    // A whiteout is a device that nothing can open: what lies below it does not count.
    struct stat info {};
    const File place(open_in_root(root, path, O_PATH), path);
    if (!place.is_open()) continue;
    if (::fstat(place.fd(), &info) != 0 || !S_ISREG(info.st_mode)) break;
    File file(open_in_root(root, path, O_RDONLY | O_NONBLOCK), path);
    if (!file.is_open()) break;
    for (const std::string& line : split(read_some(std::move(file)), '\n'))
      rows.push_back(split(line, ':'));
    break;
  }
  return rows;
}

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = code == std::errc() && end == text.data() + text.size() && !text.empty();
  return whole && value != ~0u ? std::optional(value) : std::nullopt;
}

gid_t find_group(const ContainerSpec& spec, const std::string& name) {
  if (const auto id = number(name)) return *id;
  for (const std::vector<std::string>& row : read_table(spec, "etc/group"))
    if (row.size() >= 3 && row[0] == name)
      if (const auto id = number(row[2])) return *id;
  throw Error(ErrorKind::not_found, fmt::format("the image has no group '{}'", printable(name)));
}

} // namespace

ContainerUser find_container_user(const ContainerSpec& spec) {
  const std::size_t colon = spec.user.find(':');
  const std::string name = colon == 0 || spec.user.empty() ? "0" : spec.user.substr(0, colon);
  const auto id = number(name);
  ContainerUser user;
  bool found = false;
  for (const std::vector<std::string>& row : read_table(spec, "etc/passwd")) {
    if (row.size() < 6 || !number(row[2]) || !number(row[3])) continue;
    if (id ? number(row[2]) != id : row[0] != name) continue;
    user = {.uid = *number(row[2]), .gid = *number(row[3]), .home = row[5]};
    found = true;
    break;
  }
  if (!found && !id)
    throw Error(ErrorKind::not_found, fmt::format("the image has no user '{}'", printable(name)))
        .with_hint("name one of its /etc/passwd, or give a number");
  if (!found) user = {.uid = *id, .gid = 0, .home = *id == 0 ? "/root" : "/"};
  if (user.home.empty()) user.home.push_back('/');
  if (colon != std::string::npos) user.gid = find_group(spec, spec.user.substr(colon + 1));
  return user;
}

} // namespace mlp::image
