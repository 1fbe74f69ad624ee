// A version of a dataset as a read-only file system sees it: nodes with numbers, names, attributes,
// bytes. It knows nothing of FUSE, so it can be tested without.
//
// A node's number is the place of its entry: the leaf of the directory tree that holds it, and its
// index there. So no table grows with the files that were looked at; only leaves are remembered,
// some hundred entries each. The version can be exchanged while the view is used: numbers of the
// old one stay valid as long as the kernel holds one of their leaf.
#pragma once

#include "core/base/time.hpp"
#include "core/data/chunk_fetcher.hpp"
#include "core/data/content_map.hpp"

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mlp::data {

using NodeNumber = std::uint64_t;
inline constexpr NodeNumber root_node = 1;

struct NodeAttributes {
  NodeNumber node = 0;
  EntryType type = EntryType::directory;
  std::uint64_t size = 0; // of a file; of a link's target
  WallTime time;          // of the version
};

struct MountedVersion; // one version that is, or was, shown

// An open file: keeps its version, whatever is mounted meanwhile. Thread-safe.
class MountedFile {
 public:
  MountedFile(ChunkFetcher& objects, const Entry& file);
  ~MountedFile();

  [[nodiscard]] const std::string& name() const { return name_; } // in its folder

  // A part of a chunk, kept alive by its owner.
  struct Piece {
    ChunkFetcher::Chunk owner;
    ByteSpan bytes;
  };
  // The bytes of [offset, offset + size), fewer only at the end of the file. Blocks; throws Error.
  // Reading on from where the last read ended fetches ahead, more and more, up to 32 MiB.
  [[nodiscard]] std::vector<Piece> read(std::uint64_t offset, std::uint64_t size);

 private:
  void read_ahead(std::uint64_t end);

  ChunkFetcher& objects_;
  const std::string name_;
  std::mutex mutex_;
  ContentMap map_;
  std::uint64_t next_ = 0;   // where a sequential read goes on
  std::uint64_t window_ = 0; // how far to read ahead; 0: not sequential
  std::uint64_t ahead_until_ = 0;
  bool joined_ = false; // counts among those who read ahead
};

class MountView;

// An open directory, likewise. One thread at a time.
class MountedDirectory {
 public:
  struct Item {
    std::string name;
    NodeAttributes attributes;
  };
  // The entry at a position, from 0; nullopt at the end. Blocks; throws Error. Cheap for the
  // position after the last one that was asked for. With `hold` its node counts as looked up.
  [[nodiscard]] std::optional<Item> at(std::uint64_t position, bool hold = false);

 private:
  friend class MountView;
  struct Leaf {
    Digest id;
    std::string first_name;
    Totals claimed;
  };
  MountedDirectory(MountView& view, NodeNumber node, std::shared_ptr<MountedVersion> version)
      : view_(view), node_(node), version_(std::move(version)) {}
  MountView& view_;
  NodeNumber node_;
  std::shared_ptr<MountedVersion> version_;
  std::vector<Leaf> leaves_;
  std::vector<std::uint64_t> starts_; // the position of each leaf that was reached
};

// Thread-safe. Methods that read objects block and throw Error (see ChunkFetcher); conflict for a
// number that is not, or no longer, known.
class MountView {
 public:
  // `objects` outlives it. `file_name` is what a dataset of one file is called in the root folder.
  MountView(ChunkFetcher& objects, std::string file_name);
  ~MountView();

  // Shows this version from now on, in one step. Reads its manifest.
  void show(const Digest& version, WallTime time);
  [[nodiscard]] Digest version() const;
  [[nodiscard]] Totals totals() const;

  [[nodiscard]] NodeAttributes attributes(NodeNumber node);
  // nullopt if there is no such name. The node counts as held once more: see forget().
  [[nodiscard]] std::optional<NodeAttributes> look_up(NodeNumber directory, std::string_view name);
  // The kernel holds the node `count` times less.
  void forget(NodeNumber node, std::uint64_t count) noexcept;

  [[nodiscard]] std::string link_target(NodeNumber node);
  [[nodiscard]] std::unique_ptr<MountedFile> open(NodeNumber node);
  [[nodiscard]] std::unique_ptr<MountedDirectory> open_directory(NodeNumber node);

  // How many leaves are remembered: for tests of what forget() lets go.
  [[nodiscard]] std::size_t remembered_leaves() const;

 private:
  friend class MountedDirectory;
  struct Leaf {
    Digest id;
    NodeNumber directory = 0;
    std::shared_ptr<MountedVersion> version;
    std::uint64_t held = 0;
  };
  struct Found {
    std::shared_ptr<const TreeNode> node;
    const Entry* entry = nullptr;
    std::shared_ptr<MountedVersion> version;
  };
  using Tree = std::shared_ptr<const TreeNode>;

  [[nodiscard]] Tree load(const MountedVersion& version, const Digest& id);
  [[nodiscard]] Found find(NodeNumber node);
  // The directory's own entry and its version.
  [[nodiscard]] Found find_directory(NodeNumber node);
  [[nodiscard]] NodeNumber number(const std::shared_ptr<MountedVersion>& version,
                                  NodeNumber directory, const Digest& leaf, std::size_t index,
                                  bool hold);
  [[nodiscard]] static NodeAttributes attributes_of(NodeNumber node, const Entry& entry,
                                                    const MountedVersion& version);
  void sweep(); // with mutex_ held

  ChunkFetcher& objects_;
  std::string file_name_;

  mutable std::mutex mutex_; // over all below
  std::shared_ptr<MountedVersion> current_;
  std::uint64_t next_leaf_ = 1;
  std::size_t sweep_at_;
  std::unordered_map<std::uint64_t, Leaf> leaves_;
  std::map<std::pair<NodeNumber, Digest>, std::uint64_t> leaf_numbers_;
  std::list<std::pair<Digest, Tree>> trees_; // decoded nodes, most recently used first
};

} // namespace mlp::data
