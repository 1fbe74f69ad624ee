// Training with several ranks: the weights of one rank, up to rounding; the same bits on all ranks;
// decisions that all share; and what is said when one gives up.
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/train/fit.hpp"
#include "core/train/ranks.hpp"
#include "kernels/collective/socket.hpp"
#include "kernels/philox.hpp"
#include "tests/unit/core/train/stripes.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <numeric>
#include <thread>

using namespace mlp;
using namespace mlp::train;

namespace {

// Two classes, or a target, of points in four dimensions.
struct Points {
  std::vector<float> features, targets;
  std::vector<std::int32_t> labels, order;
  Dataset data;

  Points(const Points&) = delete; // the spans view this object
  Points& operator=(const Points&) = delete;
  explicit Points(bool classifier, std::int32_t rows = 330) {
    kernels::PhiloxSequence random(3, 4);
    for (std::int32_t i = 0; i < rows; ++i) {
      float sum = 0.0F;
      for (int c = 0; c < 4; ++c) {
        features.push_back(2.0F * random.uniform() - 1.0F);
        sum += features.back() * static_cast<float>(c - 1);
      }
      labels.push_back(sum > 0.3F ? 1 : 0);
      targets.push_back(sum * sum);
      order.push_back(i);
    }
    data.rows = rows;
    data.inputs = 4;
    data.features = features;
    data.outputs = classifier ? 2 : 1;
    if (classifier)
      data.labels = labels;
    else
      data.targets = targets;
    const std::span<const std::int32_t> all = order;
    data.train = all.first(all.size() - 100);
    data.validation = all.last(100).first(60);
    data.test = all.last(40);
  }
};

FitSpec small_spec() {
  FitSpec spec;
  spec.hidden = {{16, Activation::gelu}, {8, Activation::tanh}};
  spec.optimizer.learning_rate = 0.01F;
  spec.epochs = 6;
  spec.batch = 32; // of 230 rows: the last batch has 6
  spec.threads = 1;
  spec.seed = 5;
  return spec;
}

struct Rank {
  FitResult result;
  std::string error;
  std::optional<kernels::CollectiveFailure> failure;
  std::vector<std::string> events;
};

// fit() on each of `size` ranks, one a thread. `change` is called with the rank's own settings.
std::vector<Rank> fit_together(int size, const FitSpec& spec, const Dataset& data,
                               const std::function<void(int, FitSpec&, FitCallbacks&)>& change = {},
                               const std::function<std::stop_token(int)>& stop = {}) {
  kernels::Endpoint any = kernels::resolve("127.0.0.1", 0);
  kernels::listen_on(any).close(); // its port is free
  std::vector<Rank> ranks(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      Rank& mine = ranks[static_cast<std::size_t>(rank)];
      kernels::CollectiveOptions options;
      options.rank = rank;
      options.size = size;
      options.port = any.port;
      options.token = "token";
      try {
        const auto ring = kernels::make_ring(options);
        FitSpec own = spec;
        own.collective = ring.get();
        FitCallbacks callbacks;
        callbacks.on_resume = [&](std::int64_t epoch) {
          mine.events.push_back("resume " + std::to_string(epoch));
        };
        callbacks.on_epoch = [&](const EpochReport& report) {
          mine.events.push_back("epoch " + std::to_string(report.epoch));
        };
        if (change) change(rank, own, callbacks);
        try {
          mine.result = fit(own, data, callbacks, stop ? stop(rank) : std::stop_token());
        } catch (const Error& error) {
          mine.error = error.message();
        }
        mine.failure = ring->failure();
      } catch (const std::exception& error) {
        mine.error = error.what();
      }
    });
  for (std::thread& thread : threads)
    thread.join();
  return ranks;
}

void check_close(const Network& a, const Network& b, float tolerance) {
  REQUIRE(a.values().size() == b.values().size());
  float worst = 0.0F;
  for (std::size_t i = 0; i < a.values().size(); ++i)
    worst = std::max(worst, std::abs(a.values()[i] - b.values()[i]));
  CHECK(worst < tolerance);
}

bool same_bits(const Network& a, const Network& b) {
  return std::ranges::equal(a.values(), b.values()) &&
         std::ranges::equal(a.statistics(), b.statistics());
}

} // namespace

