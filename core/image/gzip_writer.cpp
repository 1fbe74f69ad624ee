// Full blocks go to a few threads; results are taken in the order of the blocks.
#include "core/image/gzip_writer.hpp"

#include "core/base/error.hpp"
#include "core/data/task_pool.hpp"

#include <libdeflate.h>

#include <deque>
#include <future>
#include <optional>
#include <string>
#include <utility>

namespace mlp::image {

namespace {

constexpr std::size_t block_bytes = 1u << 20;
constexpr int level = 6; // part of every image's digest

std::string compress(std::string_view block) {
  struct Free {
    void operator()(libdeflate_compressor* compressor) const {
      libdeflate_free_compressor(compressor);
    }
  };
  thread_local const std::unique_ptr<libdeflate_compressor, Free> compressor(
      libdeflate_alloc_compressor(level));
  if (!compressor) throw std::bad_alloc();
  std::string out(libdeflate_gzip_compress_bound(compressor.get(), block.size()), '\0');
  out.resize(libdeflate_gzip_compress(compressor.get(), block.data(), block.size(), out.data(),
                                      out.size()));
  if (out.empty()) throw Error(ErrorKind::failed, "a block could not be compressed");
  return out;
}

} // namespace

struct GzipWriter::State {
  State(Sink to, unsigned count) : sink(std::move(to)), threads(count) {}

  Sink sink;
  unsigned threads;
  std::string block;
  bool any = false;
  std::deque<std::future<std::string>> pending;
  std::optional<data::TaskPool> pool; // destroyed first: its tasks refer to nothing of the above

  void take() {
    const std::string done = pending.front().get();
    pending.pop_front();
    sink(std::as_bytes(std::span(done)));
  }
  void full_block() {
    any = true;
    if (!pool) pool.emplace(threads, threads);
    while (pending.size() >= threads + std::size_t{1})
      take();
    pending.push_back(pool->submit([text = std::exchange(block, {})] { return compress(text); }));
    block.reserve(block_bytes);
  }
};

GzipWriter::GzipWriter(Sink sink, unsigned threads)
    : state_(std::make_unique<State>(std::move(sink), data::choose_threads(threads))) {}

GzipWriter::~GzipWriter() = default;

void GzipWriter::write(std::string_view data) {
  while (!data.empty()) {
    const std::size_t n = std::min(data.size(), block_bytes - state_->block.size());
    state_->block.append(data.substr(0, n));
    data.remove_prefix(n);
    if (state_->block.size() == block_bytes) state_->full_block();
  }
}

void GzipWriter::end() {
  while (!state_->pending.empty())
    state_->take();
  if (state_->any && state_->block.empty()) return;
  const std::string rest = compress(state_->block);
  state_->block.clear();
  state_->any = true;
  state_->sink(std::as_bytes(std::span(rest)));
}

} // namespace mlp::image
