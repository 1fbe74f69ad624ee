// What differs between the files of a dataset and a version of it, found in one pass over both.
// Renames are found between versions only, see diff.hpp.
#pragma once

#include "core/data/manifest_reader.hpp"
#include "core/data/scan.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace mlp::data {

enum class ChangeKind { added, removed, modified, renamed };

struct Change {
  ChangeKind kind = ChangeKind::modified;
  std::string path; // below the root; folders end in '/'; "" for a dataset that is one file
  std::uint64_t old_size = 0;
  std::uint64_t new_size = 0;
  std::string old_path = {}; // renamed
};
// "added", "removed", ...
[[nodiscard]] std::string_view change_word(ChangeKind kind) noexcept;

// Feed it to scan(), then call finish(). Changes come in the order of the manifest, each once.
class CompareVisitor final : public ScanVisitor {
 public:
  CompareVisitor(ObjectSource& source, Entry root, std::function<void(const Change&)> report);
  ~CompareVisitor() override;
  void enter(const std::string& name) override;
  void entry(const Entry& entry) override;
  void leave() override;
  void finish();

 private:
  // A directory of the version; without a reader, one that the version does not have.
  struct Frame {
    std::optional<DirectoryReader> reader;
    std::optional<Entry> next;
    std::size_t path_length = 0;
    void advance();
  };
  // The version's entry of this name, after reporting those before it as removed.
  std::optional<Entry> match(const std::string& name);
  void removed(const Entry& entry);
  [[nodiscard]] std::string path_of(const std::string& name) const;

  ObjectSource& source_;
  std::function<void(const Change&)> report_;
  std::vector<Frame> frames_;
  std::string path_;
};

} // namespace mlp::data