TEST_CASE("shares are contiguous, cover a batch, and differ by one row at most") {
  for (const std::int64_t rows : {0, 1, 2, 5, 32, 33})
    for (const int size : {1, 2, 3, 7}) {
      std::int64_t at = 0;
      for (int rank = 0; rank < size; ++rank) {
        const Share share = share_of(rows, rank, size);
        CHECK(share.first == at);
        CHECK(share.rows >= rows / size);
        CHECK(share.rows <= rows / size + 1);
        at += share.rows;
      }
      CHECK(at == rows);
    }
}

TEST_CASE("ranks learn what one learns alone, up to rounding") {
  const bool classifier = GENERATE(true, false);
  const int size = GENERATE(2, 3, 4);
  const Points points(classifier);
  FitSpec spec = small_spec();
  if (!classifier) spec.loss = Loss::mse;
  if (classifier && size == 3) spec.class_weights = {5.0F, 0.25F};
  // Rounding grows over the steps of Adam; plain gradient descent keeps it small.
  spec.optimizer.kind = OptimizerKind::sgd;
  spec.optimizer.learning_rate = 0.05F;
  const FitResult alone = fit(spec, points.data);
  const auto ranks = fit_together(size, spec, points.data);
  for (const Rank& rank : ranks)
    REQUIRE(rank.error == "");
  // The others have the last weights, rank 0 those of the best epoch.
  check_close(alone.network, ranks[0].result.network, 2e-5F);
  CHECK(ranks[0].result.best_epoch == alone.best_epoch);
  REQUIRE(ranks[0].result.test);
  CHECK(ranks[0].result.test->loss == Approx(alone.test->loss).epsilon(1e-3));
  CHECK(ranks[0].events.size() == 6);
  CHECK(ranks[1].events.empty());
  CHECK_FALSE(ranks[1].result.test);
}

TEST_CASE("ranks learn convolutions as one does alone, up to rounding") {
  const Stripes stripes(250);
  FitSpec spec = small_spec();
  spec.conv = {{.filters = 4, .pooling = Pooling::max},
               {.filters = 6, .pooling = Pooling::average, .activation = Activation::tanh}};
  spec.optimizer.kind = OptimizerKind::sgd;
  spec.optimizer.learning_rate = 0.02F;
  spec.epochs = 2;
  Dataset data = stripes.data;
  data.validation = {};
  const FitResult alone = fit(spec, data);
  const auto ranks = fit_together(3, spec, data);
  for (const Rank& rank : ranks) {
    REQUIRE(rank.error == "");
    check_close(alone.network, rank.result.network, 2e-5F);
    CHECK(same_bits(rank.result.network, ranks[0].result.network));
  }
  // With normalisation and dropout: not the same as one, but the same on all, each time.
  spec.conv[0].batch_norm = true;
  spec.conv[1].dropout = 0.2F;
  const auto first = fit_together(2, spec, data);
  REQUIRE(first[0].error == "");
  CHECK(same_bits(first[1].result.network, first[0].result.network));
  CHECK(same_bits(fit_together(2, spec, data)[1].result.network, first[0].result.network));
}

TEST_CASE("a batch smaller than the number of ranks leaves some without rows") {
  Points points(true);
  points.data.train = points.data.train.first(65); // batches of 32, 32 and 1
  points.data.validation = {};
  FitSpec spec = small_spec();
  spec.optimizer.kind = OptimizerKind::sgd;
  const FitResult alone = fit(spec, points.data);
  const auto ranks = fit_together(3, spec, points.data);
  for (const Rank& rank : ranks) {
    REQUIRE(rank.error == "");
    check_close(alone.network, rank.result.network, 2e-5F);
    CHECK(same_bits(rank.result.network, ranks[0].result.network));
  }
}

TEST_CASE("gradients that leave in several ranges give the same bits on all ranks") {
  Points points(true);
  points.data.validation = {};
  FitSpec spec = small_spec();
  // Three layers, of which each is worth a range of its own or two together are.
  spec.hidden = {{900, Activation::relu, true, 0.2F},
                 {1300, Activation::relu, false, 0.2F},
                 {900, Activation::relu}};
  spec.epochs = 1;
  const auto ranks = fit_together(3, spec, points.data);
  for (const Rank& rank : ranks) {
    REQUIRE(rank.error == "");
    CHECK(same_bits(rank.result.network, ranks[0].result.network));
  }
  const auto again = fit_together(3, spec, points.data);
  CHECK(same_bits(again[1].result.network, ranks[0].result.network));
}

