// A merge of two ordered streams, one stack of directories.
#include "core/data/compare.hpp"

#include <utility>

namespace mlp::data {

std::string_view change_word(ChangeKind kind) noexcept {
  switch (kind) {
  case ChangeKind::added:
    return "added";
  case ChangeKind::removed:
    return "removed";
  case ChangeKind::modified:
    return "modified";
  case ChangeKind::renamed:
    return "renamed";
  }
  return "modified";
}

CompareVisitor::CompareVisitor(ObjectSource& source, Entry root,
                               std::function<void(const Change&)> report)
    : source_(source), report_(std::move(report)) {
  Frame frame;
  if (root.type == EntryType::directory) {
    frame.reader.emplace(source_, root);
    frame.advance();
  } else {
    frame.next = std::move(root);
  }
  frames_.push_back(std::move(frame));
}

CompareVisitor::~CompareVisitor() = default;

void CompareVisitor::Frame::advance() {
  next = reader ? reader->next() : std::nullopt;
}

std::string CompareVisitor::path_of(const std::string& name) const {
  return path_.empty() ? name : path_ + "/" + name;
}

void CompareVisitor::removed(const Entry& entry) {
  const std::string path = path_of(entry.name);
  if (entry.type != EntryType::directory) {
    report_({ChangeKind::removed, path, entry.content.size, 0});
    return;
  }
  report_({ChangeKind::removed, path + "/", 0, 0});
  for_each_entry(source_, entry, [&](const std::string& below, const Entry& child) {
    const bool folder = child.type == EntryType::directory;
    report_({ChangeKind::removed, path + "/" + below + (folder ? "/" : ""), child.content.size, 0});
    return true;
  });
}

std::optional<Entry> CompareVisitor::match(const std::string& name) {
  while (true) {
    Frame& frame = frames_.back();
    if (!frame.next || name < frame.next->name) return std::nullopt;
    Entry entry = *std::exchange(frame.next, std::nullopt);
    frame.advance();
    if (entry.name == name) return entry;
    removed(entry);
  }
}

void CompareVisitor::enter(const std::string& name) {
  auto old = match(name);
  Frame frame;
  frame.path_length = path_.size();
  if (old && old->type == EntryType::directory) {
    frame.reader.emplace(source_, *old);
    frame.advance();
  } else {
    if (old) removed(*old);
    report_({ChangeKind::added, path_of(name) + "/", 0, 0});
  }
  path_ = path_of(name);
  frames_.push_back(std::move(frame));
}

void CompareVisitor::entry(const Entry& entry) {
  const auto old = match(entry.name);
  if (!old) {
    report_({ChangeKind::added, path_of(entry.name), 0, entry.content.size});
  } else if (old->type == EntryType::directory) {
    removed(*old);
    report_({ChangeKind::added, path_of(entry.name), 0, entry.content.size});
  } else if (old->type != entry.type || old->content != entry.content ||
             old->target != entry.target) {
    report_({ChangeKind::modified, path_of(entry.name), old->content.size, entry.content.size});
  }
}

void CompareVisitor::leave() {
  while (frames_.back().next) {
    const Entry entry = *std::exchange(frames_.back().next, std::nullopt);
    frames_.back().advance();
    removed(entry);
  }
  path_.resize(frames_.back().path_length);
  frames_.pop_back();
}

void CompareVisitor::finish() {
  leave();
}

} // namespace mlp::data
