// Training on the CUDA device gives what it gives on the CPU, and gives itself bit for bit however
// its steps and its data get there: recorded or not, copied at once or streamed, stopped or not.
// Built twice: for the GPU of this machine, and for the device's own code, emulated.
#include "core/base/fs.hpp"
#include "core/train/engine.hpp"
#include "core/train/evaluate.hpp"
#include "core/train/fit_check.hpp"
#include "core/train/trainer.hpp"
#include "kernels/philox.hpp"
#include "tests/unit/core/train/stripes.hpp"
#ifdef MLP_EMULATED
#include "kernels/check/emulate/control.hpp"
#endif

#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <numeric>

using namespace mlp;
using namespace mlp::train;

namespace {

// Ends the program as skipped where there is no GPU.
void need_gpu() {
  const kernels::CudaStatus status = kernels::cuda_status();
  if (status.devices > 0) return;
  std::printf("SKIP: training on a GPU: %s\n", status.reason.c_str());
  std::exit(77);
}

constexpr std::size_t kNoRoom = std::size_t{1}
                                << 50; // more than any GPU has: the data are streamed
constexpr std::size_t kSmallReserve = std::size_t{1} << 16;

// Rows of features, with a class and two targets each that follow from them.
struct Table {
  std::vector<float> features, targets, mean, scale;
  std::vector<std::int32_t> labels, order;
  Dataset data;

  Table(const Table&) = delete; // the spans view this object
  Table& operator=(const Table&) = delete;
  // `more` rows that no set uses.
  explicit Table(bool classifier, std::int64_t inputs = 12, std::int64_t more = 0) {
    constexpr std::int64_t kTrain = 170, kOthers = 50;
    const std::int64_t rows = kTrain + 2 * kOthers + more;
    kernels::PhiloxSequence random(29, 6);
    for (std::int64_t i = 0; i < rows; ++i) {
      float sum = 0.0F;
      for (std::int64_t c = 0; c < inputs; ++c) {
        features.push_back(4.0F * random.uniform() - 1.0F);
        if (c < 4) sum += features.back();
      }
      labels.push_back(sum < 3.0F ? 0 : sum < 5.0F ? 1 : 2);
      targets.insert(targets.end(), {0.5F * sum - 2.0F, sum * sum / 16.0F - 1.0F});
    }
    mean.assign(static_cast<std::size_t>(inputs), 1.0F);
    scale.assign(static_cast<std::size_t>(inputs), 0.9F);
    order.resize(static_cast<std::size_t>(rows - more));
    std::iota(order.begin(), order.end(), 0);
    const std::span<const std::int32_t> all = order;
    data.rows = rows;
    data.inputs = inputs;
    data.features = features;
    data.mean = mean;
    data.scale = scale;
    data.outputs = classifier ? 3 : 2;
    if (classifier)
      data.labels = labels;
    else
      data.targets = targets;
    data.train = all.first(kTrain);
    data.validation = all.subspan(kTrain, kOthers);
    data.test = all.last(kOthers);
  }
};

// Every kind of hidden layer: one whose end is the product's own, and those that need more.
FitSpec dense_spec() {
  FitSpec spec;
  spec.hidden = {{24, Activation::gelu, true, 0.2F},
                 {20, Activation::relu, false, 0.0F},
                 {16, Activation::relu, true, 0.1F},
                 {16, Activation::tanh, false, 0.2F}};
  spec.optimizer.learning_rate = 0.01F;
  spec.epochs = 3;
  spec.batch = 48; // 170 is not a multiple
  spec.threads = 1;
  spec.seed = 4;
  spec.gpu_reserve = kSmallReserve;
  return spec;
}

FitSpec conv_spec() {
  FitSpec spec = dense_spec();
  spec.conv = {{.filters = 4, .pooling = Pooling::max, .batch_norm = true},
               {.filters = 6, .kernel = {2, 3}, .pooling = Pooling::average, .dropout = 0.1F}};
  spec.hidden = {{12, Activation::relu, false, 0.1F}};
  spec.batch = 32;
  return spec;
}

struct Trained {
  FitResult result;
  std::vector<EpochReport> epochs;
};

Trained run(FitSpec spec, const Dataset& data, bool on_gpu, std::int64_t stop_after = 0) {
  spec.gpu = on_gpu ? 0 : -1;
  Trained out;
  std::stop_source stop;
  FitCallbacks callbacks;
  callbacks.on_epoch = [&](const EpochReport& report) {
    out.epochs.push_back(report);
    if (report.epoch == stop_after) stop.request_stop();
  };
  out.result = fit(spec, data, callbacks, stop.get_token());
  return out;
}

void check_same_bits(const Network& a, const Network& b) {
  CHECK(std::ranges::equal(a.values(), b.values()));
  CHECK(std::ranges::equal(a.statistics(), b.statistics()));
}

void check_near(std::span<const float> a, std::span<const float> b, double margin) {
  REQUIRE(a.size() == b.size());
  double most = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double apart = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    most = apart > most || std::isnan(apart) ? apart : most;
  }
  CHECK(most <= margin); // false for a NaN
}

