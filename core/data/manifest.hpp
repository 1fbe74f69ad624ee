// A version of a dataset as a Merkle tree: a manifest names the root entry; a directory is a tree
// of nodes with its entries in byte order of their names; a file is a list of chunks, or a tree of
// lists. Every node is an object in the store, named by the SHA-256 of its bytes, so equal content
// is one object and an unchanged subtree is one comparison. Bytes: docs/formats.md.
//
// Encodings are canonical, and decoding refuses all others. What a hostile node can claim is
// bounded here; what a tree of them can claim is bounded by the totals, which readers check.
#pragma once

#include "core/base/digest.hpp"
#include "core/data/bytes.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::data {

// A chunk, or a node of a list, and the bytes of the file that it covers.
struct Ref {
  Digest id;
  std::uint64_t size = 0;
  bool operator==(const Ref&) const = default;
};

// A file's bytes. level 0: `refs` are chunks; level n: they are list nodes of level n.
struct Content {
  std::uint64_t size = 0;
  std::uint8_t level = 0;
  std::vector<Ref> refs; // at most max_inline_refs
  bool operator==(const Content&) const = default;
};

// What lies below a directory, itself not counted.
struct Totals {
  std::uint64_t files = 0; // and symlinks
  std::uint64_t directories = 0;
  std::uint64_t bytes = 0;
  bool operator==(const Totals&) const = default;
  Totals& operator+=(const Totals& other); // throws Error(integrity) if a sum overflows
};

enum class EntryType : std::uint8_t {
  file = 'f',
  executable = 'x',
  symlink = 'l',
  directory = 'd',
};

struct Entry {
  EntryType type = EntryType::file;
  std::string name;   // empty in a manifest only
  Content content;    // file, executable
  std::string target; // symlink
  Digest tree;        // directory: the id of its root node
  Totals below;       // directory

  [[nodiscard]] bool is_file() const {
    return type == EntryType::file || type == EntryType::executable;
  }
  // What this entry adds to the totals of the directory that holds it.
  [[nodiscard]] Totals totals() const;
  bool operator==(const Entry&) const = default;
};

// A node of a directory. level 0: `entries`; level n: `children`, nodes of level n - 1.
struct TreeChild {
  std::string first_name; // of the first entry below
  Digest id;
  Totals below;
  bool operator==(const TreeChild&) const = default;
};
struct TreeNode {
  std::uint8_t level = 0;
  std::vector<Entry> entries;
  std::vector<TreeChild> children;
};

// A node of a long file's list. level 1: `refs` are chunks; level n: list nodes of level n - 1.
struct ListNode {
  std::uint8_t level = 1;
  std::vector<Ref> refs;
};

inline constexpr std::size_t max_name_bytes = 255;
inline constexpr std::size_t max_target_bytes = 4095;
inline constexpr std::size_t max_inline_refs = 64;
inline constexpr std::uint8_t max_level = 8;
inline constexpr std::size_t max_directory_depth = 256;

// The root: its entry has no name. The id of the object is the digest of the version.
[[nodiscard]] Bytes encode_manifest(const Entry& root);
[[nodiscard]] Bytes encode_tree(const TreeNode& node);
[[nodiscard]] Bytes encode_list(const ListNode& node);

// Throw Error(integrity) that says where the bytes go wrong, or Error(failed) for a newer version.
[[nodiscard]] Entry decode_manifest(ByteSpan bytes);
[[nodiscard]] TreeNode decode_tree(ByteSpan bytes);
[[nodiscard]] ListNode decode_list(ByteSpan bytes);

// One entry, as it stands in a node; for sizes, and for the stat cache.
void encode_content(const Content& content, ByteWriter& out);
[[nodiscard]] Content decode_content(ByteReader& in);
void encode_entry(const Entry& entry, ByteWriter& out);

// Why a name may not be an entry's, or nullopt: empty, ".", "..", too long, '/' or NUL in it.
[[nodiscard]] std::optional<std::string> bad_entry_name(std::string_view name);

} // namespace mlp::data
