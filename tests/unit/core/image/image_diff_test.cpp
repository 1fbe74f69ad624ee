// The files of an image layer over layer, and what differs between two images.
#include "core/base/error.hpp"
#include "core/image/image_diff.hpp"
#include "tests/unit/core/image/image_maker.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::image;

namespace {

using Kind = TarEntry::Kind;
using Texts = std::vector<std::string>;

Texts paths(const ImageContent& content) {
  Texts all;
  for (const auto& [path, file] : content.files)
    all.push_back(path);
  return all;
}
Texts paths(ImageMaker& maker, const std::vector<std::vector<ImageMaker::Entry>>& layers) {
  return paths(image_content(maker.layout, maker.image(layers), {}));
}

std::string status(std::string_view packages) {
  std::string out;
  std::string_view rest = packages;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view one = rest.substr(0, end);
    const std::size_t equals = one.find('=');
    out += "Package: " + std::string(one.substr(0, equals)) +
           "\nStatus: install ok installed\nVersion: " + std::string(one.substr(equals + 1)) +
           "\nArchitecture: amd64\n\n";
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

} // namespace

TEST_CASE("layers over layers: files replaced, whited out, opaque", "[image]") {
  ImageMaker m;
  const auto base = std::vector{m.directory("a"),     m.file("a/1", "x"), m.directory("a/b"),
                                m.file("a/b/2", "y"), m.file("ab", "z"),  m.file("c", "")};
  CHECK(paths(m, {base}) == Texts{"a", "a/1", "a/b", "a/b/2", "ab", "c"});
  CHECK(paths(m, {base, {m.file("a/.wh.b", "")}}) == Texts{"a", "a/1", "ab", "c"});
  CHECK(paths(m, {base, {m.file(".wh.a", "")}}) == Texts{"ab", "c"});
  // A whiteout says nothing of its own layer, in either order.
  CHECK(
      paths(m, {base, {m.file("a/n", ""), m.file("a/.wh..wh..opq", ""), m.file("a/.wh.n", "")}}) ==
      Texts{"a", "a/n", "ab", "c"});
  CHECK(paths(m, {base, {m.file("a", "now a file")}}) == Texts{"a", "ab", "c"});
  CHECK(paths(m, {{m.file("./x//y", "1")}}) == Texts{"x/y"});

  const ImageContent content = image_content(
      m.layout,
      m.image({base, {m.link(Kind::hard_link, "d", "a/1"), m.link(Kind::link, "e", "../c")}}), {});
  CHECK(content.files.at("d").kind == Kind::file);
  CHECK(content.files.at("d").content == sha256("x"));
  CHECK(content.files.at("d").layer == 1);
  CHECK(content.files.at("e").target == "../c");

  CHECK_THROWS_AS(paths(m, {{m.file("a/../../x", "")}}), Error);
  CHECK_THROWS_AS(paths(m, {base, {m.link(Kind::hard_link, "d", "none")}}), Error);
}

TEST_CASE("images are identical, equal in other bytes, or differ", "[image]") {
  ImageMaker m;
  const auto base = std::vector{m.directory("a"), m.file("a/1", "x")};
  const Image one = m.image({base, {m.file("f", "1")}});
  CHECK(diff_images(m.layout, one, m.layout, one, 10, {}).verdict == ImageDiff::Verdict::identical);
  const Image cut = m.image({{base[0], base[1], m.file("f", "1")}});
  const ImageDiff equal = diff_images(m.layout, one, m.layout, cut, 10, {});
  CHECK(equal.verdict == ImageDiff::Verdict::equal);
  CHECK(equal.shared_layers == 0);
  CHECK(equal.layers_before.size() == 2);
  CHECK(equal.layers_after.size() == 1);
}

TEST_CASE("a difference names configuration, packages and files", "[image]") {
  ImageMaker m;
  Defaults before, after;
  before.env = {"PATH=/bin", "A=1"};
  after.env = {"PATH=/bin", "A=2", "B=x=y"};
  after.labels = {{"l", "v"}};
  before.cmd = {"sh"};
  const auto base = std::vector{m.file("var/lib/dpkg/status", status("libc6=2.36 curl=7.88"))};
  auto moved = m.file("time", "t");
  moved.first.modified = 5;
  const Image one = m.image(
      {base,
       {m.file("same", "s"), m.file("gone", "g"), m.file("changed", "old"), m.file("time", "t")}},
      before);
  const Image two =
      m.image({base,
               {m.file("same", "s"), m.file("new", "n"), m.file("changed", "newer", 0755), moved,
                m.file("var/lib/dpkg/status", status("libc6=2.37 jq=1.6")),
                m.file("app/x-1.dist-info/METADATA", "Name: X\nVersion: 1\n\n")}},
              after);
  const ImageDiff diff = diff_images(m.layout, one, m.layout, two, 100, {});
  CHECK(diff.verdict == ImageDiff::Verdict::different);
  CHECK(diff.shared_layers == 1);
  CHECK(diff.config == std::vector<ConfigChange>{{"cmd", "[\"sh\"]", ""},
                                                 {"env.A", "\"1\"", "\"2\""},
                                                 {"env.B", "", "\"x=y\""},
                                                 {"labels.l", "", "\"v\""}});
  using Kinds = Package::Kind;
  CHECK(diff.packages == std::vector<PackageChange>{{Kinds::debian, "curl", "7.88", ""},
                                                    {Kinds::debian, "jq", "", "1.6"},
                                                    {Kinds::debian, "libc6", "2.36", "2.37"},
                                                    {Kinds::python, "X", "", "1"}});
  CHECK(diff.added == 2);
  CHECK(diff.removed == 1);
  CHECK(diff.changed == 3);
  CHECK(diff.only_time == 1);
  REQUIRE(diff.files.size() == 6);
  CHECK(diff.files[1].path == "changed");
  CHECK(diff.files[1].what == Texts{"content", "size", "mode"});
  CHECK(diff.files[4].path == "time");
  CHECK(diff.files[4].what == Texts{"time"});
  CHECK(diff_images(m.layout, one, m.layout, two, 2, {}).files.size() == 2);
}

TEST_CASE("the tree of unpacked layers names the same texts", "[image]") {
  TemporaryDirectory folder;
  for (const char* layer : {"one", "two"})
    make_directories(folder.path() / layer / "var/lib/dpkg");
  write_file_atomic(folder.path() / "one/var/lib/dpkg/status", "old");
  write_file_atomic(folder.path() / "two/var/lib/dpkg/status", "new");
  make_directories(folder.path() / "one/opt/x.dist-info");
  write_file_atomic(folder.path() / "one/opt/x.dist-info/METADATA", "Name: x");
  write_file_atomic(folder.path() / "one/opt/x.dist-info/RECORD", "no");
  MergedTree tree({folder.path() / "one", folder.path() / "two"});
  CHECK(package_texts(tree, {}) ==
        std::map<std::string, std::string, std::less<>>{{"opt/x.dist-info/METADATA", "Name: x"},
                                                        {"var/lib/dpkg/status", "new"}});
}