double moved(const Network& network, std::uint64_t seed) {
  const Network start(network.spec(), seed);
  double most = 0.0;
  for (std::size_t i = 0; i < start.values().size(); ++i)
    most = std::max(most, static_cast<double>(std::fabs(network.values()[i] - start.values()[i])));
  return most;
}

// Sums are taken in another order, which an optimiser that divides by a gradient's size enlarges;
// the emulator's products are the CPU's own.
#ifdef MLP_EMULATED
constexpr double kNear = 1e-5;
#else
constexpr double kNear = 2e-3;
#endif
constexpr double kFar = 2e-2; // a training moves a weight by more

void check_near(const Trained& a, const Trained& b) {
  REQUIRE(a.epochs.size() == b.epochs.size());
  for (std::size_t i = 0; i < a.epochs.size(); ++i) {
    CHECK(a.epochs[i].loss == Approx(b.epochs[i].loss).epsilon(1e-4));
    CHECK(a.epochs[i].validation->loss == Approx(b.epochs[i].validation->loss).epsilon(1e-3));
  }
  check_near(a.result.network.values(), b.result.network.values(), kNear);
  check_near(a.result.network.statistics(), b.result.network.statistics(), kNear);
  CHECK(a.result.test->loss == Approx(b.result.test->loss).epsilon(1e-3));
}

} // namespace

TEST_CASE("a dense network trains on the GPU to what it trains to on the CPU", "[training]") {
  need_gpu();
  FitSpec spec = dense_spec();
  spec.loss = GENERATE(Loss::cross_entropy, Loss::mse, Loss::huber);
  spec.optimizer.kind = GENERATE(OptimizerKind::adamw, OptimizerKind::sgd);
  if (spec.optimizer.kind == OptimizerKind::sgd) spec.optimizer.learning_rate = 0.05F;
  spec.huber_delta = 0.4F;
  const bool classifier = spec.loss == Loss::cross_entropy;
  if (classifier) spec.class_weights = {1.0F, 3.0F, 0.5F};
  const Table table(classifier);
  const Trained gpu = run(spec, table.data, true);
  check_near(gpu, run(spec, table.data, false));
  CHECK(moved(gpu.result.network, spec.seed) > kFar);
  if (spec.optimizer.kind == OptimizerKind::adamw) // again: the same bits
    check_same_bits(gpu.result.network, run(spec, table.data, true).result.network);
}

TEST_CASE("a convolutional network trains on the GPU to what it trains to on the CPU",
          "[training]") {
  need_gpu();
  const Stripes stripes(150);
  const FitSpec spec = conv_spec();
  const Trained gpu = run(spec, stripes.data, true);
  check_near(gpu, run(spec, stripes.data, false));
  CHECK(moved(gpu.result.network, spec.seed) > kFar);
  check_same_bits(gpu.result.network, run(spec, stripes.data, true).result.network);
}

