// kernels_bench: how fast each operation of a device is, beside what this machine can do.
//
//   kernels_bench [--device cpu|cuda:N] [--precision f32|tf32|bf16] [threads] [repetitions]
//
// prints one JSON line an operation. The precision is that of products of f32 operands on a GPU.
// For a product the limit on a CPU is the rate of fused multiply-adds, measured in registers with
// as many threads; on a GPU it is the rate of a large square product. For the others it is the
// bandwidth: the bytes that the operation has to move at least (each input read once, each output
// written once), against those of a copy (memcpy; on a GPU the driver's) that moves as many bytes
// in the same time; so what fits into a cache is compared with that cache. The best of several
// repetitions counts on both sides. On a GPU a repetition is a recorded graph of many runs, so that
// what counts is the GPU's time and not that of queuing.
//
// There, what NVIDIA's library does of the same operation stands beside it, as far as it has one:
// `peer` is the library and how many of its algorithms were tried, `of_peer` the fastest one's time
// divided by ours, from the medians of both in turn. `peer_differs`: the results are not the same.
#include "kernels/bench/rig.hpp"
#include "kernels/philox.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace mlp::kernels::bench {

namespace {

class Bench : Rig {
 public:
  using Rig::Rig;

  void run() {
    measure_limits();
    if (on_gpu_) own_copy();
    matmuls(DType::f32);
    if (on_gpu_) matmuls(DType::bf16);
    conv("conv 3x3",
         {.batch = 32,
          .channels = 32,
          .out_channels = 64,
          .in = {28, 28},
          .window = {.rank = 2, .kernel = {3, 3}, .pad_begin = {1, 1}, .pad_end = {1, 1}}});
    conv("conv 1x1",
         {.batch = 32, .channels = 64, .out_channels = 64, .in = {28, 28}, .window = {.rank = 2}});
    trained("1 to 32 channels", trained_shape(1, 32));
    trained("32 to 64 channels", trained_shape(32, 64));
    trained_pooling();
    layers();
    expressions("", 4096);
    if (on_gpu_) expressions("beyond all caches, ", 65'536);
    tensors();
    losses();
    optimizers();
    batches();
  }

 private:
  // Our own copying kernel, beside the driver's copy.
  void own_copy() {
    constexpr std::int64_t kCount = std::int64_t{32} << 20;
    const Buffer from = floats(kCount);
    const Buffer to = zeros(kCount);
    move("copy of 128 MiB", 8 * kCount, [&] {
      device_->activation(stream_, Activation::none, kCount, from.as<float>(), to.as<float>());
    });
  }

  void matmuls(DType dtype) {
    struct Shape {
      const char* name;
      MatmulSpec spec;
    };
    const Shape shapes[] = {
        {"forward 128x256x784", {.m = 128, .n = 256, .k = 784, .transpose_b = true}},
        {"forward, bias, relu 128x256x784",
         {.m = 128,
          .n = 256,
          .k = 784,
          .transpose_b = true,
          .bias = true,
          .activation = Activation::relu}},
        {"weight gradient 256x784x128", {.m = 256, .n = 784, .k = 128, .transpose_a = true}},
        {"data gradient 128x256x128", {.m = 128, .n = 256, .k = 128}},
        {"one row 1x256x784", {.m = 1, .n = 256, .k = 784, .transpose_b = true}},
        {"square 1024", {.m = 1024, .n = 1024, .k = 1024}},
        {"square 4096", {.m = 4096, .n = 4096, .k = 4096}},
    };
    constexpr int kProposals = 16; // of the library, to find its best
    constexpr std::int64_t kLargestOnCpu = 1024;
    const double peak = dtype == DType::bf16 ? peak_bf16_ : peak_;
    for (const Shape& shape : shapes) {
      MatmulSpec s = shape.spec;
      if (!on_gpu_ && s.m > kLargestOnCpu) continue;
      s.dtype = dtype;
      const std::string name =
          std::string("matmul ") + (dtype == DType::bf16 ? "of bf16, " : "") + shape.name;
      const Buffer a = numbers(s.m * s.k, dtype);
      const Buffer b = numbers(s.k * s.n, dtype);
      const Buffer c = numbers(s.m * s.n, dtype);
      const Buffer bias = numbers(s.n, dtype);
      const auto plan = device_->plan(s);
      const Buffer workspace(*device_, plan->workspace_bytes());
      const auto peer = peer_of(name, [&] {
        return cublas_product(*device_, s, precision_, kProposals, a.data(), b.data(), bias.data(),
                              c.data());
      });
      const auto ours = [&] {
        plan->run(stream_, a.data(), b.data(), bias.data(), c.data(), workspace.data());
      };
      compute(name, 2.0 * static_cast<double>(s.m * s.n * s.k), peak, ours,
              beside(ours, peer.get(), c.data(), s.m * s.n, dtype));
    }
  }

  void conv(const char* name, const ConvSpec& s) {
    const std::int64_t pixels =
        output_size(s.window, 0, s.in[0]) * output_size(s.window, 1, s.in[1]);
    const std::int64_t taps = s.channels * s.window.kernel[0] * s.window.kernel[1];
    const Buffer x = floats(s.batch * s.channels * s.in[0] * s.in[1]);
    const Buffer w = floats(s.out_channels * taps);
    const Buffer y = floats(s.batch * s.out_channels * pixels);
    const auto plan = device_->plan(s);
    const Buffer prepared(*device_, plan->prepared_bytes());
    const Buffer workspace(*device_, plan->workspace_bytes());
    plan->prepare_weights(stream_, w.data(), prepared.data(), workspace.data());
    compute(name, 2.0 * static_cast<double>(s.batch * s.out_channels * pixels * taps), peak_, [&] {
      plan->run(stream_, x.data(), prepared.data(), nullptr, y.data(), workspace.data());
    });
  }

  // A batch of small images, 3x3.
  static ConvSpec trained_shape(std::int64_t channels, std::int64_t out_channels) {
    return {.batch = 128,
            .channels = channels,
            .out_channels = out_channels,
            .in = {28, 28},
            .window = {.rank = 2, .kernel = {3, 3}, .pad_begin = {1, 1}, .pad_end = {1, 1}}};
  }
  void trained(const std::string& name, const ConvSpec& s) {
    const std::int64_t pixels = s.batch * s.in[0] * s.in[1];
    const std::int64_t weights = s.out_channels * s.channels * 9;
    const Buffer x = floats(pixels * s.channels);
    const Buffer w = floats(weights);
    const Buffer y = floats(pixels * s.out_channels);
    const auto plan = device_->plan_training(s);
    const Buffer room(*device_, plan->workspace_bytes());
    const double operations = 2.0 * static_cast<double>(pixels * weights);
    compute("trained conv forward " + name, operations, peak_, [&] {
      plan->forward(stream_, x.as<float>(), w.as<float>(), y.as<float>(), room.data());
    });
    compute("trained conv backward data " + name, operations, peak_, [&] {
      plan->backward_data(stream_, y.as<float>(), w.as<float>(), x.as<float>(), room.data());
    });
    compute("trained conv backward weights " + name, operations, peak_, [&] {
      plan->backward_weights(stream_, x.as<float>(), y.as<float>(), w.as<float>(), room.data());
    });
  }
  void trained_pooling() {
    const auto measure = [&](const std::string& name, Pool kind, std::int64_t channels) {
      const PoolSpec s{.kind = kind,
                       .batch = 128,
                       .channels = channels,
                       .in = {28, 28},
                       .out = {14, 14},
                       .window = {.rank = 2, .kernel = {2, 2}, .stride = {2, 2}}};
      const std::int64_t size = s.batch * 28 * 28 * channels;
      const Buffer x = floats(size);
      const Buffer dx = floats(size);
      const Buffer y = floats(size / 4);
      const Buffer dy = floats(size / 4);
      const Buffer index = zeros(size / 4);
      const std::int64_t bytes = kind == Pool::max ? size * 6 : size * 5; // index as large as y
      const auto forward = [&] {
        device_->pool_training(stream_, s, x.as<float>(), y.as<float>(), index.as<std::int32_t>());
      };
      const auto backward = [&] {
        device_->pool_backward(stream_, s, dy.as<float>(), index.as<std::int32_t>(),
                               dx.as<float>());
      };
      auto peer = peer_of(name, [&] { return cudnn_pool(s, true, x.as<float>(), y.as<float>()); });
      move("trained " + name, bytes, forward,
           beside(forward, peer.get(), y.data(), size / 4, DType::f32));
      peer = peer_of(name, [&] {
        return cudnn_pool_backward(s, true, x.as<float>(), y.as<float>(), dy.as<float>(),
                                   dx.as<float>());
      });
      move("trained " + name + " backward", bytes, backward,
           beside(backward, peer.get(), dx.data(), size, DType::f32));
    };
    measure("max pool 2x2, 32 channels", Pool::max, 32);
    measure("max pool 2x2, 1 channel", Pool::max, 1);
    measure("average pool 2x2, 32 channels", Pool::average, 32);
  }

  void layers() {
    constexpr std::int64_t kRows = 1024;
    constexpr std::int64_t kCols = 512;
    constexpr std::int64_t kBytes = kRows * kCols * 4;
    const Buffer x = floats(kRows * kCols);
    const Buffer y = floats(kRows * kCols);
    const Buffer dy = floats(kRows * kCols);
    const Buffer columns = floats(kCols * 6);
    const auto column = [&](int i) { return columns.as<float>() + i * kCols; };
    const Buffer state_buffer = upload(std::vector<StepState>{{.step = 7, .seed = 1}});
    const auto* state = state_buffer.as<StepState>();
    const auto epilogue = [&](const char* name, Activation activation, float dropout) {
      const EpilogueSpec s{
          .rows = kRows, .cols = kCols, .activation = activation, .dropout = dropout};
      move(std::string("epilogue ") + name, 2 * kBytes,
           [&] { device_->epilogue(stream_, s, state, column(0), x.as<float>(), y.as<float>()); });
      move(std::string("epilogue backward ") + name, 3 * kBytes, [&] {
        device_->epilogue_backward(stream_, s, state, x.as<float>(), y.as<float>(), dy.as<float>(),
                                   dy.as<float>(), column(1));
      });
    };
    device_->zero(stream_, column(0),
                  kCols * sizeof(float)); // so that z stays what it is over the repetitions
    epilogue("relu", Activation::relu, 0.0F);
    epilogue("relu, dropout", Activation::relu, 0.3F);
    epilogue("gelu", Activation::gelu, 0.0F);
    epilogue("tanh", Activation::tanh, 0.0F);
    for (const auto& [name, kind] :
         {std::pair{"relu", Activation::relu}, {"gelu", Activation::gelu}})
      move(std::string("activation backward ") + name, 3 * kBytes, [&, kind = kind] {
        device_->activation_backward(stream_, kind, kRows * kCols, x.as<float>(), dy.as<float>(),
                                     y.as<float>());
      });
    const BatchNormSpec s{.rows = kRows, .cols = kCols};
    move("batch norm", 2 * kBytes, [&] {
      device_->batch_norm(stream_, s, x.as<float>(), column(0), column(1), column(2), column(3),
                          column(4), column(5), y.as<float>());
    });
    move("batch norm backward", 3 * kBytes, [&] {
      device_->batch_norm_backward(stream_, s, x.as<float>(), column(0), column(4), column(5),
                                   dy.as<float>(), y.as<float>(), column(2), column(3));
    });
    constexpr std::int64_t kImages = 16, kChannels = 32; // running_var is one by now
    move("batch norm inference", 2 * kBytes, [&] {
      device_->batch_norm_inference(stream_, kImages, kChannels,
                                    kRows * kCols / (kImages * kChannels), 1e-5F, x.as<float>(),
                                    column(0), column(1), column(2), column(3), y.as<float>());
    });
    move("sum over rows", kBytes,
         [&] { device_->sum_rows(stream_, kRows, kCols, x.as<float>(), column(0)); });
    const PoolSpec pooled{.kind = Pool::max,
                          .batch = 16,
                          .channels = 32,
                          .in = {32, 32},
                          .out = {16, 16},
                          .window = {.rank = 2, .kernel = {2, 2}, .stride = {2, 2}}};
    const auto pool = [&] { device_->pool(stream_, pooled, x.as<float>(), y.as<float>()); };
    const auto peer = peer_of(
        "max pool 2x2", [&] { return cudnn_pool(pooled, false, x.as<float>(), y.as<float>()); });
    move("max pool 2x2", kBytes / 4 * 5, pool,
         beside(pool, peer.get(), y.data(), kRows * kCols / 4, DType::f32));
  }

  // What the ONNX runtime makes of neighbouring elementwise nodes.
  void expressions(const std::string& where, std::int64_t rows) {
    using From = ElementOperand::From;
    constexpr std::int64_t kCols = 1024;
    const std::int64_t size = rows * kCols * 4; // bytes
    const Buffer x = floats(rows * kCols);
    const Buffer r = floats(rows * kCols);
    const Buffer columns = floats(kCols);
    const Buffer y = floats(rows * kCols);
    const void* inputs[] = {x.data(), r.data(), columns.data()};
    const auto input = [](std::uint8_t index) {
      return ElementOperand{.from = From::input, .index = index};
    };
    const ElementOperand saved{.from = From::temporary};
    const auto measure = [&](const char* name, int used, std::int64_t bytes,
                             std::initializer_list<ElementStep> steps) {
      ElementwiseSpec s{.rank = 2, .shape = {rows, kCols}, .inputs = used};
      dense_strides(2, s.shape, s.out);
      dense_strides(2, s.shape, s.input[0]);
      dense_strides(2, s.shape, s.input[1]);
      s.input[2][1] = 1;
      for (const ElementStep& step : steps)
        s.step[s.count++] = step;
      move("elementwise " + where + name, bytes,
           [&] { device_->elementwise(stream_, s, inputs, y.data()); });
    };
    measure("x + r, relu", 2, 3 * size,
            {{ElementOp::load, input(0)}, {ElementOp::add, input(1)}, {ElementOp::relu}});
    measure(
        "x * column + r", 3, 3 * size,
        {{ElementOp::load, input(0)}, {ElementOp::multiply, input(2)}, {ElementOp::add, input(1)}});
    measure("x * sigmoid(x)", 1, 2 * size,
            {{ElementOp::load, input(0)},
             {ElementOp::store, saved},
             {ElementOp::sigmoid},
             {ElementOp::multiply, saved}});
    measure("clip(x * 0.2 + 0.5)", 1, 2 * size,
            {{ElementOp::load, input(0)},
             {ElementOp::multiply, {.number = 0.2F}},
             {ElementOp::add, {.number = 0.5F}},
             {ElementOp::maximum, {.number = 0.0F}},
             {ElementOp::minimum, {.number = 1.0F}}});
  }

  // What else the ONNX runtime asks of an encoder: 32 texts of 128 tokens, 12 heads of 64 numbers.
  void tensors() {
    constexpr std::int64_t kTexts = 32, kLength = 128, kHeads = 12, kDepth = 64;
    constexpr std::int64_t kRows = kTexts * kLength, kCols = kHeads * kDepth;
    constexpr std::int64_t kBytes = kRows * kCols * 4;
    const Buffer x = floats(kRows * kCols);
    const Buffer y = floats(kRows * kCols);
    const Buffer columns = floats(kCols);
    const auto column = columns.as<float>();
    move("layer norm 768", 2 * kBytes, [&] {
      device_->layer_norm(stream_, kRows, kCols, 1e-5F, x.as<float>(), column, column,
                          y.as<float>());
    });
    const auto reduce = [&](const char* name, const ReduceSpec& s) {
      move(std::string("mean ") + name, kBytes,
           [&] { device_->reduce(stream_, s, x.as<float>(), y.as<float>()); });
    };
    reduce("over the last axis", {.kind = Reduce::mean, .outer = kRows, .count = kCols});
    reduce("over the first axis", {.kind = Reduce::mean, .count = kRows, .inner = kCols});
    reduce("over tokens",
           {.kind = Reduce::mean, .outer = kTexts, .count = kLength, .inner = kCols});
    reduce("over all", {.kind = Reduce::mean, .count = kRows * kCols});
    const auto copy = [&](const char* name, std::initializer_list<std::int64_t> shape,
                          std::initializer_list<std::int64_t> strides) {
      CopySpec s{.rank = static_cast<int>(shape.size())};
      std::copy(shape.begin(), shape.end(), s.shape);
      std::copy(strides.begin(), strides.end(), s.in);
      dense_strides(s.rank, s.shape, s.out);
      move(std::string("transpose to ") + name, 2 * kBytes,
           [&] { device_->copy(stream_, s, x.data(), y.data()); });
    };
    copy("heads", {kTexts, kHeads, kLength, kDepth}, {kLength * kCols, kDepth, kCols, 1});
    copy("keys", {kTexts, kHeads, kDepth, kLength}, {kLength * kCols, kDepth, 1, kCols});
    std::vector<std::int64_t> ids(kRows);
    PhiloxSequence random(5, 5);
    for (std::int64_t& id : ids)
      id = static_cast<std::int64_t>(random.below(30'000));
    const Buffer words = floats(30'000 * kCols);
    const Buffer chosen = upload(ids);
    const Buffer fault = zeros(1);
    move("take 4096 of 30000 words", 2 * kBytes, [&] {
      device_->take(stream_, {.size = 30'000, .count = kRows, .inner = kCols * 4}, words.data(),
                    chosen.data(), y.data(), fault.as<std::int32_t>());
    });
  }

  void losses() {
    constexpr std::int64_t kRows = 1024;
    const Buffer stats_buffer = upload(std::vector<LossStats>(1));
    auto* stats = stats_buffer.as<LossStats>();
    for (const std::int64_t classes : {10, 1000}) {
      const Buffer logits = floats(kRows * classes);
      const Buffer gradient = floats(kRows * classes);
      const Buffer labels = upload(std::vector<std::int32_t>(kRows, 3));
      move("softmax cross-entropy " + std::to_string(classes), 2 * kRows * classes * 4, [&] {
        device_->softmax_cross_entropy(stream_, kRows, classes, logits.as<float>(),
                                       labels.as<std::int32_t>(), nullptr, gradient.as<float>(),
                                       stats);
      });
    }
    for (const std::int64_t classes : {10, 1000}) {
      const Buffer x = floats(kRows * classes);
      const Buffer y = floats(kRows * classes);
      move("softmax " + std::to_string(classes), 2 * kRows * classes * 4,
           [&] { device_->softmax(stream_, kRows, classes, x.as<float>(), y.as<float>()); });
    }
    const Buffer p = floats(kRows * 100);
    const Buffer t = floats(kRows * 100);
    const Buffer g = floats(kRows * 100);
    move("squared error", kRows * 1200, [&] {
      device_->squared_error(stream_, kRows, 100, p.as<float>(), t.as<float>(), g.as<float>(),
                             stats);
    });
    move("huber", kRows * 1200, [&] {
      device_->huber(stream_, kRows, 100, 0.5F, p.as<float>(), t.as<float>(), g.as<float>(), stats);
    });
  }

  void optimizers() {
    for (const std::int64_t size : {235'146, 8'000'000}) {
      const Buffer w = floats(size);
      const Buffer g = floats(size);
      const Buffer m = floats(size);
      const Buffer v = upload(std::vector<float>(static_cast<std::size_t>(size), 0.5F));
      const Buffer state_buffer =
          upload(std::vector<StepState>{{.step = 10, .learning_rate = 1e-6F}});
      const auto* state = state_buffer.as<StepState>();
      move("adamw " + std::to_string(size), size * 28, [&] {
        device_->adamw(stream_, {.size = size, .decayed = size}, state, w.as<float>(),
                       g.as<float>(), m.as<float>(), v.as<float>());
      });
      move("sgd " + std::to_string(size), size * 20, [&] {
        device_->sgd(stream_, {.size = size, .decayed = size}, state, w.as<float>(), g.as<float>(),
                     m.as<float>());
      });
    }
  }

  void batches() {
    constexpr std::int64_t kSource = 60'000;
    constexpr std::int64_t kCols = 784;
    constexpr std::int64_t kRows = 128;
    const Buffer pixels = upload(std::vector<std::uint8_t>(kSource * kCols, 100));
    std::vector<std::int32_t> order(kRows);
    PhiloxSequence random(3, 3);
    for (std::int32_t& row : order)
      row = static_cast<std::int32_t>(random.below(kSource));
    const Buffer rows = upload(order);
    const Buffer batch = floats(kRows * kCols);
    const Buffer mean = upload(std::vector<float>{72.9F});
    const Buffer scale = upload(std::vector<float>{0.01F});
    move("gather 128 images", kRows * kCols * 5, [&] {
      device_->gather(
          stream_,
          {.rows = kRows, .cols = kCols, .source = DType::u8, .affine = true, .per_column = false},
          nullptr, pixels.data(), rows.as<std::int32_t>(), mean.as<float>(), scale.as<float>(),
          batch.data());
    });
    constexpr std::int64_t kLabels = 65'536, kDepth = 100;
    std::vector<std::int64_t> labels(kLabels);
    for (std::int64_t& label : labels)
      label = static_cast<std::int64_t>(random.below(kDepth));
    const Buffer indices = upload(labels);
    const Buffer hot = floats(kLabels * kDepth);
    move("one-hot of 100", kLabels * (8 + kDepth * 4), [&] {
      device_->one_hot(stream_, {.outer = kLabels, .depth = kDepth}, indices.data(), hot.data());
    });
  }
};

} // namespace

} // namespace mlp::kernels::bench

int main(int argc, char** argv) try {
  std::vector<std::string> words(argv + 1, argv + argc);
  int gpu = -1;
  bool good = true;
  mlp::kernels::Precision precision = mlp::kernels::Precision::f32;
  while (words.size() >= 2 && words[0].compare(0, 2, "--") == 0) {
    const std::string& value = words[1];
    const std::string prefix = "cuda:";
    if (words[0] == "--precision") {
      using mlp::kernels::Precision;
      precision = value == "tf32"   ? Precision::tf32
                  : value == "bf16" ? Precision::bf16
                                    : Precision::f32;
      good = good && (value == "f32" || precision != Precision::f32);
    } else if (words[0] != "--device") {
      good = false;
    } else if (value.compare(0, prefix.size(), prefix) == 0 && value.size() > prefix.size()) {
      gpu = std::atoi(value.c_str() + prefix.size());
    } else {
      good = good && value == "cpu";
    }
    words.erase(words.begin(), words.begin() + 2);
  }
  const int threads = !words.empty() ? std::atoi(words[0].c_str())
                      : gpu >= 0     ? 1
                                     : mlp::kernels::cpu::usable_cpus();
  const int repetitions = words.size() > 1 ? std::atoi(words[1].c_str()) : 30;
  if (!good || words.size() > 2 || threads < 1 || threads > 1024 || repetitions < 1) {
    std::fprintf(stderr, "usage: kernels_bench [--device cpu|cuda:N] [--precision f32|tf32|bf16] "
                         "[threads] [repetitions]\n");
    return 2;
  }
  mlp::kernels::bench::Bench(gpu, precision, threads, repetitions).run();
  return 0;
} catch (const mlp::kernels::Error& error) {
  std::fprintf(stderr, "kernels_bench: %s\n%s%s%s", error.what(),
               error.hint().empty() ? "" : "hint: ", error.hint().c_str(),
               error.hint().empty() ? "" : "\n");
  return 1;
}