TEST_CASE("ranks that were stopped by one of them go on to the same bits") {
  const Points points(true);
  FitSpec spec = small_spec();
  spec.hidden[0].dropout = 0.3F;
  spec.patience = 4;
  const auto whole = fit_together(2, spec, points.data);
  REQUIRE(whole[0].error == "");

  const TemporaryDirectory folder;
  spec.checkpoint = folder.path() / "checkpoint";
  std::stop_source stop;
  const auto part = fit_together(
      2, spec, points.data,
      [&](int, FitSpec&, FitCallbacks& callbacks) {
        callbacks.on_epoch = [&](const EpochReport& report) {
          if (report.epoch == 3) stop.request_stop();
        };
      },
      // Rank 1 alone is told.
      [&](int rank) { return rank == 1 ? stop.get_token() : std::stop_token(); });
  for (const Rank& rank : part) {
    CHECK(rank.error.empty());
    CHECK(rank.result.end == FitEnd::interrupted);
    CHECK(rank.result.epochs_run == part[0].result.epochs_run);
  }
  // Rank 1 may have met the others for the next epoch already.
  const std::int64_t stopped = part[0].result.epochs_run;
  CHECK((stopped == 3 || stopped == 4));
  const auto rest = fit_together(2, spec, points.data);
  REQUIRE(rest[0].error == "");
  CHECK(rest[0].events.front() == "resume " + std::to_string(stopped));
  CHECK(same_bits(rest[0].result.network, whole[0].result.network));
  CHECK(rest[1].result.best_epoch == whole[0].result.best_epoch);
}

TEST_CASE("a training goes on with another number of ranks") {
  const Points points(true);
  const TemporaryDirectory folder;
  FitSpec spec = small_spec();
  spec.checkpoint = folder.path() / "checkpoint";
  std::stop_source stop;
  (void)fit_together(
      3, spec, points.data,
      [&](int, FitSpec&, FitCallbacks& callbacks) {
        callbacks.on_epoch = [&](const EpochReport&) { stop.request_stop(); };
      },
      [&](int) { return stop.get_token(); });
  const auto two = fit_together(2, spec, points.data);
  REQUIRE(two[0].error == "");
  CHECK(two[0].events.front() == "resume 1");
  CHECK(two[0].result.epochs_run == 6);
  FitSpec alone = spec;
  CHECK(fit(alone, points.data).epochs_run == 6); // its checkpoint is one of this training too
}

TEST_CASE("a checkpoint of other settings is refused by all ranks") {
  const Points points(true);
  const TemporaryDirectory folder;
  FitSpec spec = small_spec();
  spec.checkpoint = folder.path() / "checkpoint";
  spec.epochs = 1;
  (void)fit(spec, points.data);
  spec.epochs = 2;
  for (const Rank& rank : fit_together(2, spec, points.data))
    CHECK(rank.error.find("checkpoint") != std::string::npos);
}

TEST_CASE("a rank that cannot go on ends all, with its reason") {
  const Points points(true);
  const auto ranks =
      fit_together(3, small_spec(), points.data, [&](int, FitSpec& spec, FitCallbacks& calls) {
        spec.epochs = 1000;
        calls.on_epoch = [](const EpochReport& report) {
          if (report.epoch == 2) throw Error(ErrorKind::failed, "the disk is full");
        };
      });
  CHECK(ranks[0].error == "the disk is full");
  for (const std::size_t rank : {1U, 2U}) {
    CHECK(ranks[rank].error == "rank 0 failed: the disk is full");
    REQUIRE(ranks[rank].failure);
    CHECK(ranks[rank].failure->rank == 0);
  }
}

TEST_CASE("weights that differ end the training and name the ranks") {
  const Points points(true);
  const auto ranks =
      fit_together(3, small_spec(), points.data, [](int rank, FitSpec& spec, FitCallbacks&) {
        if (rank == 2) spec.optimizer.learning_rate *= 1.001F;
      });
  for (const Rank& rank : ranks)
    CHECK(rank.error == "after epoch 1 the weights of rank 0 and of rank 2 are not the same");
}

TEST_CASE("a loss that is no longer finite is the same error on all ranks") {
  Points points(true);
  points.features[8] = std::numeric_limits<float>::quiet_NaN();
  for (const Rank& rank : fit_together(2, small_spec(), points.data))
    CHECK(rank.error == "the loss is no longer finite in epoch 1");
}

TEST_CASE("more ranks than a batch has rows are refused") {
  const Points points(true);
  FitSpec spec = small_spec();
  spec.batch = 2;
  for (const Rank& rank : fit_together(3, spec, points.data))
    CHECK(rank.error == "a batch of 2 rows cannot be shared by 3 ranks");
}
