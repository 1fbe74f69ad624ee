// Looking up descends the directory's tree by names; reading on is left to MountedFile.
#include "core/data/mount_view.hpp"

#include "core/base/error.hpp"
#include "core/data/manifest_reader.hpp"

#include <algorithm>

namespace mlp::data {

namespace {

constexpr unsigned index_bits = 20; // a node of at most max_object_bytes has fewer entries
constexpr std::size_t kept_trees = 32;
constexpr std::size_t kept_leaves = 1u << 16;
constexpr std::uint64_t first_window = 512 * 1024, last_window = 32u << 20;
constexpr std::uint64_t slack = 512 * 1024; // reads of one reader that pass each other

[[noreturn]] void damaged(std::string_view reason) {
  throw Error(ErrorKind::integrity, "damaged manifest: " + std::string(reason));
}

[[noreturn]] void unknown() {
  throw Error(ErrorKind::conflict, "the file is of a version that is no longer mounted");
}

} // namespace

struct MountedVersion {
  Digest digest;
  Entry root; // a directory, also for a dataset of one file
  WallTime time;
  std::shared_ptr<const TreeNode> made; // that directory's node then, which is no object
};

// --- files ---

MountedFile::MountedFile(ChunkFetcher& objects, const Entry& file)
    : objects_(objects), name_(file.name), map_(objects, file.content) {}

MountedFile::~MountedFile() {
  if (joined_) objects_.leave_readers();
}

void MountedFile::read_ahead(std::uint64_t end) {
  if (ahead_until_ < end || ahead_until_ > end + last_window) ahead_until_ = end;
  if (ahead_until_ >= map_.size() || ahead_until_ - end > window_ / 2) return;
  window_ = std::min({window_ == 0 ? first_window : 2 * window_, last_window, objects_.share()});
  if (!joined_ && window_ > first_window) {
    objects_.join_readers();
    joined_ = true;
  }
  try {
    const auto chunks = map_.chunks(ahead_until_, end + window_ - ahead_until_);
    std::vector<Ref> refs;
    for (const PlacedChunk& chunk : chunks)
      refs.push_back(chunk.ref);
    const std::size_t looked_at = objects_.read_ahead(refs);
    if (looked_at != 0)
      ahead_until_ = chunks[looked_at - 1].offset + chunks[looked_at - 1].ref.size;
  } catch (const Error&) { // who reads there will be told
  }
}

std::vector<MountedFile::Piece> MountedFile::read(std::uint64_t offset, std::uint64_t size) {
  std::vector<PlacedChunk> chunks;
  {
    const std::lock_guard lock(mutex_);
    chunks = map_.chunks(offset, size);
    if (chunks.empty()) return {};
    if (chunks.size() > 1) {
      std::vector<Ref> refs;
      for (const PlacedChunk& chunk : chunks)
        refs.push_back(chunk.ref);
      (void)objects_.read_ahead(refs, true); // together, not one after the other
    }
    const std::uint64_t end = chunks.back().offset + chunks.back().ref.size;
    if (offset <= next_ + slack && next_ <= offset + size + slack) {
      next_ = std::max(next_, end);
      read_ahead(next_);
    } else {
      next_ = end;
      window_ = ahead_until_ = 0;
      if (joined_) objects_.leave_readers();
      joined_ = false;
    }
  }
  std::vector<Piece> pieces;
  pieces.reserve(chunks.size());
  const std::uint64_t end = offset + std::min(size, map_.size() - offset);
  for (const PlacedChunk& chunk : chunks) {
    ChunkFetcher::Chunk bytes = objects_.get(chunk.ref.id);
    if (bytes->size() != chunk.ref.size) damaged("a chunk has another size");
    const std::uint64_t first = std::max(offset, chunk.offset) - chunk.offset;
    const std::uint64_t last = std::min(end, chunk.offset + chunk.ref.size) - chunk.offset;
    const ByteSpan part = ByteSpan(*bytes).subspan(static_cast<std::size_t>(first),
                                                   static_cast<std::size_t>(last - first));
    pieces.push_back({std::move(bytes), part});
  }
  return pieces;
}

// --- directories ---

std::optional<MountedDirectory::Item> MountedDirectory::at(std::uint64_t position, bool hold) {
  // The leaf that holds the position; those before it tell where it starts.
  auto index = static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), position) -
                                        starts_.begin() - 1);
  for (;; ++index) {
    if (index == leaves_.size()) return std::nullopt;
    const Leaf& leaf = leaves_[index];
    const auto tree = view_.load(*version_, leaf.id);
    if (index + 1 == starts_.size()) { // reached for the first time
      if (tree->level != 0) damaged("a directory node is of another level");
      if (!tree->entries.empty()) {
        if (index > 0 && tree->entries.front().name != leaf.first_name)
          damaged("a directory node begins with another name");
        if (index + 1 < leaves_.size() &&
            !(tree->entries.back().name < leaves_[index + 1].first_name))
          damaged("the names of a directory do not ascend");
      }
      Totals seen;
      for (const Entry& entry : tree->entries)
        seen += entry.totals();
      if (seen != leaf.claimed) damaged("a directory holds other than it claims");
      starts_.push_back(starts_.back() + tree->entries.size());
    }
    if (position >= starts_[index + 1]) continue;
    const auto place = static_cast<std::size_t>(position - starts_[index]);
    const Entry& entry = tree->entries[place];
    return Item{entry.name,
                MountView::attributes_of(view_.number(version_, node_, leaf.id, place, hold), entry,
                                         *version_)};
  }
}

