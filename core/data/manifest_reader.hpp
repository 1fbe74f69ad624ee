// Reads manifests as streams, with memory for a path of nodes, and checks what no node can say of
// itself: that levels descend, that names ascend over the nodes, and that totals and sizes add up.
// A tree that claims more than it holds, or holds more than it claims, ends in Error(integrity).
#pragma once

#include "core/data/manifest.hpp"
#include "core/data/store.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::data {

// The root entry of the version `digest`. Throws Error: not_found, integrity. `source` may be any;
// see ObjectSource for its errors, which all functions here pass on.
[[nodiscard]] Entry read_manifest(ObjectSource& source, const Digest& digest);

// The refs of a list node, which must be of this level and cover ref.size bytes. Throws as above.
[[nodiscard]] std::vector<Ref> read_list_node(ObjectSource& source, const Ref& ref,
                                              std::uint8_t level);

// The entries of a directory, in byte order of their names.
class DirectoryReader {
 public:
  DirectoryReader(ObjectSource& source, const Entry& directory);
  [[nodiscard]] std::optional<Entry> next();

 private:
  struct Frame {
    TreeNode node;
    std::size_t position = 0;
    Totals claimed, seen;
  };
  void push(const Digest& id, const Totals& claimed, std::optional<std::uint8_t> level,
            const std::string& first_name);
  ObjectSource& source_;
  std::vector<Frame> frames_;
  std::string last_name_;
  bool any_ = false;
};

// The chunks of a file, in order.
class ContentReader {
 public:
  ContentReader(ObjectSource& source, const Content& content);
  [[nodiscard]] std::optional<Ref> next();

 private:
  struct Frame {
    std::vector<Ref> refs;
    std::size_t position = 0;
    std::uint8_t level = 0;
  };
  ObjectSource& source_;
  std::vector<Frame> frames_;
};

// Calls `visit` for every entry below `root` (and for a root that is a file, with the path ""),
// directories before their content. Paths have '/' between names. `visit` may return false to pass
// over a directory. Refuses directories deeper than max_directory_depth.
void for_each_entry(ObjectSource& source, const Entry& root,
                    const std::function<bool(const std::string& path, const Entry& entry)>& visit);

// The entry at a path of names with '/' between them; "" is `root` itself. nullopt if there is
// none.
[[nodiscard]] std::optional<Entry> find_entry(ObjectSource& source, const Entry& root,
                                              std::string_view path);

// Told of every object that a version needs.
class ObjectVisitor {
 public:
  virtual ~ObjectVisitor() = default;
  // Before a node is read; false passes over it and all below.
  virtual bool enter(const Digest& node) = 0;
  virtual void chunk(const Ref& ref) = 0;
  // After all below it.
  virtual void leave(const Digest& node) = 0;
};
// The manifest itself is the first node entered and the last left.
void walk_objects(ObjectSource& source, const Digest& manifest, ObjectVisitor& visitor);

// The totals of a version, its root counted: what mlp.lock and `ls` show.
[[nodiscard]] Totals version_totals(const Entry& root);

} // namespace mlp::data