TEST_CASE("a trained network is evaluated and predicts on the GPU as on the CPU", "[training]") {
  need_gpu();
  const Stripes stripes(150);
  FitSpec spec = conv_spec();
  spec.epochs = 1;
  const FitResult trained = run(spec, stripes.data, false).result;
  const auto cpu = kernels::make_cpu_device(1);
  const auto gpu = kernels::make_cuda_device(0);
  for (const std::size_t reserve : {kSmallReserve, kNoRoom}) {
    spec.gpu_reserve = reserve;
    const Metrics metrics = evaluate(*gpu, trained.network, spec, stripes.data, stripes.data.test);
    CHECK(metrics.loss == Approx(trained.test->loss).epsilon(1e-5));
    CHECK(metrics.accuracy == Approx(trained.test->accuracy));
  }
  std::vector<float> rows;
  for (const std::uint8_t pixel :
       stripes.data.pixels.first(static_cast<std::size_t>(7 * stripes.data.inputs)))
    rows.push_back((static_cast<float>(pixel) - stripes.mean) * stripes.scale);
  check_near(trained.network.predict(*gpu, rows), trained.network.predict(*cpu, rows), 1e-4);
}

namespace {

// Weights, statistics and loss after some steps over the same rows; the second one may be recorded,
// and is replayed from then on.
std::vector<float> after_steps(kernels::Device& device, const FitSpec& spec, const Dataset& data,
                               bool is_recorded) {
  const kernels::Stream stream = device.make_stream();
  std::vector<float> out;
  {
    Network network(network_spec(spec, data), spec.seed);
    Engine engine(device, network, spec.batch, true, stream);
    engine.prepare(spec.batch);
    kernels::Buffer held;
    DeviceData resident(device, data, spec.batch, 0, stream);
    const RowOrder order = resident.place(data.train, held);
    std::unique_ptr<kernels::Graph> graph;
    const auto body = [&] {
      resident.gather(engine, spec.batch, order, 0, engine.state());
      engine.backpropagate(spec.batch, {spec.loss});
      engine.update(spec.optimizer);
    };
    for (std::uint64_t step = 1; step <= 6; ++step) {
      const kernels::StepState state{.step = step,
                                     .seed = 77,
                                     .first_row = static_cast<std::int64_t>(step * 7),
                                     .learning_rate = 0.01F / static_cast<float>(step)};
      device.copy_in(stream, engine.state(), &state, sizeof state);
      if (is_recorded && step == 2) graph = device.capture(stream, body);
      if (graph != nullptr)
        graph->launch(stream);
      else
        body();
    }
    CHECK((graph != nullptr) == is_recorded);
    engine.store(network);
    kernels::LossStats stats;
    device.copy_out(stream, &stats, engine.stats(), sizeof stats);
    out.assign(network.values().begin(), network.values().end());
    out.insert(out.end(), network.statistics().begin(), network.statistics().end());
    out.insert(out.end(), {static_cast<float>(stats.loss), static_cast<float>(stats.correct)});
    device.synchronize(stream);
  }
  device.release(stream);
  return out;
}

} // namespace

TEST_CASE("a step that is replayed gives the bits of one that is queued", "[training]") {
  need_gpu();
  const auto gpu = kernels::make_cuda_device(0);
  const Table table(true);
  CHECK(after_steps(*gpu, dense_spec(), table.data, true) ==
        after_steps(*gpu, dense_spec(), table.data, false));
  const Stripes stripes(150);
  CHECK(after_steps(*gpu, conv_spec(), stripes.data, true) ==
        after_steps(*gpu, conv_spec(), stripes.data, false));
}

