// YAML as our own small tree with a position for every value. Sources are files written by people,
// so the text is treated as hostile: limits on size, depth and expansion, and an error that shows
// the line. Source: YAML 1.2 (yaml-cpp parses); not taken: merge keys (<<), tags, several documents
// in one file, keys that are not plain text.
#pragma once

#include "core/base/error.hpp"
#include "core/base/fs.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::config {

// Both from 1; columns count characters. {0, 0}: not from a file.
struct Position {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  bool operator==(const Position&) const = default;
};

enum class YamlKind { null, scalar, sequence, mapping };

struct YamlEntry;

// A value; a tree of values owned by its root. What came through an alias is a copy, with the
// positions of the original.
struct YamlNode {
  YamlKind kind = YamlKind::null;
  bool quoted = false;            // a scalar in quotes or a block scalar: always a string
  bool flow = false;              // a collection in [] or {}
  Position position;              // where the value begins
  std::string text;               // of a scalar
  std::vector<YamlNode> items;    // of a sequence
  std::vector<YamlEntry> entries; // of a mapping, in the file's order; keys are unique

  // The value of a mapping's key; nullptr if there is none or this is not a mapping.
  [[nodiscard]] const YamlNode* find(std::string_view key) const noexcept;
  // Equal in content; positions and style are not compared.
  [[nodiscard]] bool same_as(const YamlNode& other) const noexcept;
};

struct YamlEntry {
  std::string key;
  Position key_position;
  YamlNode value;
};

struct YamlLimits {
  std::size_t max_bytes = 1u << 20;
  std::size_t max_line_bytes = 64u << 10;
  std::size_t max_depth = 32;
  std::size_t max_nodes = 100'000; // after aliases are expanded
};

// A parsed text: immutable, may be read by many threads.
class YamlDocument {
 public:
  // `name` is what errors call the text: "mlp.yaml". Throws Error(config).
  [[nodiscard]] static YamlDocument parse(std::string text, std::string name,
                                          const YamlLimits& limits = {});
  // Reads at most max_bytes. Throws as parse(), and Error(not_found, denied) as read_file().
  [[nodiscard]] static YamlDocument load(const fs::path& path, std::string name,
                                         const YamlLimits& limits = {});

  [[nodiscard]] const YamlNode& root() const noexcept { return root_; }
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  // "mlp.yaml:7:5: <message>" with the source line and a caret as its context. Error(config).
  [[nodiscard]] Error error_at(Position position, std::string_view message) const;

  // The value at a path of keys and decimal indices, or the deepest one on the way to it.
  [[nodiscard]] const YamlNode& nearest(std::initializer_list<std::string_view> path) const;

 private:
  std::string text_;
  std::string name_;
  YamlNode root_;
};

// A scalar as it must stand in YAML to be read back as this string: plain where that is safe, else
// in double quotes. Safe in block and in flow context.
[[nodiscard]] std::string yaml_quote(std::string_view text);

} // namespace mlp::config
