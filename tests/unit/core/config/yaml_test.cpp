// YAML within limits: what is read, where it stands, and what is refused with which words.
#include "core/base/fs.hpp"
#include "core/base/text.hpp"
#include "core/config/yaml.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <chrono>

using namespace mlp;
using namespace mlp::config;

namespace {

YamlDocument parse(std::string text) {
  return YamlDocument::parse(std::move(text), "f.yaml");
}

std::string message_of(std::string text) {
  try {
    parse(std::move(text));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    return error.message();
  }
  return "no error";
}

} // namespace

TEST_CASE("yaml: values keep their order, style and position") {
  const YamlDocument document = parse("name: a\nlist:\n  - 'x'\n  - 2\nmap: {k: v}\nnone:\n");
  const YamlNode& root = document.root();
  REQUIRE(root.entries.size() == 4);
  CHECK(root.entries[1].key == "list");
  CHECK(root.entries[1].key_position == Position{2, 1});
  CHECK(root.find("list")->items[0].quoted);
  CHECK(root.find("list")->items[0].position == Position{3, 5});
  CHECK_FALSE(root.find("list")->items[1].quoted);
  CHECK(root.find("map")->flow);
  CHECK(root.find("map")->find("k")->position == Position{5, 10});
  CHECK(root.find("none")->kind == YamlKind::null);
  CHECK(root.find("none")->position == Position{6, 1});
  CHECK(root.find("other") == nullptr);
}

TEST_CASE("yaml: columns count characters, not bytes") {
  const YamlDocument document = parse("{größe: ä, x: 1}");
  CHECK(document.root().entries[1].key_position == Position{1, 12});
}

TEST_CASE("yaml: an alias is a copy of its anchor") {
  const YamlDocument document = parse("a: &x {k: [1, 2]}\nb: *x\n");
  CHECK(document.root().find("b")->same_as(*document.root().find("a")));
}

TEST_CASE("yaml: a byte order mark and Windows line ends are taken") {
  const YamlDocument document = parse("\xef\xbb\xbfname: a\r\nother: b\r\n");
  CHECK(document.root().find("name")->text == "a");
  CHECK(document.root().find("other")->text == "b");
  CHECK(document.root().find("other")->position == Position{2, 8});
}

