// Encoding and decoding of manifests and their nodes; see docs/formats.md.
#include "core/data/manifest.hpp"

#include "core/base/error.hpp"
#include "core/data/chunker.hpp"

#include <fmt/format.h>

namespace mlp::data {

namespace {

constexpr std::string_view manifest_magic = "mlpm";
constexpr std::string_view tree_magic = "mlpt";
constexpr std::string_view list_magic = "mlpl";
constexpr std::uint8_t version = 1;

void write_start(ByteWriter& out, std::string_view magic) {
  out.text(magic);
  out.u8(version);
}

void read_start(ByteReader& in, std::string_view magic, std::string_view what) {
  in.expect(magic);
  const std::uint8_t found = in.u8();
  if (found > version && found < 32)
    throw Error(ErrorKind::failed,
                fmt::format("a {} of format {} was written by a newer mlp", what, found))
        .with_hint("upgrade mlp to read it");
  if (found != version) in.fail("an unknown version");
}

void write_totals(const Totals& totals, ByteWriter& out) {
  out.varint(totals.files);
  out.varint(totals.directories);
  out.varint(totals.bytes);
}

Totals read_totals(ByteReader& in) {
  Totals totals;
  totals.files = in.varint();
  totals.directories = in.varint();
  totals.bytes = in.varint();
  return totals;
}

std::string read_name(ByteReader& in) {
  std::string name(in.sized_text(max_name_bytes));
  if (const auto reason = bad_entry_name(name)) in.fail("a name cannot be used: " + *reason);
  return name;
}

// Refs whose sizes add up to what `limit` allows; returns their sum.
std::uint64_t read_refs(ByteReader& in, std::uint64_t count, bool chunks, std::vector<Ref>& refs) {
  std::uint64_t sum = 0;
  refs.reserve(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    Ref ref;
    ref.id = in.digest();
    ref.size = in.varint();
    if (ref.size == 0 || (chunks && ref.size > max_chunk)) in.fail("a size is out of range");
    if (__builtin_add_overflow(sum, ref.size, &sum)) in.fail("the sizes overflow");
    refs.push_back(ref);
  }
  return sum;
}

Entry read_entry(ByteReader& in, bool named) {
  Entry entry;
  const std::uint8_t type = in.u8();
  if (named) entry.name = read_name(in);
  switch (type) {
  case 'f':
  case 'x':
    entry.type = static_cast<EntryType>(type);
    entry.content = decode_content(in);
    break;
  case 'l':
    entry.type = EntryType::symlink;
    entry.target = in.sized_text(max_target_bytes);
    if (entry.target.empty() || entry.target.find('\0') != std::string::npos)
      in.fail("the target of a symbolic link cannot be used");
    break;
  case 'd':
    entry.type = EntryType::directory;
    entry.tree = in.digest();
    entry.below = read_totals(in);
    break;
  default:
    in.fail("an unknown type of entry");
  }
  return entry;
}

} // namespace

Totals& Totals::operator+=(const Totals& other) {
  if (__builtin_add_overflow(files, other.files, &files) ||
      __builtin_add_overflow(directories, other.directories, &directories) ||
      __builtin_add_overflow(bytes, other.bytes, &bytes))
    throw Error(ErrorKind::integrity, "damaged manifest: its totals overflow");
  return *this;
}

Totals Entry::totals() const {
  if (type == EntryType::symlink) return {.files = 1};
  if (is_file()) return {.files = 1, .bytes = content.size};
  Totals totals = below;
  totals += {.directories = 1};
  return totals;
}

std::optional<std::string> bad_entry_name(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name == "." || name == "..") return "it is '.' or '..'";
  if (name.size() > max_name_bytes) return "it is longer than 255 bytes";
  if (name.find('/') != std::string_view::npos || name.find('\0') != std::string_view::npos)
    return "it holds '/' or NUL";
  return std::nullopt;
}

void encode_content(const Content& content, ByteWriter& out) {
  out.varint(content.size);
  out.u8(content.level);
  out.varint(content.refs.size());
  for (const auto& ref : content.refs) {
    out.digest(ref.id);
    out.varint(ref.size);
  }
}

