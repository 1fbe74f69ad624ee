// The order in which queued work is done, see schedule() of control.hpp.
#pragma once

#include "kernels/check/emulate/control.hpp"

#include <functional>
#include <memory>

namespace emulate {

struct Queue;

// All that has been put on a queue by some time.
struct Mark {
  std::shared_ptr<Queue> queue; // null: nothing
  unsigned long count = 0;
};

std::shared_ptr<Queue> make_queue();
void put(const std::shared_ptr<Queue>& queue, std::function<void()> work);
Mark mark(const std::shared_ptr<Queue>& queue);
// What is put on `queue` from now on waits for `mark`.
void wait_on(const std::shared_ptr<Queue>& queue, Mark mark);
// Does what has to be done by `mark`, or all there is.
void finish(const Mark& mark);
void finish_all();

} // namespace emulate