// --- the view ---

MountView::MountView(ChunkFetcher& objects, std::string file_name)
    : objects_(objects), file_name_(std::move(file_name)), sweep_at_(kept_leaves) {}

MountView::~MountView() = default;

void MountView::show(const Digest& version, WallTime time) {
  auto next = std::make_shared<MountedVersion>();
  next->digest = version;
  next->time = time;
  next->root = read_manifest(objects_, version);
  if (next->root.type != EntryType::directory) {
    auto node = std::make_shared<TreeNode>();
    node->entries.push_back(std::move(next->root));
    node->entries.back().name = file_name_;
    next->root = {};
    next->root.type = EntryType::directory;
    next->root.below = node->entries.back().totals();
    next->root.tree = sha256(encode_tree(*node));
    next->made = std::move(node);
  }
  static_cast<void>(load(*next, next->root.tree)); // whoever looks into it need not wait
  const std::lock_guard lock(mutex_);
  current_ = std::move(next);
  sweep();
}

Digest MountView::version() const {
  const std::lock_guard lock(mutex_);
  return current_->digest;
}

Totals MountView::totals() const {
  const std::lock_guard lock(mutex_);
  return current_->root.below;
}

std::size_t MountView::remembered_leaves() const {
  const std::lock_guard lock(mutex_);
  return leaves_.size();
}

// Lets go of leaves that nobody holds: those of earlier versions, or, when there are many, all.
void MountView::sweep() {
  const bool all = leaves_.size() >= sweep_at_;
  std::erase_if(leaves_, [&](const auto& item) {
    const Leaf& leaf = item.second;
    if (leaf.held != 0 || (!all && leaf.version == current_)) return false;
    leaf_numbers_.erase({leaf.directory, leaf.id});
    return true;
  });
  sweep_at_ = std::max(kept_leaves, 2 * leaves_.size());
}

MountView::Tree MountView::load(const MountedVersion& version, const Digest& id) {
  if (version.made && id == version.root.tree) return version.made;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(trees_.begin(), trees_.end(),
                                    [&](const auto& tree) { return tree.first == id; });
    if (found != trees_.end()) {
      trees_.splice(trees_.begin(), trees_, found);
      return found->second;
    }
  }
  auto tree = std::make_shared<const TreeNode>(decode_tree(*objects_.get(id)));
  const std::lock_guard lock(mutex_);
  trees_.emplace_front(id, tree);
  if (trees_.size() > kept_trees) trees_.pop_back();
  return tree;
}

NodeNumber MountView::number(const std::shared_ptr<MountedVersion>& version, NodeNumber directory,
                             const Digest& leaf, std::size_t index, bool hold) {
  const std::lock_guard lock(mutex_);
  const auto [place, added] = leaf_numbers_.try_emplace({directory, leaf}, next_leaf_);
  if (added) {
    if (leaves_.size() >= sweep_at_) sweep();
    leaves_[next_leaf_++] = {leaf, directory, version, 0};
  }
  const std::uint64_t number = place->second;
  Leaf& held = leaves_[number];
  if (version == current_) held.version = version; // it may have come with an earlier one
  if (hold) ++held.held;
  return number << index_bits | index;
}

NodeAttributes MountView::attributes_of(NodeNumber node, const Entry& entry,
                                        const MountedVersion& version) {
  const std::uint64_t size = entry.is_file()                    ? entry.content.size
                             : entry.type == EntryType::symlink ? entry.target.size()
                                                                : 0;
  return {node, entry.type, size, version.time};
}

