// The learning rate's schedule, and early stopping.
#include "core/train/early_stopping.hpp"
#include "core/train/optimizer.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <limits>

using namespace mlp::train;

TEST_CASE("the learning rate rises linearly, then falls along half a cosine") {
  const Schedule s{ScheduleKind::cosine, 0.1F, 0.2F};
  CHECK(learning_rate_factor(s, 1, 100) == Approx(0.1F));
  CHECK(learning_rate_factor(s, 5, 100) == Approx(0.5F));
  CHECK(learning_rate_factor(s, 10, 100) == Approx(1.0F));
  CHECK(learning_rate_factor(s, 55, 100) == Approx(0.6F)); // half way between 1 and 0.2
  CHECK(learning_rate_factor(s, 100, 100) == Approx(0.2F));
  for (int step = 11; step < 100; ++step)
    CHECK(learning_rate_factor(s, step + 1, 100) < learning_rate_factor(s, step, 100));
}

TEST_CASE("a constant schedule stays where the warm-up left it") {
  const Schedule s{ScheduleKind::constant, 0.5F, 0.0F};
  CHECK(learning_rate_factor(s, 1, 4) == Approx(0.5F));
  CHECK(learning_rate_factor(s, 2, 4) == Approx(1.0F));
  CHECK(learning_rate_factor(s, 4, 4) == Approx(1.0F));
}

TEST_CASE("short trainings have a schedule too") {
  for (std::int64_t total = 0; total < 30; ++total)
    for (std::int64_t step = 0; step <= total + 1; ++step) {
      const float factor = learning_rate_factor({}, step, total);
      CHECK((factor >= 0.0F && factor <= 1.0F));
    }
}

TEST_CASE("early stopping waits for its patience and knows the best epoch") {
  EarlyStopping s{.patience = 2};
  CHECK(s.update(0.5, 1));
  CHECK(s.update(0.7, 2));
  CHECK_FALSE(s.update(0.6, 3));
  CHECK_FALSE(s.should_stop(3));
  CHECK_FALSE(s.update(0.7, 4)); // as good is not better
  CHECK(s.should_stop(4));
  CHECK(s.best_epoch == 2);
  CHECK(s.best == 0.7);
}

TEST_CASE("an improvement below min_delta is kept but does not end the wait") {
  EarlyStopping s{.patience = 2, .min_delta = 0.1};
  CHECK(s.update(0.50, 1));
  CHECK(s.update(0.55, 2));
  CHECK(s.update(0.58, 3));
  CHECK(s.should_stop(3));
  CHECK(s.best_epoch == 3);
}

TEST_CASE("without patience, or with metrics that are no numbers, nothing breaks") {
  EarlyStopping forever;
  for (int epoch = 1; epoch < 50; ++epoch)
    forever.update(0.0, epoch);
  CHECK_FALSE(forever.should_stop(50));
  EarlyStopping s{.patience = 1};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_FALSE(s.update(nan, 1));
  CHECK_FALSE(s.update(nan, 2));
  CHECK(s.should_stop(2));
  CHECK(s.best_epoch == 0);
}
