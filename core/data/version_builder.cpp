// A tree builder for each folder that is open.
#include "core/data/version_builder.hpp"

namespace mlp::data {

void VersionBuilder::enter(const std::string& name) {
  names_.push_back(name);
  builders_.emplace_back(sink_);
}

void VersionBuilder::leave() {
  Entry directory = builders_.back().finish();
  builders_.pop_back();
  directory.name = std::move(names_.back());
  names_.pop_back();
  builders_.back().add(std::move(directory));
}

void VersionBuilder::entry(const Entry& entry) {
  if (entry.name.empty())
    single_ = entry;
  else
    builders_.back().add(entry);
}

std::pair<Digest, Totals> VersionBuilder::finish() {
  const Entry root = single_ ? *std::move(single_) : builders_.back().finish();
  return {sink_.put(PackKind::meta, encode_manifest(root)), version_totals(root)};
}

std::pair<Digest, Totals> store_version(ObjectStore& store, const fs::path& root,
                                        ScanOptions options) {
  store.prepare(options.stop);
  options.token = store.token();
  options.records = true;
  VersionBuilder build(store);
  std::pair<Digest, Totals> version;
  (void)scan(root, store, build, options, [&] {
    version = build.finish();
    store.flush();
  });
  return version;
}

} // namespace mlp::data
