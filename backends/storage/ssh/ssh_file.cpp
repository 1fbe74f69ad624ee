// A few ranges are asked for ahead, so that disk, network and disk overlap.
#include "backends/storage/ssh/ssh_file.hpp"

#include "backends/storage/ssh/ssh_client.hpp"
#include "core/net/part_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

namespace mlp::storage {

namespace {

constexpr std::size_t range_bytes = 4u << 20;
constexpr std::size_t ranges_under_way = 3;

struct Range {
  std::span<std::byte> bytes;
  std::unique_ptr<SshCall> call;
};

// What is missing, over one connection.
void copy_rest(SshConnection& connection, const FileState& file, net::PartFile& part,
               Progress& progress) {
  std::vector<std::byte> buffer(ranges_under_way * range_bytes);
  std::deque<Range> under_way;
  std::uint64_t asked = part.size(), number = 0;
  while (part.size() < file.size) {
    while (asked < file.size && under_way.size() < ranges_under_way) {
      Range& range = under_way.emplace_back();
      // The slots are taken in turn, as the ranges are.
      range.bytes = std::span(buffer).subspan(
          (number++ % ranges_under_way) * range_bytes,
          static_cast<std::size_t>(std::min<std::uint64_t>(file.size - asked, range_bytes)));
      range.call = connection.start({.kind = FrameKind::read_file,
                                     .text = file.state,
                                     .offset = asked,
                                     .size = range.bytes.size()},
                                    range.bytes);
      asked += range.bytes.size();
    }
    Range& first = under_way.front();
    if (first.call->finish() != first.bytes.size())
      throw Error(ErrorKind::conflict, "the file became shorter while it was read");
    part.append(first.bytes);
    progress.advance(first.bytes.size());
    under_way.pop_front();
  }
}

} // namespace

net::Downloaded copy_ssh_file(const net::Url& url, const fs::path& target,
                              const std::optional<Digest>& expected, const SshOptions& options,
                              Progress& progress) {
  SshClient client(read_ssh_url(url), options);
  FileState file = decode_file_state(client.ask({.kind = FrameKind::stat_file}));
  net::PartFile part(target);
  if (part.etag() != file.state || part.size() > file.size) part.restart(file.state);
  const std::uint64_t resumed_at = part.size();
  progress.begin("copying", file.size, ProgressUnit::bytes);
  progress.advance(part.size());
  net::Retry retry(options.retry, options.stop);
  for (bool whole = false; !whole;) {
    const std::uint64_t before = part.size();
    const auto connection = client.connect();
    try {
      copy_rest(*connection, file, part, progress);
      whole = true;
    } catch (Error& error) {
      if (error.kind() == ErrorKind::conflict) {
        error.add_hint("run the command again when nobody writes the file");
        throw;
      }
      if (!connection->failed_transiently()) throw;
      if (part.size() > before) retry = net::Retry(options.retry, options.stop); // it goes forward
      if (!retry.again()) throw;
    }
  }
  progress.end();
  return net::finish_download(part, target, expected, resumed_at, client.place().host,
                              options.stop);
}

} // namespace mlp::storage
