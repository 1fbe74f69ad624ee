// The walk goes down only where a pattern has not decided yet.
#include "core/data/select.hpp"

#include "core/base/error.hpp"
#include "core/data/manifest_builder.hpp"
#include "core/data/manifest_reader.hpp"

namespace mlp::data {

namespace {

class Selecting {
 public:
  Selecting(ObjectSource& source, ObjectSink& sink) : source_(source), sink_(sink) {}

  // What of a directory is selected, without a name. `rules` has been told of it.
  Entry select(const Entry& directory, IgnoreRules& rules, std::size_t depth) {
    if (depth > max_directory_depth)
      throw Error(ErrorKind::integrity, "directories are nested too deep");
    TreeBuilder builder(sink_);
    DirectoryReader reader(source_, directory);
    while (auto entry = reader.next()) {
      const bool folder = entry->type == EntryType::directory;
      if (rules.ignores(entry->name, folder)) { // the rules are turned round: it is selected
        builder.add(*std::move(entry));
        any_ = true;
      } else if (folder) {
        rules.enter(entry->name, {});
        const bool before = std::exchange(any_, false);
        Entry part = select(*entry, rules, depth + 1);
        rules.leave();
        part.name = entry->name;
        if (any_) builder.add(std::move(part));
        any_ = any_ || before;
      }
    }
    return builder.finish();
  }
  [[nodiscard]] bool any() const { return any_; }

 private:
  ObjectSource& source_;
  ObjectSink& sink_;
  bool any_ = false;
};

} // namespace

Digest select_files(ObjectSource& source, const Entry& root, const std::vector<IgnorePattern>& only,
                    ObjectSink& sink) {
  if (root.type != EntryType::directory)
    throw Error(ErrorKind::usage, "the dataset is one file: there is no part to choose");
  Selecting selecting(source, sink);
  IgnoreRules rules;
  rules.enter("", only);
  const Entry part = selecting.select(root, rules, 0);
  if (!selecting.any())
    throw Error(ErrorKind::not_found, "no file of that version matches")
        .with_hint("mlp data ls NAME@VERSION lists its files");
  return sink.put(PackKind::meta, encode_manifest(part));
}

} // namespace mlp::data