TEST_CASE("yaml: each bad text is refused with its place and its reason") {
  std::string deep_block;
  for (int i = 0; i < 40; ++i)
    deep_block += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'k'; ++c)
    bomb += fmt::format("{0}: &{0} [*{1},*{1},*{1},*{1},*{1},*{1},*{1},*{1},*{1},*{1}]\n", c,
                        static_cast<char>(c - 1));
  const std::pair<std::string, std::string> cases[] = {
      {"a: b\na: c\n", "f.yaml:2:1: duplicate key 'a', first at line 1, column 1"},
      {"k: {x: 1, x: 2}\n", "f.yaml:1:11: duplicate key 'x', first at line 1, column 5"},
      {"a: " + std::string(40, '[') + std::string(40, ']'),
       "f.yaml:1:35: nested deeper than 32 levels"},
      {deep_block, "f.yaml:33:33: nested deeper than 32 levels"},
      {std::string(40, '-').replace(0, 40,
                                    "- - - - - - - - - - - - - - - - - - - - - - - - - - - - "
                                    "- - - - - - - - a"),
       "f.yaml:1:65: nested deeper than 32 levels"},
      {bomb, "f.yaml:5:26: more than 100,000 values, with aliases written out"},
      {std::string(70'000, 'x'), "f.yaml:1:1: a line longer than 64.0 KiB"},
      {std::string(2'000, '['), "f.yaml:1:1001: more than 1,000 brackets stand open here"},
      {std::string((1u << 20) + 1, '\n'), "'f.yaml' is larger than 1.0 MiB"},
      {"a: b\n---\nc: d\n",
       "f.yaml:2:1: a second document begins here; one file holds one document"},
      {"a: b\nc: \xff\n", "f.yaml:2:1: this line is not UTF-8 text"},
      {std::string("a: b\0c\n", 7), "f.yaml:1:5: control character 0x00"},
      {"a: \x1b[31m\n", "f.yaml:1:4: control character 0x1b"},
      {"a: \"\\0\"\n", "f.yaml:1:4: this text holds a character that is not allowed"},
      {"a: b\rc: d\n", "f.yaml:1:5: a carriage return that does not end the line"},
      {"a:\n\tb: c\n", "f.yaml:2:1: a tab in the indentation"},
      {"a:\n  b: 1\n\tc: 2\n", "f.yaml:3:1: a tab in the indentation"},
      {"a: {b: c\n", "f.yaml:2:1: a '}' or ',' is missing"},
      {"a: [b, c\nd: e\n", "f.yaml:2:2: a ']' or ',' is missing"},
      {"a: 'b\n", "f.yaml:1:4: a closing quote is missing"},
      {"a: \"b\n", "f.yaml:1:4: a closing quote is missing"},
      {"a: !!str b\n", "f.yaml:1:4: tags (!...) are not taken here"},
      {"a: !!python/object:os.system {}\n", "f.yaml:1:4: tags (!...) are not taken here"},
      {"a: *b\n", "f.yaml:1:4: this alias names no anchor"},
      {"a: &b [*b]\n", "f.yaml:1:8: this alias stands inside the value that it names"},
      {"a: &a {b: c}\n<<: *a\n", "f.yaml:2:1: merge keys (<<) are not taken here"},
      {"? [a]\n: b\n", "f.yaml:1:3: a key must be plain text"},
      {"a: b: c\n", "f.yaml:1:5: a ':' cannot stand here; put text that holds ': ' in quotes"},
      {"a: @b\n", "f.yaml:1:4: this character cannot begin a value; put the text in quotes"},
      {"a: ]\n", "f.yaml:1:4: a ']' or '}' that closes nothing"},
      {"a:\n  b: 1\n c: 2\n",
       "f.yaml:3:2: this line does not fit the map around it; check its indentation and ':'"},
  };
  for (const auto& [text, message] : cases) {
    INFO(printable(text.substr(0, 80)));
    CHECK(message_of(text) == message);
  }
}

TEST_CASE("yaml: what is just within the limits is read") {
  CHECK_NOTHROW(parse("a: " + std::string(31, '[') + std::string(31, ']')));
  CHECK_NOTHROW(parse("a: '" + std::string(60'000, 'x') + "'"));
}

TEST_CASE("yaml: a long line of many values takes time in proportion") {
  std::string text = "a: [";
  while (text.size() < 60'000)
    text += "x, ";
  std::string lines = text;
  for (int i = 0; i < 3; ++i)
    lines += "\n" + std::string(text.begin() + 4, text.end());
  const auto start = std::chrono::steady_clock::now();
  CHECK(parse(lines + "]\n").root().find("a")->items.size() > 70'000);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5)); // was 15 s
}

TEST_CASE("yaml: a quote within single quotes and an escaped one close nothing") {
  CHECK(parse("a: 'it''s'\n").root().find("a")->text == "it's");
  CHECK(parse("a: \"say \\\"x\\\"\"\n").root().find("a")->text == "say \"x\"");
  CHECK(message_of("a: 'it''s\n") == "f.yaml:1:4: a closing quote is missing");
}

TEST_CASE("yaml: a tab after the indentation is only white space") {
  CHECK(parse("a:\tb\nrun: |\n  x:\n  \ty\n").root().find("run")->text == "x:\n\ty\n");
}

TEST_CASE("yaml: an error shows the line and points at the column") {
  const YamlDocument document = parse("a: b\n  # c\nwörd: xyz\n");
  const Error error = document.error_at(document.root().find("wörd")->position, "message");
  CHECK(error.message() == "f.yaml:3:7: message");
  REQUIRE(error.contexts().size() == 2);
  CHECK(error.contexts()[0] == "3 | wörd: xyz");
  CHECK(error.contexts()[1] == "  |       ^");
}

TEST_CASE("yaml: of a long line an error shows the part around the column") {
  const YamlDocument document = parse("a: " + std::string(500, 'x') + "\n");
  const Error error = document.error_at({1, 300}, "message");
  CHECK(error.contexts()[0].size() < 110);
  CHECK(error.contexts()[1].size() < 110);
}

TEST_CASE("yaml: a file of 100 MB is refused before it is read") {
  const TemporaryDirectory folder;
  const fs::path path = folder.path() / "mlp.yaml";
  write_file_atomic(path, "");
  fs::resize_file(path, 100'000'000); // sparse
  const auto start = std::chrono::steady_clock::now();
  CHECK_THROWS_WITH(YamlDocument::load(path, "mlp.yaml"), "'mlp.yaml' is larger than 1.0 MiB");
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(500));
}

TEST_CASE("yaml: quoted text is read back as the same string") {
  for (const std::string text : {"plain",
                                 "file:../store",
                                 "s3://bucket/a-b",
                                 "true",
                                 "No",
                                 "12",
                                 "1e3",
                                 "-x",
                                 ".5",
                                 "~",
                                 "",
                                 " a",
                                 "a ",
                                 "a: b",
                                 "a #b",
                                 "a, b",
                                 "[x]",
                                 "it's",
                                 "say \"x\"",
                                 "tab\there",
                                 "ünïcode",
                                 "line\nbreak",
                                 "./data/x y",
                                 "null",
                                 "---",
                                 "a:",
                                 "\\",
                                 "*x",
                                 "&x",
                                 "%x",
                                 "@x",
                                 "`x`"}) {
    INFO(text);
    const YamlDocument block = parse("k: " + yaml_quote(text) + "\n");
    CHECK(block.root().find("k")->text == text);
    CHECK(block.root().find("k")->kind == YamlKind::scalar);
    const YamlDocument flow = parse("{k: " + yaml_quote(text) + ", l: 1}\n");
    CHECK(flow.root().find("k")->text == text);
    const YamlDocument key = parse(yaml_quote(text) + ": 1\n");
    CHECK(key.root().entries[0].key == text);
  }
}