Content decode_content(ByteReader& in) {
  Content content;
  content.size = in.varint();
  content.level = in.u8();
  if (content.level > max_level) in.fail("a level is out of range");
  const std::uint64_t count = in.count(33);
  if (count > max_inline_refs) in.fail("too many refs");
  if (read_refs(in, count, content.level == 0, content.refs) != content.size)
    in.fail("the sizes do not add up");
  if (content.refs.empty() && content.level != 0) in.fail("a level without refs");
  return content;
}

void encode_entry(const Entry& entry, ByteWriter& out) {
  out.u8(static_cast<std::uint8_t>(entry.type));
  if (!entry.name.empty()) out.sized_text(entry.name);
  switch (entry.type) {
  case EntryType::file:
  case EntryType::executable:
    encode_content(entry.content, out);
    break;
  case EntryType::symlink:
    out.sized_text(entry.target);
    break;
  case EntryType::directory:
    out.digest(entry.tree);
    write_totals(entry.below, out);
    break;
  }
}

Bytes encode_manifest(const Entry& root) {
  Bytes bytes;
  ByteWriter out(bytes);
  write_start(out, manifest_magic);
  encode_entry(root, out);
  return bytes;
}

Bytes encode_tree(const TreeNode& node) {
  Bytes bytes;
  ByteWriter out(bytes);
  write_start(out, tree_magic);
  out.u8(node.level);
  if (node.level == 0) {
    out.varint(node.entries.size());
    for (const auto& entry : node.entries)
      encode_entry(entry, out);
  } else {
    out.varint(node.children.size());
    for (const auto& child : node.children) {
      out.sized_text(child.first_name);
      out.digest(child.id);
      write_totals(child.below, out);
    }
  }
  return bytes;
}

Bytes encode_list(const ListNode& node) {
  Bytes bytes;
  ByteWriter out(bytes);
  write_start(out, list_magic);
  out.u8(node.level);
  out.varint(node.refs.size());
  for (const auto& ref : node.refs) {
    out.digest(ref.id);
    out.varint(ref.size);
  }
  return bytes;
}

Entry decode_manifest(ByteSpan bytes) {
  ByteReader in(bytes, "manifest");
  read_start(in, manifest_magic, "manifest");
  Entry root = read_entry(in, false);
  if (root.type == EntryType::symlink) in.fail("the root is a symbolic link");
  in.expect_end();
  return root;
}

TreeNode decode_tree(ByteSpan bytes) {
  ByteReader in(bytes, "directory node");
  read_start(in, tree_magic, "directory node");
  TreeNode node;
  node.level = in.u8();
  if (node.level > max_level) in.fail("a level is out of range");
  if (node.level == 0) {
    const std::uint64_t count = in.count(5);
    node.entries.reserve(static_cast<std::size_t>(count));
    for (std::uint64_t i = 0; i < count; ++i) {
      Entry entry = read_entry(in, true);
      if (!node.entries.empty() && !(node.entries.back().name < entry.name))
        in.fail("the names do not ascend");
      node.entries.push_back(std::move(entry));
    }
  } else {
    const std::uint64_t count = in.count(37);
    if (count == 0) in.fail("a node without children");
    for (std::uint64_t i = 0; i < count; ++i) {
      TreeChild child;
      child.first_name = read_name(in);
      child.id = in.digest();
      child.below = read_totals(in);
      if (!node.children.empty() && !(node.children.back().first_name < child.first_name))
        in.fail("the names do not ascend");
      node.children.push_back(std::move(child));
    }
  }
  in.expect_end();
  return node;
}

ListNode decode_list(ByteSpan bytes) {
  ByteReader in(bytes, "list node");
  read_start(in, list_magic, "list node");
  ListNode node;
  node.level = in.u8();
  if (node.level == 0 || node.level > max_level) in.fail("a level is out of range");
  const std::uint64_t count = in.count(33);
  if (count == 0) in.fail("a node without refs");
  (void)read_refs(in, count, node.level == 1, node.refs);
  in.expect_end();
  return node;
}

} // namespace mlp::data
