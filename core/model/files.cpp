// A scan into a tree, and a checkout out of it.
#include "core/model/files.hpp"

#include "core/base/error.hpp"
#include "core/data/checkout.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/data/version_builder.hpp"

#include <fmt/format.h>

#include <string>

namespace mlp::model {

namespace {

// A model is made of files and folders; one file is a folder that holds it.
class ModelBuilder final : public data::VersionBuilder {
 public:
  ModelBuilder(data::ObjectSink& sink, const fs::path& root) : VersionBuilder(sink), root_(root) {}

  void entry(const data::Entry& entry) override {
    if (entry.type == data::EntryType::symlink)
      throw Error(ErrorKind::usage,
                  fmt::format("'{}' holds a symbolic link, '{}'", root_.native(), entry.name))
          .with_hint("a model is made of files and folders");
    data::Entry named = entry;
    if (named.name.empty()) named.name = root_.filename().native();
    VersionBuilder::entry(named);
  }

 private:
  fs::path root_;
};

} // namespace

StoredFiles store_files(data::ObjectStore& store, const fs::path& files) {
  ModelBuilder visitor(store, files);
  const data::ScanStats stats = data::scan(files, store, visitor, {});
  if (stats.files == 0)
    throw Error(ErrorKind::usage, fmt::format("there is no file in '{}'", files.native()));
  const Digest digest = visitor.finish().first;
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
