// Builds manifests in one pass with little memory. Long lists and large directories are cut into
// nodes where the content says so, by the rule in docs/formats.md, so that an edit changes a few
// nodes and not all after it.
#pragma once

#include "core/data/manifest.hpp"
#include "core/data/store.hpp"

#include <memory>
#include <vector>

namespace mlp::data {

// Takes a file's chunks in order. Not thread-safe; `sink` outlives it.
class ContentBuilder {
 public:
  explicit ContentBuilder(ObjectSink& sink) : sink_(sink) {}
  void add(const Ref& chunk) { add_at(0, chunk); }
  // Stores what is left of the list's nodes and gives the content. Called once.
  [[nodiscard]] Content finish();

 private:
  // levels_[n] collects refs of level n (0: chunks) for a node of level n + 1.
  struct Level {
    std::vector<Ref> refs;
    bool cut = false; // a node was made of it already
  };
  void add_at(std::size_t level, const Ref& ref);
  void make_node(std::size_t level);

  ObjectSink& sink_;
  std::vector<Level> levels_;
  std::uint64_t size_ = 0;
};

// Takes a directory's entries in byte order of their names. Not thread-safe.
class TreeBuilder {
 public:
  explicit TreeBuilder(ObjectSink& sink) : sink_(sink) {}
  void add(Entry entry);
  // The directory's entry, without a name. Called once.
  [[nodiscard]] Entry finish();

 private:
  struct Level {
    TreeNode node;
    Totals below;
    std::size_t bytes = 0;
    bool cut = false;
  };
  void add_child(std::size_t level, TreeChild child);
  TreeChild make_node(std::size_t level);

  ObjectSink& sink_;
  std::vector<Level> levels_;
};

// Whether a node ends after an item: `count` items and `bytes` encoded bytes are in it, and `hash`
// are 32 well-mixed bytes of the last item. Part of the format.
[[nodiscard]] bool node_ends(std::size_t count, std::size_t bytes, const Digest& hash) noexcept;

} // namespace mlp::data
