// Layers that were made to harm, unpacked into a folder.
#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/image/unpack.hpp"
#include "core/image/unpack_tree.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

using namespace mlp;
using namespace mlp::image;

namespace {

using Kind = TarEntry::Kind;

TarEntry file(std::string path, std::uint64_t size = 0) {
  return {.kind = Kind::file, .path = std::move(path), .size = size, .mode = 0644};
}
TarEntry folder(std::string path, unsigned mode = 0755) {
  return {.kind = Kind::folder, .path = std::move(path), .mode = mode};
}
TarEntry link(Kind kind, std::string path, std::string target) {
  return {.kind = kind, .path = std::move(path), .target = std::move(target), .mode = 0777};
}

class Layer {
 public:
  Layer& add(const TarEntry& entry, std::string_view content = {}) {
    TarEntry sized = entry;
    sized.size = content.size();
    writer_.entry(sized);
    if (!content.empty()) writer_.data(content);
    return *this;
  }
  UnpackedEntries unpack(const fs::path& to) {
    writer_.end();
    std::size_t at = 0;
    TarReader reader(
        [&](std::span<std::byte> data) {
          const std::size_t n = std::min(data.size(), bytes_.size() - at);
          std::memcpy(data.data(), bytes_.data() + at, n);
          at += n;
          return n;
        },
        "layer");
    return unpack_tree(reader, to, [](std::uint64_t) {}, {});
  }

 private:
  std::string bytes_;
  TarWriter writer_{[this](std::string_view part) { bytes_ += part; }};
};

struct stat info_of(const fs::path& path) {
  struct stat info {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info;
}
bool is_whiteout(const fs::path& path) {
  const auto info = info_of(path);
  return S_ISCHR(info.st_mode) && info.st_rdev == makedev(0, 0);
}
std::string attribute(const fs::path& path, const char* name) {
  std::array<char, 64> value{};
  const ssize_t n = ::lgetxattr(path.c_str(), name, value.data(), value.size());
  return n < 0 ? "none" : std::string(value.data(), static_cast<std::size_t>(n));
}

void refuses(Layer& layer, std::string_view word) {
  const TemporaryDirectory outside;
  const fs::path to = outside.path() / "layer";
  fs::create_directory(to);
  try {
    layer.unpack(to);
    FAIL("it was unpacked");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::integrity);
    CHECK_THAT(error.message(), Catch::Contains(std::string(word)));
  }
  CHECK(std::distance(fs::directory_iterator(outside.path()), fs::directory_iterator()) == 1);
}

} // namespace

TEST_CASE("the path of a layer's entry says what it asks for", "[image]") {
  const auto plain = parse_layer_path("/usr//lib/./x");
  REQUIRE(plain);
  CHECK(plain->folder == "usr/lib");
  CHECK(plain->name == "x");
  CHECK(parse_layer_path("")->name.empty());
  CHECK(parse_layer_path(".")->name.empty());
  CHECK(parse_layer_path("a/.wh.b")->kind == LayerPath::Kind::whiteout);
  CHECK(parse_layer_path("a/.wh.b")->name == "b");
  CHECK(parse_layer_path("a/.wh..wh..opq")->kind == LayerPath::Kind::opaque);
  CHECK(parse_layer_path(".wh..wh.plnk/7")->kind == LayerPath::Kind::ignored);
  for (const std::string& bad :
       {std::string("../x"), std::string("a/../../x"), std::string(".."), std::string("a/.wh..."),
        std::string("a/.wh."), std::string("a/.wh.."), std::string("a\0b", 3),
        std::string(300, 'x'), std::string(5000, '/') + "x"})
    CHECK_FALSE(parse_layer_path(bad));
  std::string deep;
  for (int i = 0; i < 501; ++i)
    deep += "d/";
  CHECK_FALSE(parse_layer_path(deep));
}

TEST_CASE("entries that lead out of a layer are refused", "[image]") {
  SECTION("..") {
    refuses(Layer().add(file("a/../../x")), "leads out");
  }
  SECTION("a link as a folder") {
    refuses(Layer().add(link(Kind::link, "out", "..")).add(file("out/x")), "symbolic link");
  }
  SECTION("an absolute link as a folder") {
    refuses(Layer().add(link(Kind::link, "out", "/tmp")).add(folder("out/x")), "symbolic link");
  }
  SECTION("a link as a folder above") {
    refuses(Layer().add(folder("a")).add(link(Kind::link, "a/b", "../..")).add(file("a/b/c/d")),
            "symbolic link");
  }
  SECTION("a file as a folder") {
    refuses(Layer().add(file("a")).add(file("a/b")), "no folder");
  }
  SECTION("a hard link outside") {
    refuses(Layer().add(link(Kind::hard_link, "x", "../../etc/passwd")), "hard link");
  }
  SECTION("a hard link through a link") {
    refuses(
        Layer().add(link(Kind::link, "etc", "/etc")).add(link(Kind::hard_link, "x", "etc/passwd")),
        "hard link");
  }
  SECTION("a hard link to a folder") {
    refuses(Layer().add(folder("d")).add(link(Kind::hard_link, "x", "d")), "hard link");
  }
  SECTION("a whiteout through a link") {
    refuses(Layer().add(link(Kind::link, "out", "..")).add(file("out/.wh.x")), "symbolic link");
  }
}

