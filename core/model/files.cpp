// A scan into a tree, and a checkout out of it.
#include "core/model/files.hpp"

#include "core/base/error.hpp"
#include "core/data/checkout.hpp"
#include "core/data/manifest_builder.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/data/scan.hpp"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace mlp::model {

namespace {

// Builds the tree of what a scan walks over. The scan enters folders below its root; the root
// itself is given by its entries, or is one entry without a name if it is a file.
class TreeVisitor final : public data::ScanVisitor {
 public:
  TreeVisitor(data::ObjectSink& sink, const fs::path& root) : sink_(sink), root_(root) {
    enter("");
  }

  void enter(const std::string& name) override {
    open_.push_back({name, data::TreeBuilder(sink_)});
  }
  void entry(const data::Entry& entry) override {
    if (entry.type == data::EntryType::symlink)
      throw Error(ErrorKind::usage,
                  fmt::format("'{}' holds a symbolic link, '{}'", root_.native(), entry.name))
          .with_hint("a model is made of files and folders");
    data::Entry named = entry;
    if (named.name.empty()) named.name = root_.filename().native();
    open_.back().tree.add(std::move(named));
  }
  void leave() override {
    data::Entry done = open_.back().tree.finish();
    done.name = open_.back().name;
    open_.pop_back();
    open_.back().tree.add(std::move(done));
  }
  [[nodiscard]] data::Entry finish() { return open_.back().tree.finish(); }

 private:
  struct Open {
    std::string name;
    data::TreeBuilder tree;
  };
  data::ObjectSink& sink_;
  fs::path root_;
  std::vector<Open> open_;
};

} // namespace

StoredFiles store_files(data::ObjectStore& store, const fs::path& files) {
  TreeVisitor visitor(store, files);
  const data::ScanStats stats = data::scan(files, store, visitor, {});
  if (stats.files == 0)
    throw Error(ErrorKind::usage, fmt::format("there is no file in '{}'", files.native()));
  const Digest digest = store.put(data::PackKind::meta, data::encode_manifest(visitor.finish()));
  store.flush();
  return {digest, stats.files, stats.bytes};
}

void restore_files(const fs::path& objects, const Digest& digest, const fs::path& target,
                   bool force, Progress& progress) {
  data::ObjectStore store(objects);
  const data::Entry root = data::read_manifest(store, digest);
  // What was restored is not looked at again: its stat cache is of no further use.
  const TemporaryDirectory scratch("mlp-restore-");
  data::CheckoutOptions options;
  options.cache = scratch.path() / "cache";
  options.force = force;
  options.progress = &progress;
  data::checkout(fs::absolute(target), root, store, options);
}

} // namespace mlp::model
