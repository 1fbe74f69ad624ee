// A list by path in the image, which is then written in its order.
#include "core/image/file_layers.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <chrono>

namespace mlp::image {

namespace {

using Kind = TarEntry::Kind;

// A file that was written to this short a time ago may be so again under the same stamp.
constexpr std::int64_t stamp_grain = 50'000'000; // ns
constexpr std::size_t most_entries = 10'000'000;

void place_node(Tree& tree, const TreeNode& node, const std::string& target,
                const Placement& placement, Placed& placed, const std::stop_token& stop) {
  throw_if_stopped(stop);
  if (placed.size() >= most_entries)
    throw Error(ErrorKind::failed, "more than 10,000,000 files for one layer");
  PlacedEntry out{node.entry, node.entry.path, node.stamp, node.changed};
  TarEntry& entry = out.entry;
  entry.path = target;
  if (entry.kind != Kind::file && entry.kind != Kind::folder && entry.kind != Kind::link) {
    if (placement.keep) return; // sockets and the like of a stage are no part of what it made
    throw Error(ErrorKind::failed,
                fmt::format("'{}' is neither file nor folder nor link", printable(node.entry.path)))
        .with_hint("name it in .mlpignore");
  }
  if (!placement.keep) {
    const bool opens = entry.kind != Kind::file || (entry.mode & 0100) != 0;
    entry.mode = opens ? 0755 : 0644;
    entry.uid = placement.uid;
    entry.gid = placement.gid;
  }
  if (entry.kind == Kind::link) entry.mode = 0777;
  if (placement.mode && entry.kind != Kind::link) entry.mode = *placement.mode;
  if (!target.empty()) placed.insert_or_assign(target, std::move(out));
  if (node.entry.kind != Kind::folder) return;
  for (const TreeNode& child : tree.list(node.entry.path)) {
    const std::size_t slash = child.entry.path.rfind('/');
    const std::string name =
        slash == std::string::npos ? child.entry.path : child.entry.path.substr(slash + 1);
    place_node(tree, child, target.empty() ? name : fmt::format("{}/{}", target, name), placement,
               placed, stop);
  }
}

} // namespace

void place(Tree& tree, const std::string& source, const std::string& target,
           const Placement& placement, Placed& placed, const std::stop_token& stop) {
  const std::optional<TreeNode> node = tree.find(source);
  if (!node)
    throw Error(ErrorKind::not_found,
                fmt::format("'{}' is not there, or is ignored", printable(source)));
  place_node(tree, *node, target, placement, placed, stop);
}

void place_folder(const std::string& target, const Placement& placement, Placed& placed) {
  if (target.empty()) return;
  PlacedEntry out;
  out.entry.kind = Kind::folder;
  out.entry.path = target;
  out.entry.mode = placement.mode.value_or(0755);
  out.entry.uid = placement.uid;
  out.entry.gid = placement.gid;
  placed.try_emplace(target, std::move(out));
}

std::string fingerprint(const Placed& placed) {
  const std::int64_t now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                               std::chrono::system_clock::now().time_since_epoch())
                               .count();
  Sha256 sum;
  for (const auto& [path, one] : placed) {
    // A file of an image does not change: its layer's name says what it is.
    if (one.entry.kind == Kind::file && one.changed > now - stamp_grain) return {};
    const TarEntry& entry = one.entry;
    // A folder's stamp changes with what is in it, of which some may be ignored.
    sum.update(fmt::format("{}:{} {} {:o} {} {} {}:{} {}\n", path.size(), path,
                           static_cast<int>(entry.kind), entry.mode, entry.uid, entry.gid,
                           entry.target.size(), entry.target,
                           entry.kind == Kind::file ? one.stamp : ""));
  }
  return sum.finish().hex();
}

Layer write_files_layer(Layout& layout, Tree& tree, const Placed& placed, std::int64_t time,
                        const std::stop_token& stop) {
  LayerWriter writer(layout);
  for (const auto& [path, one] : placed) {
    throw_if_stopped(stop);
    TarEntry entry = one.entry;
    entry.modified = time;
    entry.attributes.clear();
    if (entry.kind != Kind::file) {
      writer.tar().entry(entry);
      continue;
    }
    File file = tree.open(one.source);
    write_file_entry(writer.tar(), std::move(entry), file, stop);
  }
  return writer.finish();
}

} // namespace mlp::image
