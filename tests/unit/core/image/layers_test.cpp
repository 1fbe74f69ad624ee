// Layers from files and from changes: the same bytes for the same files, whatever the time, the
// owner and the order; gzip that depends on its input alone.
#include "core/base/error.hpp"
#include "core/base/progress.hpp"
#include "core/image/file_layers.hpp"
#include "core/image/gzip_writer.hpp"
#include "core/image/layer_cache.hpp"
#include "core/image/layer_reader.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <random>
#include <vector>

using namespace mlp;
using namespace mlp::image;
using Catch::Contains;
using Kind = TarEntry::Kind;

namespace {

std::string gzip(std::string_view text, unsigned threads, std::size_t step) {
  std::string out;
  GzipWriter writer(
      [&](std::span<const std::byte> part) {
        out.append(reinterpret_cast<const char*>(part.data()), part.size());
      },
      threads);
  for (std::size_t at = 0; at < text.size(); at += step)
    writer.write(text.substr(at, step));
  writer.end();
  return out;
}

std::string gunzip(const std::string& text) {
  std::string out;
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  std::vector<char> buffer(1 << 20);
  while (stream.avail_in > 0) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    const int code = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer.data(), buffer.size() - stream.avail_out);
    if (code == Z_STREAM_END) {
      if (stream.avail_in > 0) REQUIRE(inflateReset(&stream) == Z_OK);
    } else {
      REQUIRE(code == Z_OK);
    }
  }
  inflateEnd(&stream);
  return out;
}

void write(const fs::path& path, std::string_view text, unsigned mode = 0644) {
  make_directories(path.parent_path());
  write_file_atomic(path, text, mode);
}

struct Read {
  TarEntry entry;
  std::string content;
};
std::vector<Read> entries(Layout& layout, const Layer& layer) {
  LayerReader reader(layout, layer.descriptor, layer.diff_id);
  std::vector<Read> out;
  while (const auto entry = reader.tar().next()) {
    out.push_back({*entry, {}});
    std::array<char, 100> part{};
    while (const std::size_t n = reader.tar().read(std::as_writable_bytes(std::span(part))))
      out.back().content.append(part.data(), n);
  }
  reader.finish();
  return out;
}
std::vector<std::string> paths(const std::vector<Read>& all) {
  std::vector<std::string> out;
  for (const Read& one : all)
    out.push_back(one.entry.path);
  return out;
}

struct Folder {
  TemporaryDirectory place{"layers-test-"};
  Layout layout{place.path() / "layout", true};
  fs::path files = place.path() / "files";
};

} // namespace