MountView::Found MountView::find(NodeNumber node) {
  std::shared_ptr<MountedVersion> version;
  Digest id;
  {
    const std::lock_guard lock(mutex_);
    const auto leaf = leaves_.find(node >> index_bits);
    if (leaf == leaves_.end()) unknown();
    version = leaf->second.version;
    id = leaf->second.id;
  }
  Tree tree = load(*version, id);
  const auto index = static_cast<std::size_t>(node & ((1u << index_bits) - 1));
  if (tree->level != 0 || index >= tree->entries.size()) unknown();
  const Entry* entry = &tree->entries[index];
  return {std::move(tree), entry, std::move(version)};
}

MountView::Found MountView::find_directory(NodeNumber node) {
  if (node == root_node) {
    const std::lock_guard lock(mutex_);
    return {nullptr, &current_->root, current_};
  }
  Found found = find(node);
  if (found.entry->type != EntryType::directory) unknown();
  return found;
}

NodeAttributes MountView::attributes(NodeNumber node) {
  const Found found = node == root_node ? find_directory(node) : find(node);
  return attributes_of(node, *found.entry, *found.version);
}

std::optional<NodeAttributes> MountView::look_up(NodeNumber directory, std::string_view name) {
  const Found found = find_directory(directory);
  Digest id = found.entry->tree;
  Tree tree = load(*found.version, id);
  while (tree->level > 0) {
    const auto after = std::upper_bound(
        tree->children.begin(), tree->children.end(), name,
        [](std::string_view wanted, const TreeChild& child) { return wanted < child.first_name; });
    if (after == tree->children.begin()) return std::nullopt;
    id = std::prev(after)->id;
    Tree next = load(*found.version, id);
    if (next->level + 1 != tree->level) damaged("a directory node is of another level");
    tree = std::move(next);
  }
  const auto entry =
      std::lower_bound(tree->entries.begin(), tree->entries.end(), name,
                       [](const Entry& e, std::string_view wanted) { return e.name < wanted; });
  if (entry == tree->entries.end() || entry->name != name) return std::nullopt;
  const auto index = static_cast<std::size_t>(entry - tree->entries.begin());
  return attributes_of(number(found.version, directory, id, index, true), *entry, *found.version);
}

void MountView::forget(NodeNumber node, std::uint64_t count) noexcept {
  const std::lock_guard lock(mutex_);
  const auto leaf = leaves_.find(node >> index_bits);
  if (leaf == leaves_.end()) return; // the root
  leaf->second.held -= std::min(count, leaf->second.held);
  if (leaf->second.held != 0 || leaf->second.version == current_) return;
  leaf_numbers_.erase({leaf->second.directory, leaf->second.id});
  leaves_.erase(leaf);
}

std::string MountView::link_target(NodeNumber node) {
  const Found found = find(node);
  if (found.entry->type != EntryType::symlink) unknown();
  return found.entry->target;
}

std::unique_ptr<MountedFile> MountView::open(NodeNumber node) {
  const Found found = find(node);
  if (!found.entry->is_file()) unknown();
  return std::make_unique<MountedFile>(objects_, *found.entry);
}

std::unique_ptr<MountedDirectory> MountView::open_directory(NodeNumber node) {
  const Found found = find_directory(node);
  std::unique_ptr<MountedDirectory> directory(new MountedDirectory(*this, node, found.version));
  // Inner nodes only, with a stack of what is left of each: the leaves are read when they are
  // reached.
  struct Inner {
    Tree tree;
    std::size_t next = 0;
  };
  std::vector<Inner> stack;
  const auto enter = [&](const Digest& id, const Totals& claimed, const std::string& first_name,
                         std::optional<std::uint8_t> level) {
    if (level == std::uint8_t{0}) {
      directory->leaves_.push_back({id, first_name, claimed});
      return;
    }
    Tree tree = load(*found.version, id);
    if (level && tree->level != *level) damaged("a directory node is of another level");
    if (tree->level == 0) {
      directory->leaves_.push_back({id, first_name, claimed});
      return;
    }
    if (level && tree->children.front().first_name != first_name)
      damaged("a directory node begins with another name");
    Totals seen;
    for (const TreeChild& child : tree->children)
      seen += child.below;
    if (seen != claimed) damaged("a directory holds other than it claims");
    stack.push_back({std::move(tree), 0});
  };
  enter(found.entry->tree, found.entry->below, {}, std::nullopt);
  while (!stack.empty()) {
    Inner& top = stack.back();
    if (top.next == top.tree->children.size()) {
      stack.pop_back();
      continue;
    }
    const Tree tree = top.tree; // `top` may move
    const TreeChild& child = tree->children[top.next++];
    enter(child.id, child.below, child.first_name, static_cast<std::uint8_t>(tree->level - 1));
  }
  directory->starts_.push_back(0);
  return directory;
}

} // namespace mlp::data