TEST_CASE("a layer is unpacked as an overlay reads it", "[image]") {
  const TemporaryDirectory to;
  const fs::path& root = to.path();

  SECTION("files keep modes, times, owners and attributes") {
    TarEntry program = file("bin/program");
    program.mode = 04755;
    program.modified = 1234567890;
    program.uid = 5;
    program.gid = 6;
    program.attributes = {
        {"security.capability", "x"}, {"user.kept", "yes"}, {"user.overlay.opaque", "y"}};
    Layer().add(program, "#!/bin/sh\n").unpack(root);
    const auto info = info_of(root / "bin/program");
    CHECK((info.st_mode & 07777) == 04755);
    CHECK(info.st_mtim.tv_sec == 1234567890);
    CHECK(attribute(root / "bin/program", owner_attribute) == "5:6");
    CHECK(attribute(root / "bin/program", "user.kept") == "yes");
    CHECK(attribute(root / "bin/program", "user.overlay.opaque") == "none");
    CHECK(attribute(root / "bin/program", "security.capability") == "none");
    CHECK((info_of(root / "bin").st_mode & 07777) == 0755);
  }
  SECTION("folders without permission to write take entries") {
    Layer().add(folder("d", 0555)).add(folder("d/e", 01000)).add(file("d/e/f"), "x").unpack(root);
    CHECK((info_of(root / "d").st_mode & 07777) == 0555);
    CHECK(remove_tree(root / "d"));
    CHECK_FALSE(fs::exists(root / "d"));
    CHECK_FALSE(remove_tree(root / "d"));
  }
  SECTION("whiteouts are devices 0:0, opaque folders have the attribute") {
    Layer()
        .add(file("a/.wh.gone"))
        .add(file("b/.wh..wh..opq"))
        .add(file(".wh.again"))
        .add(folder("again"))
        .add(folder("first"))
        .add(file(".wh.first"))
        .unpack(root);
    CHECK(is_whiteout(root / "a/gone"));
    for (const char* name : {"b", "again", "first"})
      CHECK(attribute(root / name, "user.overlay.opaque") == "y");
    CHECK(attribute(root / "a", "user.overlay.opaque") == "none");
  }
  SECTION("devices are counted and left out") {
    TarEntry device = file("dev/sda");
    device.kind = Kind::block_device;
    device.device_major = 8;
    TarEntry whiteout = file("x");
    whiteout.kind = Kind::character_device;
    const auto counts = Layer().add(device).add(whiteout).unpack(root);
    CHECK(counts.devices == 2);
    CHECK(counts.entries == 2);
    CHECK(fs::is_empty(root));
  }
  SECTION("the last of several entries counts") {
    Layer()
        .add(file("x"), "old")
        .add(file("x"), "new")
        .add(folder("d"))
        .add(file("d/inner"), "1")
        .add(file("d"), "now a file")
        .add(file("e"))
        .add(folder("e"))
        .add(link(Kind::link, "l", "/etc/passwd"))
        .add(file("l"), "a file")
        .unpack(root);
    CHECK(read_file(root / "x") == "new");
    CHECK(read_file(root / "d") == "now a file");
    CHECK(fs::is_directory(root / "e"));
    CHECK(read_file(root / "l") == "a file");
    CHECK(fs::is_regular_file(fs::symlink_status(root / "l")));
  }
  SECTION("hard links share, FIFOs and names in any bytes work") {
    TarEntry fifo = file("pipe");
    fifo.kind = Kind::fifo;
    fifo.mode = 0640;
    Layer()
        .add(file("a"), "content")
        .add(link(Kind::hard_link, "b", "/a"))
        .add(link(Kind::hard_link, "a", "a"))
        .add(fifo)
        .add(file("\xff\xfe\n\x1b[31m"), "x")
        .unpack(root);
    CHECK(info_of(root / "a").st_ino == info_of(root / "b").st_ino);
    CHECK(S_ISFIFO(info_of(root / "pipe").st_mode));
    CHECK(read_file(root / "\xff\xfe\n\x1b[31m") == "x");
  }
}

TEST_CASE("a layer with many entries is unpacked", "[image]") {
  const TemporaryDirectory to;
  Layer layer;
  for (int i = 0; i < 20000; ++i)
    layer.add(file("d" + std::to_string(i % 100) + "/f" + std::to_string(i)));
  CHECK(layer.unpack(to.path()).entries == 20000);
  CHECK(fs::exists(to.path() / "d99/f19999"));
}
