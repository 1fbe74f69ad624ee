// Queues of work, done by whoever puts or waits, in an order that the seed draws.
#include "kernels/check/emulate/schedule.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace emulate {

namespace {

struct Item {
  std::function<void()> work; // empty: waits for `until`
  Mark until;
};

enum class Pace : std::uint8_t { lags, varies, leads };

} // namespace

struct Queue {
  std::deque<Item> items;
  unsigned long count = 0, done = 0;
  Pace pace = Pace::leads;
};

namespace {

unsigned seed_of_environment() {
  const char* text = std::getenv("EMULATE_SCHEDULE");
  return text != nullptr ? static_cast<unsigned>(std::strtoul(text, nullptr, 10)) : 0;
}

struct State {
  std::recursive_mutex mutex; // what is done may have to finish another queue first
  std::vector<std::weak_ptr<Queue>> queues;
  unsigned seed = seed_of_environment();
  std::uint32_t random = seed;

  std::uint32_t draw(std::uint32_t bound) {
    random = random * 1664525U + 1013904223U;
    return (random >> 16) % bound;
  }
};
State& state() {
  static State one;
  return one;
}

bool is_blocked(const Queue& queue) {
  const Mark& until = queue.items.front().until;
  return until.queue != nullptr && until.queue->done < until.count;
}

void do_first(Queue& queue) {
  const Item item = std::move(queue.items.front());
  queue.items.pop_front();
  if (item.work) item.work();
  ++queue.done;
}

// What runs of itself after something was put.
void go_on() {
  State& s = state();
  for (const auto& weak : s.queues) {
    const auto queue = weak.lock();
    if (queue == nullptr || queue->pace == Pace::lags) continue;
    while (!queue->items.empty() && !is_blocked(*queue)) {
      if (queue->pace == Pace::varies && s.draw(3) == 0) break;
      do_first(*queue);
    }
  }
}

void put_item(const std::shared_ptr<Queue>& queue, Item item) {
  ++queue->count;
  queue->items.push_back(std::move(item));
  go_on();
}

} // namespace

std::shared_ptr<Queue> make_queue() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  auto queue = std::make_shared<Queue>();
  if (s.seed != 0) queue->pace = static_cast<Pace>(s.draw(3));
  std::erase_if(s.queues, [](const auto& weak) { return weak.expired(); });
  s.queues.push_back(queue);
  return queue;
}

void put(const std::shared_ptr<Queue>& queue, std::function<void()> work) {
  State& s = state();
  {
    const std::lock_guard lock(s.mutex);
    if (s.seed != 0) return put_item(queue, {std::move(work), {}});
  }
  work();
}

Mark mark(const std::shared_ptr<Queue>& queue) {
  const std::lock_guard lock(state().mutex);
  return {queue, queue->count};
}

void wait_on(const std::shared_ptr<Queue>& queue, Mark mark) {
  const std::lock_guard lock(state().mutex);
  if (mark.queue != nullptr && mark.queue != queue && mark.queue->done < mark.count)
    put_item(queue, {{}, std::move(mark)});
}

void finish(const Mark& mark) {
  const std::lock_guard lock(state().mutex);
  while (mark.queue != nullptr && mark.queue->done < mark.count) {
    if (is_blocked(*mark.queue)) finish(Mark(mark.queue->items.front().until));
    do_first(*mark.queue);
  }
}

void finish_all() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  for (std::size_t i = 0; i < s.queues.size(); ++i)
    if (const auto queue = s.queues[i].lock()) finish({queue, queue->count});
}

void schedule(unsigned seed) {
  finish_all();
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.seed = s.random = seed;
  for (const auto& weak : s.queues)
    if (const auto queue = weak.lock()) queue->pace = Pace::leads;
}

} // namespace emulate