TEST_CASE("data that are streamed to the GPU train to the same bits", "[training]") {
  need_gpu();
  const Table table(false);
  FitSpec dense = dense_spec();
  dense.loss = Loss::mse;
  const Stripes stripes(150);
  FitSpec conv = conv_spec();
  conv.epochs = 1;
  const FitResult dense_resident = run(dense, table.data, true).result;
  const FitResult conv_resident = run(conv, stripes.data, true).result;
  dense.gpu_reserve = conv.gpu_reserve = kNoRoom;
#ifdef MLP_EMULATED
  // What is queued is done as late as CUDA may do it, in several ways.
  for (unsigned seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    emulate::schedule(seed);
#else
  {
#endif
    const FitResult streamed = run(dense, table.data, true).result;
    check_same_bits(streamed.network, dense_resident.network);
    CHECK(streamed.test->loss == dense_resident.test->loss);
    check_same_bits(run(conv, stripes.data, true).result.network, conv_resident.network);
  }
#ifdef MLP_EMULATED
  emulate::schedule(0);
#endif
}

TEST_CASE("a training on the GPU that was stopped goes on to the same bits", "[training]") {
  need_gpu();
  const bool is_conv = GENERATE(false, true);
  const Table table(true);
  const Stripes stripes(150);
  const Dataset& data = is_conv ? stripes.data : table.data;
  FitSpec spec = is_conv ? conv_spec() : dense_spec();
  const Trained whole = run(spec, data, true);
  const TemporaryDirectory folder;
  spec.checkpoint = folder.path() / "checkpoint";
  CHECK(run(spec, data, true, 1).result.end == FitEnd::interrupted);
  spec.gpu_reserve = kNoRoom; // another machine may have less room
  CHECK(run(spec, data, true, 2).result.end == FitEnd::interrupted);
  spec.gpu_reserve = kSmallReserve;
  const Trained rest = run(spec, data, true);
  REQUIRE(rest.epochs.size() == 1);
  CHECK(rest.epochs[0].loss == whole.epochs[2].loss);
  check_same_bits(rest.result.network, whole.result.network);

  // What was begun on the CPU goes on on the GPU.
  mlp::remove_all(spec.checkpoint);
  CHECK(run(spec, data, false, 1).result.end == FitEnd::interrupted);
  check_near(run(spec, data, true).result.network.values(), whole.result.network.values(), kNear);
}

TEST_CASE("a training on the GPU that was stopped within an epoch goes on to the same bits",
          "[training]") {
  need_gpu();
  Table table(true);
  std::vector<std::int32_t> many; // enough for a tick (100 ms) within the epoch
  while (many.size() < 1500)
    many.insert(many.end(), table.data.train.begin(), table.data.train.end());
  table.data.train = many;
  FitSpec spec = dense_spec();
  spec.hidden.resize(2);
  spec.epochs = 1;
  spec.gpu = 0;
  const FitResult whole = fit(spec, table.data);
  const TemporaryDirectory folder;
  spec.checkpoint = folder.path() / "checkpoint";
  std::stop_source stop;
  FitCallbacks callbacks;
  callbacks.on_tick = [&](const Tick&) { stop.request_stop(); };
  const FitResult part = fit(spec, table.data, callbacks, stop.get_token());
  if (part.end == FitEnd::interrupted) // else the GPU did the epoch in less than a tick
    CHECK_FALSE(std::ranges::equal(part.network.values(), whole.network.values()));
  check_same_bits(fit(spec, table.data).network, whole.network);
}

TEST_CASE("the trainer's precision is that of its products on the GPU", "[training]") {
  need_gpu();
  const TemporaryDirectory folder;
  make_directories(folder.path() / "data");
  const Table table(true);
  std::string text = "a,b,c,d,class\n";
  for (std::size_t i = 0; i < 200; ++i) {
    for (std::size_t c = 0; c < 4; ++c)
      text += std::to_string(table.features[12 * i + c]) + ",";
    text += "c" + std::to_string(table.labels[i]) + "\n";
  }
  write_file_atomic(folder.path() / "data/rows.csv", text);
  config::TrainerSpec spec;
  spec.network.hidden = {32, 16};
  spec.optimizer.lr = 0.01;
  spec.epochs = 2;
  spec.batch_size = 32;
  spec.threads = 1;
  const auto weights = [&](const std::string& precision, int gpu) {
    spec.precision = precision;
    const TrainerResult result = run_trainer(
        spec, {folder.path() / "data", folder.path() / precision, {}}, {}, {}, {.gpu = gpu});
    return std::vector<float>(result.network.values().begin(), result.network.values().end());
  };
  const std::vector<float> full = weights("float32", 0);
  const std::vector<float> tf32 = weights("tf32", 0);
  const std::vector<float> bf16 = weights("bf16", 0);
  check_near(full, weights("float32", -1), kNear);
  CHECK(tf32 != full);
  CHECK(bf16 != full);
  CHECK(bf16 != tf32);
  check_near(tf32, full, 0.02);
  check_near(bf16, full, 0.05);
}

#ifdef MLP_EMULATED

TEST_CASE("nothing is allocated on the GPU after the first epoch, and whole batches are replayed",
          "[training]") {
  const Table table(true);
  const Stripes stripes(150);
  const auto check = [](FitSpec spec, const Dataset& data) {
    spec.gpu = 0;
    std::vector<unsigned long> counts;
    FitCallbacks callbacks;
    callbacks.on_epoch = [&](const EpochReport&) { counts.push_back(emulate::allocations()); };
    const unsigned long before = emulate::allocations();
    const unsigned long launches = emulate::graph_launches();
    static_cast<void>(fit(spec, data, callbacks));
    REQUIRE(counts.size() == 3);
    CHECK(counts[0] > before);
    CHECK(counts == std::vector<unsigned long>(3, counts[0]));
    // But for the first one, which is queued.
    const auto whole =
        static_cast<unsigned long>(data.train.size()) / static_cast<unsigned long>(spec.batch);
    CHECK(emulate::graph_launches() - launches == 3 * whole - 1);
  };
  const std::size_t reserve = GENERATE(kSmallReserve, kNoRoom);
  FitSpec dense = dense_spec();
  FitSpec conv = conv_spec();
  dense.gpu_reserve = conv.gpu_reserve = reserve;
  check(dense, table.data);
  check(conv, stripes.data);
}

TEST_CASE("data that would just fit on the GPU leave room for what comes after them",
          "[training]") {
  const Table table(true, 512, 12000); // 24 MiB: more than what the streams need
  FitSpec spec = dense_spec();
  spec.hidden = {{16, Activation::relu}};
  spec.epochs = 1;
  spec.gpu = 0;
  const std::size_t data = table.data.features.size_bytes();
  emulate::limit_memory(SIZE_MAX);
  REQUIRE(emulate::memory_in_use() == 0);
  const FitResult free = run(spec, table.data, true).result;
  const std::size_t resident = emulate::most_memory_used(); // with the reserve

  // What is taken behind the data, out of the reserve, does not grow with the rows.
  const auto behind = [&spec](const Dataset& rows) {
    std::size_t in_use = 0;
    FitCallbacks callbacks;
    callbacks.on_epoch = [&](const EpochReport&) { in_use = emulate::memory_in_use(); };
    emulate::limit_memory(SIZE_MAX);
    static_cast<void>(fit(spec, rows, callbacks));
    return in_use + spec.gpu_reserve - emulate::most_memory_used();
  };
  Dataset fewer = table.data;
  fewer.train = fewer.train.first(100);
  fewer.validation = fewer.validation.first(20);
  fewer.test = fewer.test.first(20);
  CHECK(behind(table.data) == behind(fewer));
  CHECK(behind(fewer) < kSmallReserve);

  emulate::limit_memory(data); // not with anything beside them
  check_same_bits(run(spec, table.data, true).result.network, free.network);
  const std::size_t streamed = emulate::most_memory_used();
  REQUIRE(streamed < data);

  // Where only the reserve is missing, the data alone, or some of them.
  std::vector<std::size_t> limits{resident - 1, resident - kSmallReserve,
                                  resident - kSmallReserve - 1};
  for (std::size_t at = 1; at <= 6; ++at)
    limits.push_back(resident - kSmallReserve - at * 256);
  for (std::size_t at = 0; at < 4; ++at)
    limits.push_back(streamed + (resident - streamed) / 4 * at);
  for (const std::size_t limit : limits) {
    CAPTURE(limit, resident, streamed);
    emulate::limit_memory(limit);
    check_same_bits(run(spec, table.data, true).result.network, free.network);
  }
  emulate::limit_memory(resident);
  check_same_bits(run(spec, table.data, true).result.network, free.network);
  CHECK(emulate::most_memory_used() == resident);

  // Not even a batch fits.
  emulate::limit_memory(streamed / 2);
  try {
    static_cast<void>(run(spec, table.data, true));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.message().find("has no memory") != std::string::npos);
    CHECK(error.hints().size() == 1);
  }
  emulate::limit_memory(SIZE_MAX);
  CHECK(emulate::memory_in_use() == 0);
}

#endif
