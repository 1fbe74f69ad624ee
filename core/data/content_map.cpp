// A stack of frames, one a level; a seek pops to the lowest that holds the offset and descends.
#include "core/data/content_map.hpp"

#include "core/base/error.hpp"
#include "core/data/manifest_reader.hpp"

#include <algorithm>

namespace mlp::data {

ContentMap::ContentMap(ObjectSource& nodes, const Content& content)
    : nodes_(nodes), size_(content.size) {
  frames_.push_back(frame(content.refs, content.level, 0));
}

ContentMap::Frame ContentMap::frame(std::vector<Ref> refs, std::uint8_t level,
                                    std::uint64_t begin) {
  Frame made{std::move(refs), {}, begin, level};
  made.ends.reserve(made.refs.size());
  for (const Ref& ref : made.refs)
    made.ends.push_back(begin += ref.size);
  return made;
}

std::size_t ContentMap::seek(std::uint64_t offset) {
  while (frames_.size() > 1 &&
         (offset < frames_.back().begin || offset >= frames_.back().ends.back()))
    frames_.pop_back();
  for (;;) {
    const Frame& top = frames_.back();
    const auto end = std::upper_bound(top.ends.begin(), top.ends.end(), offset);
    if (end == top.ends.end())
      throw Error(ErrorKind::integrity, "damaged manifest: the sizes of a list do not add up");
    const auto index = static_cast<std::size_t>(end - top.ends.begin());
    if (top.level == 0) return index;
    const Ref& ref = top.refs[index];
    frames_.push_back(frame(read_list_node(nodes_, ref, top.level),
                            static_cast<std::uint8_t>(top.level - 1), *end - ref.size));
  }
}

std::vector<PlacedChunk> ContentMap::chunks(std::uint64_t offset, std::uint64_t size) {
  std::vector<PlacedChunk> found;
  if (offset >= size_) return found;
  const std::uint64_t end = offset + std::min(size, size_ - offset);
  while (offset < end) {
    const std::size_t first = seek(offset);
    const Frame& top = frames_.back();
    for (std::size_t i = first; i < top.refs.size() && offset < end; ++i) {
      found.push_back({top.refs[i], top.ends[i] - top.refs[i].size});
      offset = top.ends[i];
    }
  }
  return found;
}

} // namespace mlp::data