TEST_CASE("gzip depends on the bytes alone", "[image]") {
  std::string text;
  std::minstd_rand random(7); // half noise, half repetition
  for (int i = 0; i < 900'000; ++i)
    text += i % 2 == 0 ? "abc" : std::string(1, static_cast<char>(random()));
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1} << 20,
                                 (std::size_t{1} << 20) + 1, text.size()}) {
    const std::string_view part = std::string_view(text).substr(0, size);
    const std::string one = gzip(part, 1, 1 << 16);
    CHECK(gunzip(one) == part);
    CHECK(gzip(part, 4, 77'777) == one);
  }
}

TEST_CASE("a layer of files is the same wherever and whenever they were written", "[image]") {
  Folder here, there;
  for (Folder* one : {&here, &there}) {
    write(one->files / "src/a.py", "print(1)\n", one == &here ? 0600 : 0664);
    write(one->files / "src/tool", "#!/bin/sh\n", 0755);
    write(one->files / "src/sub/é\xff", "odd");
    fs::create_symlink("a.py", one->files / "src/link");
  }
  const std::array<timespec, 2> old = {timespec{5, 0}, timespec{5, 0}};
  REQUIRE(::utimensat(AT_FDCWD, (there.files / "src/a.py").c_str(), old.data(), 0) == 0);
  std::vector<Layer> layers;
  for (Folder* one : {&here, &there}) {
    FolderTree tree(one->files);
    Placed placed;
    place_folder("app", {}, placed);
    place(tree, "src", "app/src", {}, placed, {});
    layers.push_back(write_files_layer(one->layout, tree, placed, 1'700'000'000, {}));
  }
  CHECK(layers[0].descriptor == layers[1].descriptor);
  CHECK(layers[0].diff_id == layers[1].diff_id);
  const auto all = entries(here.layout, layers[0]);
  CHECK(paths(all) == std::vector<std::string>{"app", "app/src", "app/src/a.py", "app/src/link",
                                               "app/src/sub", "app/src/sub/é\xff", "app/src/tool"});
  CHECK(all[2].entry.mode == 0644);
  CHECK(all[2].content == "print(1)\n");
  CHECK(all[3].entry.target == "a.py");
  CHECK(all[6].entry.mode == 0755);
  for (const Read& one : all) {
    CHECK(one.entry.modified == 1'700'000'000);
    CHECK(one.entry.uid == 0);
  }
}

TEST_CASE("owners and modes can be given, and .mlpignore leaves files out", "[image]") {
  Folder here;
  write(here.files / "keep", "1");
  write(here.files / "data/big.bin", "2");
  write(here.files / "data/small.txt", "3");
  write(here.files / ".mlpignore", "*.bin\n/data/none/\n");
  write(here.files / "data/none/x", "4");
  FolderTree tree(here.files, ignored_by_mlpignore(here.files));
  Placed placed;
  place(tree, "", "", {.uid = 7, .gid = 8, .mode = 0700}, placed, {});
  const auto all = entries(here.layout, write_files_layer(here.layout, tree, placed, 0, {}));
  CHECK(paths(all) == std::vector<std::string>{".mlpignore", "data", "data/small.txt", "keep"});
  for (const Read& one : all) {
    CHECK(one.entry.mode == 0700);
    CHECK(one.entry.uid == 7);
    CHECK(one.entry.gid == 8);
  }
  CHECK_THROWS_WITH(place(tree, "data/big.bin", "x", {}, placed, {}), Contains("ignored"));
}

TEST_CASE("a list of files is known again until one of them is written to", "[image]") {
  Folder here;
  write(here.files / "a", "1");
  FolderTree tree(here.files);
  const auto print = [&] {
    Placed placed;
    place(tree, "", "app", {}, placed, {});
    return fingerprint(placed);
  };
  CHECK(print().empty()); // too young to tell
  ::usleep(80'000);
  const std::string before = print();
  CHECK_FALSE(before.empty());
  CHECK(print() == before);
  write(here.files / "a", "2");
  ::usleep(80'000);
  CHECK(print() != before);
}

TEST_CASE("changes of a step become a layer without what differs each time", "[image]") {
  Folder here;
  const fs::path upper = here.files;
  write(upper / "usr/lib/m/__pycache__/m.cpython-311.pyc", "x");
  write(upper / "usr/lib/m/m.py", "y");
  write(upper / "var/log/dpkg.log", "2026-11-23");
  write(upper / "var/lib/dpkg/status-old", "old");
  write(upper / "var/lib/dpkg/status", "new");
  write(upper / "var/cache/apt/archives/lock", "");
  write(upper / "tmp/x", "");
  write(upper / "etc/machine-id", "abc");
  fs::create_hard_link(upper / "usr/lib/m/m.py", upper / "usr/lib/m/n.py");
  write(upper / "srv/owned", "o");
  REQUIRE(::setxattr((upper / "srv/owned").c_str(), "user.mlp.owner", "33:44", 5, 0) == 0);
  REQUIRE(::setxattr((upper / "srv").c_str(), "user.overlay.opaque", "y", 1, 0) == 0);
  REQUIRE(::mkfifo((upper / "srv/pipe").c_str(), 0644) == 0);
  const bool root = ::geteuid() == 0; // another one could do so only in a namespace
  if (root) REQUIRE(::mknod((upper / "srv/gone").c_str(), S_IFCHR, makedev(0, 0)) == 0);
  const std::array<timespec, 2> old = {timespec{50, 0}, timespec{50, 0}};
  REQUIRE(::utimensat(AT_FDCWD, (upper / "srv/owned").c_str(), old.data(), 0) == 0);

  tidy_changes(upper, 1'000, {});
  const auto layer = write_changes_layer(here.layout, upper, {});
  REQUIRE(layer);
  std::vector<std::string> wanted = {"etc",
                                     "srv",
                                     "srv/.wh..wh..opq",
                                     "srv/.wh.gone",
                                     "srv/owned",
                                     "srv/pipe",
                                     "tmp",
                                     "usr",
                                     "usr/lib",
                                     "usr/lib/m",
                                     "usr/lib/m/m.py",
                                     "usr/lib/m/n.py",
                                     "var",
                                     "var/cache",
                                     "var/cache/apt",
                                     "var/lib",
                                     "var/lib/dpkg",
                                     "var/lib/dpkg/status",
                                     "var/log"};
  if (!root) std::erase(wanted, "srv/.wh.gone");
  const auto all = entries(here.layout, *layer);
  CHECK(paths(all) == wanted);
  for (const Read& one : all) {
    INFO(one.entry.path);
    if (one.entry.path == "srv/owned") {
      CHECK(one.entry.uid == 33);
      CHECK(one.entry.gid == 44);
      CHECK(one.entry.modified == 50);
    } else if (one.entry.path.find(".wh.") == std::string::npos) {
      CHECK(one.entry.modified == 1'000);
    }
    if (one.entry.path == "usr/lib/m/n.py") {
      CHECK(one.entry.kind == Kind::hard_link);
      CHECK(one.entry.target == "usr/lib/m/m.py");
    }
  }
  // Once more over what is left: the same.
  tidy_changes(upper, 1'000, {});
  CHECK(write_changes_layer(here.layout, upper, {})->diff_id == layer->diff_id);
  make_directories(here.place.path() / "none");
  CHECK_FALSE(write_changes_layer(here.layout, here.place.path() / "none", {}));
}

TEST_CASE("layers are seen as one tree, links kept inside", "[image]") {
  TemporaryDirectory place("merged-test-");
  const fs::path low = place.path() / "low", high = place.path() / "high";
  write(low / "etc/passwd", "low");
  write(low / "etc/only-low", "1");
  write(low / "opt/hidden/x", "1");
  write(low / "usr/bin/sh", "sh");
  fs::create_symlink("usr/bin", low / "bin");
  fs::create_symlink("/usr/../../../bin/sh", low / "shell");
  fs::create_symlink("loop", low / "loop");
  write(high / "etc/passwd", "high");
  write(high / "opt/hidden/y", "2");
  REQUIRE(::setxattr((high / "opt/hidden").c_str(), "user.overlay.opaque", "y", 1, 0) == 0);
  MergedTree tree({low, high});
  const auto names = [&](const std::string& path) {
    std::vector<std::string> out;
    for (const TreeNode& node : tree.list(path))
      out.push_back(node.entry.path);
    return out;
  };
  CHECK(names("") == std::vector<std::string>{"bin", "etc", "loop", "opt", "shell", "usr"});
  CHECK(names("etc") == std::vector<std::string>{"etc/only-low", "etc/passwd"});
  CHECK(names("opt/hidden") == std::vector<std::string>{"opt/hidden/y"});
  CHECK_FALSE(tree.find("opt/hidden/x"));
  CHECK(tree.read("etc/passwd") == "high");
  CHECK(tree.resolve("bin/sh") == "usr/bin/sh");
  CHECK(tree.resolve("shell") == "usr/bin/sh");
  CHECK(tree.read("/shell") == "sh");
  CHECK_FALSE(tree.resolve("loop"));
  CHECK_FALSE(tree.resolve("../nothing"));
  CHECK_THROWS_AS(tree.open("etc/none"), Error);
  if (::geteuid() == 0) {
    REQUIRE(::mknod((high / "etc/only-low").c_str(), S_IFCHR, makedev(0, 0)) == 0);
    CHECK(names("etc") == std::vector<std::string>{"etc/passwd"});
    CHECK_FALSE(tree.find("etc/only-low"));
  }
}

TEST_CASE("a cached layer counts only as long as its blob is there", "[image]") {
  Folder here;
  write(here.files / "a", "1");
  FolderTree tree(here.files);
  Placed placed;
  place(tree, "a", "a", {}, placed, {});
  const Layer layer = write_files_layer(here.layout, tree, placed, 0, {});
  const fs::path folder = here.place.path() / "cache";
  LayerCache cache(folder, here.layout);
  CHECK_FALSE(cache.find("key"));
  cache.put("key", layer);
  cache.put("nothing", std::nullopt);
  REQUIRE(cache.find("key"));
  CHECK(cache.find("key")->layer->descriptor == layer.descriptor);
  CHECK(cache.find("key")->layer->diff_id == layer.diff_id);
  REQUIRE(cache.find("nothing"));
  CHECK_FALSE(cache.find("nothing")->layer);
  CHECK_FALSE(LayerCache(folder, here.layout, LayerCache::Use::renew).find("key"));
  write_file_atomic(folder / sha256("key").hex(), "{\"digest\": 7}");
  CHECK_FALSE(cache.find("key"));
  cache.put("key", layer);
  fs::remove(here.layout.blob_path(layer.descriptor.digest));
  CHECK_FALSE(cache.find("key"));
}
