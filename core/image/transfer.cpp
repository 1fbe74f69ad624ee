// First all documents are read, then blobs move side by side, then the documents follow, those that
// others name first.
#include "core/image/transfer.hpp"

#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/data/task_pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <unordered_set>

namespace mlp::image {

namespace {

// Deeper than any image: indexes of indexes, referrers of referrers.
constexpr unsigned deepest = 8;
// Of all documents of an image and its referrers: they are in memory at once.
constexpr std::size_t most_bytes = 128u << 20;

struct Plan {
  std::vector<Document> documents; // the image itself last
  std::vector<Descriptor> blobs;
  std::uint64_t referrers = 0;
};

class Planner {
 public:
  Planner(ImageSource& source, const TransferOptions& options)
      : source_(source), options_(options) {}

  Plan make(Document root) {
    if (is_index(root.descriptor.media_type) && !options_.all_platforms) {
      const std::string what = fmt::format("index '{}'", root.descriptor.digest.text());
      root = get(choose_platform(parse_index(root.text, what), options_.platform, what));
    }
    const Digest image = root.descriptor.digest;
    add(std::move(root), 0);
    // Referrers are found behind the image; its name is given last all the same.
    const auto found = std::ranges::find_if(
        plan_.documents, [&](const Document& d) { return d.descriptor.digest == image; });
    std::rotate(found, found + 1, plan_.documents.end());
    return std::move(plan_);
  }

 private:
  // The document that another one names, as it says.
  Document get(const Descriptor& named) {
    Document out = source_.document(named);
    if (out.text.size() != named.size ||
        is_index(out.descriptor.media_type) != is_index(named.media_type))
      throw Error(ErrorKind::integrity,
                  fmt::format("'{}' is not of the size and type that it is named with",
                              named.digest.text()));
    return out;
  }
  void add(Document document, unsigned depth) {
    throw_if_stopped(options_.stop);
    const Digest digest = document.descriptor.digest;
    if (!seen_.insert(digest).second) return;
    bytes_ += document.text.size();
    if (bytes_ > most_bytes)
      throw Error(ErrorKind::failed,
                  fmt::format("the documents of the image are larger than {} bytes", most_bytes));
    const std::string what = fmt::format("'{}'", digest.text());
    if (depth == deepest)
      throw Error(ErrorKind::integrity, fmt::format("{} is nested too deeply", what));
    if (is_index(document.descriptor.media_type)) {
      for (const Descriptor& child : parse_index(document.text, what).manifests)
        if (is_index(child.media_type) || is_manifest(child.media_type))
          add(get(child), depth + 1);
        else
          add_blob(child);
    } else {
      const Manifest manifest = parse_manifest(document.text, what);
      add_blob(manifest.config);
      std::ranges::for_each(manifest.layers, [&](const auto& layer) { add_blob(layer); });
    }
    plan_.documents.push_back(std::move(document));
    if (!options_.referrers) return;
    for (const Descriptor& referrer : source_.referrers(digest)) {
      if (seen_.contains(referrer.digest)) continue;
      ++plan_.referrers;
      add(get(referrer), depth + 1);
    }
  }
  void add_blob(const Descriptor& blob) {
    if (seen_.insert(blob.digest).second) plan_.blobs.push_back(blob);
  }

  ImageSource& source_;
  const TransferOptions& options_;
  std::unordered_set<Digest> seen_;
  std::size_t bytes_ = 0;
  Plan plan_;
};

struct Count {
  std::atomic<std::uint64_t> moved = 0, bytes = 0;
};

void move_blob(ImageSource& source, ImageTarget& target, const Descriptor& blob, Count& count,
               Progress& progress) {
  if (target.has(blob)) {
    progress.advance(blob.size);
    return;
  }
  if (target.take_over(blob)) {
    progress.advance(blob.size);
    return;
  }
  source.ensure(blob, progress);
  target.put(blob, source.layout(), progress);
  ++count.moved;
  count.bytes += blob.size;
}

void move_blobs(ImageSource& source, ImageTarget& target, const Plan& plan,
                const TransferOptions& options, Count& count, Progress& progress) {
  std::uint64_t total = 0;
  for (const Descriptor& blob : plan.blobs)
    total += blob.size;
  progress.begin("moving blobs", total, ProgressUnit::bytes);
  std::atomic<bool> failed = false;
  std::vector<std::future<void>> results;
  {
    const auto threads = static_cast<unsigned>(
        std::clamp<std::size_t>(plan.blobs.size(), 1, std::max(1u, options.jobs)));
    data::TaskPool pool(threads, threads);
    for (const Descriptor& blob : plan.blobs)
      results.push_back(pool.submit([&] {
        if (failed || options.stop.stop_requested()) return;
        try {
          move_blob(source, target, blob, count, progress);
        } catch (...) {
          failed = true;
          throw;
        }
      }));
    for (const std::future<void>& result : results)
      result.wait();
  }
  progress.end();
  throw_if_stopped(options.stop);
  for (std::future<void>& result : results)
    result.get();
}

} // namespace

Transferred transfer(ImageSource& source, ImageTarget& target, const TransferOptions& options,
                     Progress& progress) {
  const Plan plan = Planner(source, options).make(source.root());
  const Document& image = plan.documents.back();
  Transferred out{
      .manifest = image.descriptor, .blobs = plan.blobs.size(), .referrers = plan.referrers};
  if (plan.referrers == 0 && target.is_current(image.descriptor.digest)) return out;
  Count count;
  // Twice: a registry may remove a blob between the question for it and the manifest.
  for (int attempt = 0; attempt < 2; ++attempt) {
    move_blobs(source, target, plan, options, count, progress);
    const bool all = std::ranges::all_of(plan.documents, [&](const Document& document) {
      throw_if_stopped(options.stop);
      return target.put(document, &document == &image);
    });
    if (!all) continue;
    out.moved = count.moved;
    out.bytes = count.bytes;
    return out;
  }
  throw Error(ErrorKind::failed,
              fmt::format("the registry takes the blobs of the image '{}' and then does not have "
                          "them",
                          image.descriptor.digest.text()))
      .with_hint("its garbage collection may be running; try again later");
}

} // namespace mlp::image
