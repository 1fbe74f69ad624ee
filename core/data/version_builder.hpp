// Makes a version of what a scan walks over, and the shortest way to have a folder as a version.
#pragma once

#include "core/data/manifest_builder.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/data/scan.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mlp::data {

// Feed it to scan(), then call finish(). `sink` outlives it.
class VersionBuilder : public ScanVisitor {
 public:
  explicit VersionBuilder(ObjectSink& sink) : sink_(sink) { builders_.emplace_back(sink); }

  void enter(const std::string& name) override;
  void entry(const Entry& entry) override;
  void leave() override;
  // Stores the manifest; the version, and what it holds. Called once.
  std::pair<Digest, Totals> finish();

 private:
  ObjectSink& sink_;
  std::vector<TreeBuilder> builders_;
  std::vector<std::string> names_;
  std::optional<Entry> single_; // of a version that is one file
};

// Stores a file or folder as a version: durable when it returns. Blocks; throws what scan() and the
// store throw. As long as the store lives, no collection of garbage takes the objects.
std::pair<Digest, Totals> store_version(ObjectStore& store, const fs::path& root,
                                        ScanOptions options = {});

} // namespace mlp::data
