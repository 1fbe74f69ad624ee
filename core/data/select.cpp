// The walk goes down only where a pattern has not decided yet.
#include "core/data/select.hpp"

#include "core/base/error.hpp"
#include "core/data/manifest_builder.hpp"
#include "core/data/manifest_reader.hpp"

#include <optional>

namespace mlp::data {

namespace {

// What of a directory is selected, without a name; nullopt if nothing is. `rules` has been told of
// it.
std::optional<Entry> select(ObjectSource& source, const Entry& directory, IgnoreRules& rules,
                            ObjectSink& sink, std::size_t depth) {
  if (depth > max_directory_depth)
    throw Error(ErrorKind::integrity, "directories are nested too deep");
  TreeBuilder builder(sink);
  DirectoryReader reader(source, directory);
  bool any = false;
  while (auto entry = reader.next()) {
    const bool folder = entry->type == EntryType::directory;
    std::optional<Entry> part;
    if (rules.ignores(entry->name, folder)) { // the rules are turned round: it is selected
      part = std::move(*entry);
    } else if (folder) {
      rules.enter(entry->name, {});
      part = select(source, *entry, rules, sink, depth + 1);
      rules.leave();
      if (part) part->name = std::move(entry->name);
    }
    if (!part) continue;
    builder.add(*std::move(part));
    any = true;
  }
  if (!any) return std::nullopt;
  return builder.finish();
}

} // namespace

Digest select_files(ObjectSource& source, const Entry& root, const std::vector<IgnorePattern>& only,
                    ObjectSink& sink) {
  if (root.type != EntryType::directory)
    throw Error(ErrorKind::usage, "the dataset is one file: there is no part to choose");
  IgnoreRules rules;
  rules.enter("", only);
  const auto part = select(source, root, rules, sink, 0);
  if (!part)
    throw Error(ErrorKind::not_found, "no file of that version matches")
        .with_hint("mlp data ls NAME@VERSION lists its files");
  return sink.put(PackKind::meta, encode_manifest(*part));
}

} // namespace mlp::data
