// Items, and the process that measures them by kernels/preflight.
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/gpu/measuring.hpp"
#include "kernels/preflight/measure.hpp"

#include <fmt/format.h>

#include <charconv>
#include <stdexcept>

namespace mlp::gpu {

namespace {

namespace preflight = kernels::preflight;
using std::chrono::milliseconds;

constexpr std::uint64_t quick_pattern_bytes = 1ULL << 30;

preflight::Budget budget_of(Figure figure, bool full) {
  preflight::Budget budget{.stop = interrupt_token()};
  budget.time = milliseconds(full ? 2000 : 500);
  if (figure == Figure::pattern) budget.time = milliseconds(full ? 10000 : 0);
  if (figure == Figure::peer) budget.time = milliseconds(300);
  return budget;
}

preflight::Rate rate_of(const Item& item, const preflight::Budget& budget) {
  const int gpu = static_cast<int>(item.gpus.front());
  switch (item.figure) {
  case Figure::copy:
    return preflight::memory_copy(gpu, budget);
  case Figure::triad:
    return preflight::memory_triad(gpu, budget);
  case Figure::bf16:
    return preflight::matrix_product(gpu, preflight::Matrix::bf16, budget);
  case Figure::tf32:
    return preflight::matrix_product(gpu, preflight::Matrix::tf32, budget);
  case Figure::f32:
    return preflight::matrix_product(gpu, preflight::Matrix::f32, budget);
  case Figure::host_to_device:
    return preflight::host_to_device(gpu, budget);
  case Figure::device_to_host:
    return preflight::device_to_host(gpu, budget);
  case Figure::peer:
    return preflight::peer_copy(gpu, static_cast<int>(item.gpus.at(1)), budget);
  case Figure::all_reduce:
    return preflight::all_reduce(static_cast<int>(item.gpus.size()), budget);
  case Figure::pattern:
    break;
  }
  throw std::logic_error("no rate of this figure");
}

Json answer_of(const Item& item, bool full) {
  const preflight::Budget budget = budget_of(item.figure, full);
  if (item.figure == Figure::pattern) {
    const preflight::Pattern pattern = preflight::memory_pattern(
        static_cast<int>(item.gpus.front()), full ? 0 : quick_pattern_bytes, budget);
    return json_object({{"median", pattern.rate},
                        {"best", pattern.rate},
                        {"repetitions", pattern.rounds},
                        {"bytes", pattern.bytes},
                        {"mismatches", pattern.mismatches}});
  }
  const preflight::Rate rate = rate_of(item, budget);
  return json_object({{"median", rate.median},
                      {"best", rate.best},
                      {"repetitions", rate.repetitions},
                      {"bytes", rate.amount}});
}

} // namespace

std::string item_text(const Item& item) {
  return fmt::format("{}:{}", figure_name(item.figure), fmt::join(item.gpus, ","));
}

Item parse_item(std::string_view text) {
  const std::size_t colon = text.find(':');
  const auto figure = parse_figure(text.substr(0, colon));
  Item item;
  bool good = figure.has_value() && colon != std::string_view::npos;
  if (good) {
    item.figure = *figure;
    for (const std::string& word : split(text.substr(colon + 1), ',')) {
      unsigned gpu = 0;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), gpu);
      good = good && error == std::errc() && end == word.data() + word.size() && gpu < 1024;
      item.gpus.push_back(gpu);
    }
    const std::size_t least = item.figure == Figure::peer || item.figure == Figure::all_reduce;
    good = good && item.gpus.size() > least &&
           (item.figure == Figure::all_reduce || item.gpus.size() == 1 + least);
  }
  if (!good)
    throw Error(ErrorKind::usage, fmt::format("'{}' is nothing to measure", printable(text)));
  return item;
}

std::vector<Item> plan_items(unsigned gpus, bool full) {
  std::vector<Item> items;
  for (unsigned gpu = 0; gpu < gpus; ++gpu)
    for (const Figure figure :
         {Figure::copy, Figure::triad, Figure::bf16, Figure::tf32, Figure::f32,
          Figure::host_to_device, Figure::device_to_host, Figure::pattern})
      items.push_back({figure, {gpu}});
  if (gpus < 2) return items;
  for (unsigned from = 0; from < gpus; ++from)
    for (unsigned to = 0; to < gpus; ++to)
      if (full ? from != to : to == (from + 1) % gpus) items.push_back({Figure::peer, {from, to}});
  Item all{Figure::all_reduce, {}};
  for (unsigned gpu = 0; gpu < gpus; ++gpu)
    all.gpus.push_back(gpu);
  items.push_back(std::move(all));
  return items;
}

void measure_here(const std::vector<Item>& items, unsigned gpus, bool full,
                  const std::function<void(const std::string&)>& emit) {
  std::string reason;
  const int seen = preflight::visible_gpus(reason);
  if (seen <= 0) {
    emit(dump_json(json_object({{"unavailable", reason}})));
    return;
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    emit(dump_json(json_object({{"begin", i}})));
    Json answer;
    bool failed = false;
    try {
      if (static_cast<unsigned>(seen) < gpus)
        throw kernels::Error(kernels::ErrorKind::failed,
                             fmt::format("CUDA finds {} of the {} GPUs", seen, gpus));
      answer = answer_of(items[i], full);
    } catch (const kernels::Error& error) {
      // What the place lacks says nothing about the GPU.
      const bool lacking = error.kind() == kernels::ErrorKind::unsupported ||
                           error.kind() == kernels::ErrorKind::unavailable ||
                           error.kind() == kernels::ErrorKind::out_of_memory;
      failed = !lacking;
      answer = {{lacking ? "skipped" : "failed", error.what()}};
    }
    answer["end"] = i;
    emit(dump_json(answer));
    if (failed) return;
  }
}

} // namespace mlp::gpu
