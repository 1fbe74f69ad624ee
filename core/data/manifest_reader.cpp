// Streams over nodes with an explicit stack of frames.
#include "core/data/manifest_reader.hpp"

#include "core/base/error.hpp"
#include "core/data/chunker.hpp"

#include <fmt/format.h>

namespace mlp::data {

namespace {

[[noreturn]] void fail(std::string_view reason) {
  throw Error(ErrorKind::integrity, fmt::format("damaged manifest: {}", reason));
}

TreeNode read_tree(ObjectSource& source, const Digest& id) {
  Bytes bytes;
  source.read(id, bytes);
  return decode_tree(bytes);
}

bool exceeds(const Totals& part, const Totals& whole) {
  return part.files > whole.files || part.directories > whole.directories ||
         part.bytes > whole.bytes;
}

} // namespace

std::vector<Ref> read_list_node(ObjectSource& source, const Ref& ref, std::uint8_t level) {
  Bytes bytes;
  source.read(ref.id, bytes);
  ListNode node = decode_list(bytes);
  if (node.level != level) fail("a list node is of another level");
  std::uint64_t sum = 0;
  for (const auto& child : node.refs)
    sum += child.size; // decode_list() has refused an overflow
  if (sum != ref.size) fail("the sizes of a list do not add up");
  return std::move(node.refs);
}

Entry read_manifest(ObjectSource& source, const Digest& digest) {
  Bytes bytes;
  source.read(digest, bytes);
  return decode_manifest(bytes);
}

DirectoryReader::DirectoryReader(ObjectSource& source, const Entry& directory) : source_(source) {
  push(directory.tree, directory.below, std::nullopt, {});
}

void DirectoryReader::push(const Digest& id, const Totals& claimed,
                           std::optional<std::uint8_t> level, const std::string& first_name) {
  Frame frame{read_tree(source_, id), 0, claimed, {}};
  if (level && frame.node.level != *level) fail("a directory node is of another level");
  if (frame.node.level == 0) {
    if (level && (frame.node.entries.empty() || frame.node.entries.front().name != first_name))
      fail("a directory node begins with another name");
  } else if (level && frame.node.children.front().first_name != first_name) {
    fail("a directory node begins with another name");
  }
  frames_.push_back(std::move(frame));
}

std::optional<Entry> DirectoryReader::next() {
  while (!frames_.empty()) {
    Frame& frame = frames_.back();
    if (frame.node.level == 0 && frame.position < frame.node.entries.size()) {
      Entry entry = std::move(frame.node.entries[frame.position++]);
      frame.seen += entry.totals();
      if (exceeds(frame.seen, frame.claimed)) fail("a directory holds more than it claims");
      if (any_ && !(last_name_ < entry.name)) fail("the names of a directory do not ascend");
      any_ = true;
      last_name_ = entry.name;
      return entry;
    }
    if (frame.node.level > 0 && frame.position < frame.node.children.size()) {
      const TreeChild child = frame.node.children[frame.position++];
      frame.seen += child.below;
      if (exceeds(frame.seen, frame.claimed)) fail("a directory holds more than it claims");
      push(child.id, child.below, static_cast<std::uint8_t>(frame.node.level - 1),
           child.first_name);
      continue;
    }
    if (frame.seen != frame.claimed) fail("a directory holds less than it claims");
    frames_.pop_back();
  }
  return std::nullopt;
}

ContentReader::ContentReader(ObjectSource& source, const Content& content) : source_(source) {
  frames_.push_back({content.refs, 0, content.level});
}

std::optional<Ref> ContentReader::next() {
  while (!frames_.empty()) {
    Frame& frame = frames_.back();
    if (frame.position == frame.refs.size()) {
      frames_.pop_back();
      continue;
    }
    const Ref ref = frame.refs[frame.position++];
    if (frame.level == 0) return ref;
    frames_.push_back(
        {read_list_node(source_, ref, frame.level), 0, static_cast<std::uint8_t>(frame.level - 1)});
  }
  return std::nullopt;
}

void for_each_entry(ObjectSource& source, const Entry& root,
                    const std::function<bool(const std::string&, const Entry&)>& visit) {
  if (root.type != EntryType::directory) {
    visit("", root);
    return;
  }
  std::vector<DirectoryReader> readers;
  std::vector<std::size_t> lengths; // of the path up to each reader's directory
  readers.emplace_back(source, root);
  lengths.push_back(0);
  std::string path;
  while (!readers.empty()) {
    auto entry = readers.back().next();
    path.resize(lengths.back());
    if (!entry) {
      readers.pop_back();
      lengths.pop_back();
      continue;
    }
    if (!path.empty()) path += '/';
    path += entry->name;
    if (visit(path, *entry) && entry->type == EntryType::directory) {
      if (readers.size() >= max_directory_depth) fail("its directories are nested too deeply");
      readers.emplace_back(source, *entry);
      lengths.push_back(path.size());
    }
  }
}

std::optional<Entry> find_entry(ObjectSource& source, const Entry& root, std::string_view path) {
  Entry here = root;
  while (!path.empty()) {
    if (here.type != EntryType::directory) return std::nullopt;
    const std::size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (name.empty()) continue; // "a//b", "a/"
    DirectoryReader reader(source, here);
    std::optional<Entry> entry;
    do
      entry = reader.next();
    while (entry && entry->name < name);
    if (!entry || entry->name != name) return std::nullopt;
    here = *std::move(entry);
  }
  return here;
}

namespace {

class Walker {
 public:
  Walker(ObjectSource& source, ObjectVisitor& visitor) : source_(source), visitor_(visitor) {}

  void entry(const Entry& entry, std::size_t depth) {
    if (entry.type == EntryType::directory) {
      if (depth >= max_directory_depth) fail("its directories are nested too deeply");
      tree(entry.tree, std::nullopt, entry.below, depth + 1);
    } else if (entry.is_file()) {
      refs(entry.content.refs, entry.content.level);
    }
  }

 private:
  void tree(const Digest& id, std::optional<std::uint8_t> level, const Totals& claimed,
            std::size_t depth) {
    if (!visitor_.enter(id)) return;
    const TreeNode node = read_tree(source_, id);
    if (level && node.level != *level) fail("a directory node is of another level");
    Totals seen;
    for (const auto& child : node.entries) {
      seen += child.totals();
      if (exceeds(seen, claimed)) fail("a directory holds more than it claims");
      entry(child, depth);
    }
    for (const auto& child : node.children) {
      seen += child.below;
      if (exceeds(seen, claimed)) fail("a directory holds more than it claims");
      tree(child.id, static_cast<std::uint8_t>(node.level - 1), child.below, depth);
    }
    if (seen != claimed) fail("a directory holds less than it claims");
    visitor_.leave(id);
  }

  void refs(const std::vector<Ref>& refs_of, std::uint8_t level) {
    for (const auto& ref : refs_of) {
      if (level == 0) {
        visitor_.chunk(ref);
      } else if (visitor_.enter(ref.id)) {
        refs(read_list_node(source_, ref, level), static_cast<std::uint8_t>(level - 1));
        visitor_.leave(ref.id);
      }
    }
  }

  ObjectSource& source_;
  ObjectVisitor& visitor_;
};

} // namespace

void walk_objects(ObjectSource& source, const Digest& manifest, ObjectVisitor& visitor) {
  if (!visitor.enter(manifest)) return;
  const Entry root = read_manifest(source, manifest);
  Walker(source, visitor).entry(root, 0);
  visitor.leave(manifest);
}

Totals version_totals(const Entry& root) {
  return root.type == EntryType::directory ? root.below : root.totals();
}

} // namespace mlp::data
