// Any lines as the entries of a layer, one each: a letter for its kind, its path, and after a tab
// the target of a link. They are unpacked for real; nothing appears or changes beside the layer's
// folder, and the folder can be removed again.
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/image/unpack_tree.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>

using namespace mlp;

namespace {

constexpr std::size_t most_lines = 64;

std::string tar_of(std::string_view text) {
  std::string bytes;
  TarWriter tar([&](std::string_view part) { bytes += part; });
  std::size_t lines = 0;
  for (const std::string& line : split(text, '\n')) {
    if (line.empty() || ++lines > most_lines) continue;
    const std::size_t tab = std::min(line.find('\t'), line.size());
    TarEntry entry;
    entry.path = line.substr(1, tab - 1);
    if (entry.path.empty() || entry.path.find('\0') != std::string::npos) continue;
    entry.target = tab < line.size() ? line.substr(tab + 1) : std::string();
    entry.mode = static_cast<unsigned char>(line[0]) * 7u & 07777u;
    constexpr std::string_view kinds = "flhdcbp";
    switch (kinds.find(line[0])) {
    case 1:
      entry.kind = TarEntry::Kind::link;
      break;
    case 2:
      entry.kind = TarEntry::Kind::hard_link;
      break;
    case 3:
      entry.kind = TarEntry::Kind::folder;
      break;
    case 4:
      entry.kind = TarEntry::Kind::character_device;
      break;
    case 5:
      entry.kind = TarEntry::Kind::block_device;
      break;
    case 6:
      entry.kind = TarEntry::Kind::fifo;
      break;
    default:
      entry.kind = TarEntry::Kind::file;
    }
    tar.entry(entry);
  }
  tar.end();
  return bytes;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const TemporaryDirectory place("unpack-fuzz-");
  const fs::path layer = place.path() / "layer", beside = place.path() / "beside";
  write_file_atomic(beside, "untouched");
  fs::create_directory(layer);
  const std::string bytes = tar_of({reinterpret_cast<const char*>(data), size});
  std::size_t at = 0;
  TarReader tar(
      [&](std::span<std::byte> into) {
        const std::size_t n = std::min(into.size(), bytes.size() - at);
        std::memcpy(into.data(), bytes.data() + at, n);
        at += n;
        return n;
      },
      "fuzz.tar");
  try {
    image::unpack_tree(tar, layer, [](std::uint64_t) {}, {});
  } catch (const Error&) { // what a user would be told
  }
  if (read_file(beside) != "untouched" || fs::hard_link_count(beside) != 1) __builtin_trap();
  if (std::distance(fs::directory_iterator(place.path()), fs::directory_iterator()) != 2)
    __builtin_trap();
  image::remove_tree(layer);
  if (fs::exists(layer)) __builtin_trap();
  return 0;
}
