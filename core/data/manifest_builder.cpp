// The levels above the first are treated as the first is: a node that ends becomes an item of the
// level above.
#include "core/data/manifest_builder.hpp"

#include "core/base/error.hpp"

namespace mlp::data {

bool node_ends(std::size_t count, std::size_t bytes, const Digest& hash) noexcept {
  constexpr std::size_t least = 64, most = 4096, most_bytes = 256 * 1024;
  if (count >= most || bytes >= most_bytes) return true;
  // Once in 512 items.
  return count >= least && hash.bytes[0] == 0 && (hash.bytes[1] & 1) == 0;
}

void ContentBuilder::add_at(std::size_t level, const Ref& ref) {
  if (levels_.size() <= level) levels_.resize(level + 1);
  if (level == 0) size_ += ref.size;
  Level& here = levels_[level];
  here.refs.push_back(ref);
  if (node_ends(here.refs.size(), 0, ref.id)) make_node(level);
}

void ContentBuilder::make_node(std::size_t level) {
  Level& here = levels_[level];
  if (level + 1 > max_level)
    throw Error(ErrorKind::failed, "a file is too long for the manifest format");
  Ref node;
  for (const auto& ref : here.refs)
    node.size += ref.size;
  node.id = sink_.put(PackKind::meta,
                      encode_list({static_cast<std::uint8_t>(level + 1), std::move(here.refs)}));
  here.refs.clear();
  here.cut = true;
  add_at(level + 1, node); // `here` may have moved
}

Content ContentBuilder::finish() {
  // A level stays inline if it was never cut and fits; else its rest becomes a node too.
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    if (!levels_[level].cut && levels_[level].refs.size() <= max_inline_refs)
      return {size_, static_cast<std::uint8_t>(level), std::move(levels_[level].refs)};
    if (!levels_[level].refs.empty()) make_node(level);
  }
  return {};
}

void TreeBuilder::add(Entry entry) {
  if (levels_.empty()) levels_.resize(1);
  Level& here = levels_[0];
  here.below += entry.totals();
  const Digest hash = sha256(entry.name);
  Bytes encoded;
  ByteWriter out(encoded);
  encode_entry(entry, out);
  here.bytes += encoded.size();
  here.node.entries.push_back(std::move(entry));
  if (node_ends(here.node.entries.size(), here.bytes, hash)) add_child(1, make_node(0));
}

void TreeBuilder::add_child(std::size_t level, TreeChild child) {
  if (level > max_level)
    throw Error(ErrorKind::failed, "a directory is too large for the manifest format");
  if (levels_.size() <= level) levels_.resize(level + 1);
  Level& here = levels_[level];
  here.node.level = static_cast<std::uint8_t>(level);
  here.below += child.below;
  here.bytes += child.first_name.size() + 64;
  const Digest hash = sha256(child.first_name);
  here.node.children.push_back(std::move(child));
  if (node_ends(here.node.children.size(), here.bytes, hash))
    add_child(level + 1, make_node(level));
}

TreeChild TreeBuilder::make_node(std::size_t level) {
  Level& here = levels_[level];
  TreeChild child;
  if (level > 0)
    child.first_name = here.node.children.front().first_name;
  else if (!here.node.entries.empty())
    child.first_name = here.node.entries.front().name;
  child.id = sink_.put(PackKind::meta, encode_tree(here.node));
  child.below = here.below;
  here.node.entries.clear();
  here.node.children.clear();
  here.below = {};
  here.bytes = 0;
  here.cut = true;
  return child;
}

Entry TreeBuilder::finish() {
  if (levels_.empty()) levels_.resize(1);
  for (std::size_t level = 0;; ++level) {
    Level& here = levels_[level];
    const bool empty = here.node.entries.empty() && here.node.children.empty();
    if (!here.cut) {
      TreeChild root;
      // A level that holds one node needs no node above it.
      if (level > 0 && here.node.children.size() == 1)
        root = std::move(here.node.children.front());
      else
        root = make_node(level);
      Entry entry;
      entry.type = EntryType::directory;
      entry.tree = root.id;
      entry.below = root.below;
      return entry;
    }
    if (!empty) add_child(level + 1, make_node(level));
  }
}

} // namespace mlp::data
