// Measuring in a process of its own: a GPU that hangs or brings the driver down takes that process
// with it, and not the check. The parent hands out items and reads one line of JSON for each; what
// does not answer in time is killed, reported, and the rest goes on in a new process.
#pragma once

#include "core/gpu/verdict.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

namespace mlp::gpu {

// One figure to measure; `gpus` are CUDA's ordinals in the measuring process.
struct Item {
  Figure figure = Figure::copy;
  std::vector<unsigned> gpus;
};
[[nodiscard]] std::string item_text(const Item& item); // "peer:0,1"
// Throws Error(usage).
[[nodiscard]] Item parse_item(std::string_view text);

// All that is measured with that many GPUs: each alone, then pairs (full: both ways of all pairs;
// else each with the next), then all together.
[[nodiscard]] std::vector<Item> plan_items(unsigned gpus, bool full);

// The measuring process: does the items one after another and hands over each line of its answer.
// Ends after the first that failed, because CUDA is of no more use in a process then. Blocks.
void measure_here(const std::vector<Item>& items, unsigned gpus, bool full,
                  const std::function<void(const std::string& line)>& emit);

struct MeasuringOptions {
  std::vector<std::string> program; // the words of the measuring process, before the items
  std::map<std::string, std::string> environment;
  std::chrono::milliseconds item_limit{30'000};
  std::chrono::milliseconds start_limit{60'000}; // for CUDA to start, before the first item
  std::stop_token stop;
  std::function<void(const Item&)> begun = [](const Item&) {}; // before each
  std::function<void(const Item&)> tick = [](const Item&) {};  // some 20 times a second meanwhile
  std::function<void(const Item&)> ended = [](const Item&) {};
};

// The answers in the order of `items`; Measured::gpus are those of the items. Throws
// Error(interrupted) when stopped, with the process killed, and Error(unreachable) where that says
// that CUDA has no GPU to measure. The callbacks are called from this thread.
[[nodiscard]] std::vector<Measured> measure_apart(const std::vector<Item>& items,
                                                  const MeasuringOptions& options);

} // namespace mlp::gpu
