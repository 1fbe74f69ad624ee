// Both versions' entries are in byte order of their names: a merge, folder by folder.
#include "core/data/diff.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"

#include <algorithm>
#include <map>

namespace mlp::data {

namespace {

constexpr std::size_t most_candidates = 200000;

bool same(const Entry& a, const Entry& b) {
  return a.type == b.type && a.content == b.content && a.target == b.target && a.tree == b.tree &&
         a.below == b.below;
}

std::uint64_t size_of(const Entry& entry) {
  return entry.is_file() ? entry.content.size : 0;
}

// Of a file's type and content; equal files have equal digests.
Digest identity(const Entry& entry) {
  Bytes bytes;
  ByteWriter out(bytes);
  Entry unnamed = entry;
  unnamed.name.assign(1, '-');
  encode_entry(unnamed, out);
  return sha256(bytes);
}

class Differ {
 public:
  Differ(ObjectSource& before, ObjectSource& after, const std::stop_token& stop)
      : before_(before), after_(after), stop_(stop) {}

  void compare(const Entry& before, const Entry& after, const std::string& path,
               std::size_t depth = 0) {
    throw_if_stopped(stop_);
    if (same(before, after)) return;
    if (depth >= max_directory_depth)
      throw Error(ErrorKind::integrity, "damaged manifest: its directories are nested too deeply");
    const bool was_folder = before.type == EntryType::directory;
    const bool is_folder = after.type == EntryType::directory;
    if (was_folder && is_folder) {
      merge(before, after, path, depth + 1);
    } else if (was_folder || is_folder) {
      removed(before, path);
      added(after, path);
    } else {
      found_.push_back({ChangeKind::modified, path, size_of(before), size_of(after)});
    }
  }

  Difference finish(std::size_t limit) {
    pair_renamed();
    Difference difference;
    for (const Change& change : found_) {
      switch (change.kind) {
      case ChangeKind::added:
        ++difference.added;
        difference.added_bytes += change.new_size;
        break;
      case ChangeKind::removed:
        ++difference.removed;
        difference.removed_bytes += change.old_size;
        break;
      case ChangeKind::modified:
        ++difference.modified;
        difference.added_bytes += change.new_size;
        difference.removed_bytes += change.old_size;
        break;
      case ChangeKind::renamed:
        ++difference.renamed;
        break;
      }
    }
    std::ranges::sort(found_, {}, &Change::path);
    found_.resize(std::min(limit, found_.size()));
    difference.changes = std::move(found_);
    return difference;
  }

 private:
  void merge(const Entry& before, const Entry& after, const std::string& path, std::size_t depth) {
    DirectoryReader old_reader(before_, before);
    DirectoryReader new_reader(after_, after);
    auto old_entry = old_reader.next();
    auto new_entry = new_reader.next();
    while (old_entry || new_entry) {
      const int order = !old_entry ? 1 : !new_entry ? -1 : old_entry->name.compare(new_entry->name);
      if (order < 0)
        removed(*old_entry, join(path, old_entry->name));
      else if (order > 0)
        added(*new_entry, join(path, new_entry->name));
      else
        compare(*old_entry, *new_entry, join(path, old_entry->name), depth);
      if (order <= 0) old_entry = old_reader.next();
      if (order >= 0) new_entry = new_reader.next();
    }
  }

  void removed(const Entry& entry, const std::string& path) { each(before_, entry, path, gone_); }
  void added(const Entry& entry, const std::string& path) { each(after_, entry, path, come_); }

  struct Candidate {
    Digest identity;
    std::string path;
    std::uint64_t size = 0;
  };

  // Notes an entry and, of a folder, the files below; a folder without files is noted itself.
  void each(ObjectSource& source, const Entry& entry, const std::string& path,
            std::vector<Candidate>& into) {
    for_each_entry(source, entry, [&](const std::string& below, const Entry& file) {
      throw_if_stopped(stop_);
      const std::string full = below.empty() ? path : join(path, below);
      if (file.type == EntryType::directory) {
        if (file.below == Totals{}) note(into, {Digest{}, full + "/", 0});
      } else {
        note(into, {identity(file), full, size_of(file)});
      }
      return true;
    });
    if (entry.type == EntryType::directory && entry.below == Totals{})
      note(into, {Digest{}, path + "/", 0});
  }
  void note(std::vector<Candidate>& into, Candidate candidate) {
    if (into.size() < most_candidates)
      into.push_back(std::move(candidate));
    else
      change(&into == &gone_, std::move(candidate));
  }
  void change(bool gone, Candidate candidate) {
    if (gone)
      found_.push_back({ChangeKind::removed, std::move(candidate.path), candidate.size, 0});
    else
      found_.push_back({ChangeKind::added, std::move(candidate.path), 0, candidate.size});
  }

  void pair_renamed() {
    std::multimap<Digest, Candidate*> gone;
    for (Candidate& candidate : gone_)
      if (candidate.identity != Digest{}) gone.emplace(candidate.identity, &candidate);
    for (Candidate& candidate : come_) {
      const auto match =
          candidate.identity == Digest{} ? gone.end() : gone.find(candidate.identity);
      if (match == gone.end()) {
        change(false, std::move(candidate));
        continue;
      }
      found_.push_back({ChangeKind::renamed, candidate.path, candidate.size, candidate.size,
                        match->second->path});
      match->second->path.clear();
      gone.erase(match);
    }
    for (Candidate& candidate : gone_)
      if (!candidate.path.empty()) change(true, std::move(candidate));
  }

  static std::string join(const std::string& folder, const std::string& name) {
    return folder.empty() ? name : folder + "/" + name;
  }

  ObjectSource& before_;
  ObjectSource& after_;
  const std::stop_token& stop_;
  std::vector<Change> found_;
  std::vector<Candidate> gone_, come_;
};

} // namespace

Difference diff_versions(ObjectSource& before_source, const Entry& before,
                         ObjectSource& after_source, const Entry& after, std::size_t limit,
                         const std::stop_token& stop) {
  Differ differ(before_source, after_source, stop);
  differ.compare(before, after, "");
  return differ.finish(limit);
}

} // namespace mlp::data
