// Models on an accelerator give what they give on the CPU, whichever steps run where, and however
// often they are called. Runs on the CUDA device's own code, emulated.
#include "core/base/fs.hpp"
#include "kernels/check/emulate/control.hpp"
#include "tests/conformance/accelerator_models.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <cmath>
#include <cstring>
#include <fstream>
#include <thread>

using namespace mlp;
using namespace mlp::native;
using namespace mlp::native::test;

TEST_CASE("elementwise neighbours become one step between products", "[accelerator]") {
  const std::string bytes = gated_network().bytes();
  const Program on_gpu(bytes, host(), {}, true, &gpu());
  CHECK(on_gpu.step_names() == Names{"MatMul+bias", "Sigmoid+Mul+Add+HardSigmoid+Mul", "MatMul"});
  CHECK(on_gpu.step_places() == std::vector<Place>(3, Place::device));
  const Program on_cpu(bytes, host());
  CHECK(on_cpu.step_names() ==
        Names{"MatMul+bias", "Sigmoid", "Mul", "Add", "HardSigmoid", "Mul", "MatMul"});
  check_batches(on_cpu, on_gpu, Dims{1, 6});
}

TEST_CASE("an image network runs on the accelerator alone", "[accelerator]") {
  const std::string bytes = image_network().bytes();
  const Program on_gpu(bytes, host(), {}, true, &gpu());
  CHECK(on_gpu.step_names() == Names{"Conv+relu", "BatchNormalization", "LeakyRelu", "MaxPool",
                                     "GlobalAveragePool", "Flatten", "Gemm", "Softmax"});
  check_batches(Program(bytes, host()), on_gpu, Dims{1, 2, 8, 8});
}

TEST_CASE("a residual block runs on the accelerator alone", "[accelerator]") {
  const std::string bytes = residual_block().bytes();
  const Program on_gpu(bytes, host(), {}, true, &gpu());
  for (const Place place : on_gpu.step_places())
    CHECK(place != Place::host);
  check_batches(Program(bytes, host()), on_gpu, Dims{1, 3, 16, 16});
  Program::Context context(on_gpu);
  for (int call = 0; call < 5; ++call)
    static_cast<void>(run(context, Dims{2, 3, 16, 16}, numbers(2 * 768)));
  CHECK(context.replays() == 3);
}

TEST_CASE("an encoder runs on the accelerator alone, embeddings and mask included",
          "[accelerator]") {
  const bool in_parts = GENERATE(false, true);
  const Mask mask = GENERATE(Mask::added, Mask::chosen, Mask::causal);
  const std::string bytes = encoder(in_parts, mask).bytes();
  const Program on_cpu(bytes, host());
  const Program on_gpu(bytes, host(), {}, true, &gpu());
  Program::Context reference(on_cpu);
  Program::Context context(on_gpu);
  const Names names = on_gpu.step_names();
  CHECK(std::ranges::count(names, "LayerNormalization") == 3);
  CHECK(std::ranges::find(names, "ReduceMean") == names.end());
  // What is left for the host is arithmetic of shapes: a call whose shape has come before is played
  // from its recording, in which nothing runs on the host and nothing is copied from or to it but
  // the inputs, the result and the word that says whether an index was wrong.
  std::uint64_t calls = 0;
  for (const std::int64_t n : {1, 3})
    for (const std::int64_t length : {4, 9}) {
      for (int call = 0; call < 5; ++call) {
        const Tokens t = tokens(n, length, call);
        const unsigned long before = emulate::copies();
        check_same(run(context, t), run(reference, t));
        if (call >= 2) CHECK(emulate::copies() - before == 4);
      }
      calls += 3;
    }
  CHECK(context.replays() == calls);
  const Program unfused(bytes, host(), {}, false, &gpu());
  Program::Context plain(unfused);
  const Tokens t = tokens(2, 7, 3);
  check_same(run(plain, t), run(reference, t));
}

TEST_CASE("an index out of range is an error on the accelerator too", "[accelerator]") {
  const Program on_gpu(encoder(false, Mask::added).bytes(), host(), {}, true, &gpu());
  Program::Context context(on_gpu);
  const Tokens good = tokens(2, 4, 1);
  const std::vector<float> want = run(context, good);
  for (int call = 0; call < 4; ++call) { // computed, recorded and played
    for (const std::int64_t wrong : {kTokens, -kTokens - 1, INT64_MAX, INT64_MIN}) {
      Tokens bad = good;
      bad.ids[5] = wrong;
      CHECK_THROWS_WITH(run(context, bad), Catch::Contains("outside of the axis"));
      context.clear();
    }
    CHECK(run(context, good) == want);
  }
}

namespace {

// Two columns of categories beside one of numbers, joined as the built-in trainer's models do it.
ModelBuilder table_network() {
  ModelBuilder b;
  b.input("number", {-1, 1});
  b.floats("mean", {1, 1}, {0.25F});
  b.node("Sub", {"number", "mean"}, {"centred"});
  b.floats("off_on", {2}, {0.0F, 1.0F});
  b.integers("axes", {1});
  for (const std::string name : {"colour", "size"}) {
    const std::string depth = name + "/depth", hot = name + "/one_hot", flat = name + "/flat";
    b.input(name, {-1, 1}, onnx::TensorProto::INT64);
    b.integers(depth, {name == "size" ? 3 : 7}).clear_dims();
    ModelBuilder::attribute(
        b.node("OneHot", {name.c_str(), depth.c_str(), "off_on"}, {hot.c_str()}), "axis", -1);
    b.node("Squeeze", {hot.c_str(), "axes"}, {flat.c_str()});
  }
  ModelBuilder::attribute(b.node("Concat", {"centred", "colour/flat", "size/flat"}, {"features"}),
                          "axis", 1);
  b.floats("w", {4, 11}, numbers(44));
  ModelBuilder::attribute(b.node("Gemm", {"features", "w"}, {"logits"}), "transB", 1);
  ModelBuilder::attribute(b.node("Softmax", {"logits"}, {"y"}), "axis", 1);
  b.output("y", {-1, 4});
  return b;
}

std::vector<float> run_table(Program::Context& context, std::int64_t rows, std::int64_t seed) {
  std::vector<Value> inputs{context.memory().allocate(Type::f32, Dims{rows, 1})};
  for (int column = 0; column < 2; ++column)
    inputs.push_back(context.memory().allocate(Type::i64, Dims{rows, 1}));
  for (std::int64_t i = 0; i < rows; ++i) {
    inputs[0].data<float>()[i] = static_cast<float>((i + seed) % 5) * 0.3F;
    inputs[1].data<std::int64_t>()[i] = (i * 3 + seed) % 9 - 1; // from the end, and no category
    inputs[2].data<std::int64_t>()[i] = (i + seed) % 3;
  }
  const auto y = context.run(inputs)[0].elements<float>();
  std::vector<float> copy(y.begin(), y.end());
  context.clear();
  return copy;
}

// OneHot of `indices` alone, where a node for the accelerator follows it.
struct HotModel {
  int index = onnx::TensorProto::INT64, value = onnx::TensorProto::FLOAT;
  std::int64_t axis = -1;
};
std::string one_hot(const HotModel& model) {
  ModelBuilder b(19);
  b.input("x", {-1, 3}, model.index);
  b.integers("depth", {4});
  auto& values = *b.graph().add_initializer();
  values.set_name("values");
  values.set_data_type(model.value);
  values.add_dims(2);
  for (const char* text : {"5", "9"}) {
    if (model.value == onnx::TensorProto::STRING)
      values.add_string_data(text);
    else if (model.value == onnx::TensorProto::FLOAT)
      values.add_float_data(std::stof(text));
    else if (model.value == onnx::TensorProto::INT64)
      values.add_int64_data(std::stol(text));
    else
      values.add_int32_data(std::stoi(text));
  }
  ModelBuilder::attribute(b.node("OneHot", {"x", "depth", "values"}, {"hot"}), "axis", model.axis);
  if (model.value == onnx::TensorProto::STRING) {
    b.output("hot", {-1, -1, -1}, model.value);
    return b.bytes();
  }
  b.node("Transpose", {"hot"}, {"y"});
  b.output("y", {-1, -1, -1}, model.value);
  return b.bytes();
}

} // namespace

TEST_CASE("a table's categories become one-hot on the accelerator alone", "[accelerator]") {
  const std::string bytes = table_network().bytes();
  const Program on_cpu(bytes, host());
  const Program on_gpu(bytes, host(), {}, true, &gpu());
  for (const Place place : on_gpu.step_places())
    CHECK(place != Place::host);
  Program::Context reference(on_cpu);
  Program::Context context(on_gpu);
  std::uint64_t calls = 0;
  for (const std::int64_t rows : {1, 16, 41}) {
    for (int call = 0; call < 5; ++call)
      check_same(run_table(context, rows, call), run_table(reference, rows, call));
    calls += 3;
  }
  CHECK(context.replays() == calls);
}

TEST_CASE("one-hot on the accelerator is ONNX's for each type and axis", "[accelerator]") {
  using Proto = onnx::TensorProto;
  const std::vector<std::int64_t> indices = {0, 3, -1, -4, 4, -5};
  const auto check = [&](const HotModel& model, bool there) {
    INFO("indices " << model.index << ", values " << model.value << ", axis " << model.axis);
    const std::string bytes = one_hot(model);
    const Program program(bytes, host(), {}, true, &gpu());
    CHECK((program.step_places()[0] == Place::moves) == there);
    Program::Context context(program);
    std::vector<Value> inputs{context.memory().allocate(*type_from_onnx(model.index), Dims{2, 3})};
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (model.index == Proto::INT64)
        inputs[0].data<std::int64_t>()[i] = indices[i];
      else if (model.index == Proto::INT32)
        inputs[0].data<std::int32_t>()[i] = static_cast<std::int32_t>(indices[i]);
      else
        inputs[0].data<float>()[i] = static_cast<float>(indices[i]);
    }
    const Value y = context.run(inputs)[0];
    // The new axis of the shape [2, 3]; Transpose turns all axes round, but texts have none.
    const std::size_t axis = model.axis < 0 ? 2 : static_cast<std::size_t>(model.axis);
    const bool turned = model.value != Proto::STRING;
    Dims dims{2, 3};
    dims.insert(axis, 4);
    Dims want = dims;
    if (turned) std::reverse(want.begin(), want.end());
    REQUIRE(y.dims == want);
    for (std::int64_t at = 0; at < 24; ++at) {
      std::int64_t place[3] = {at / (dims[1] * dims[2]), at / dims[2] % dims[1], at % dims[2]};
      const std::int64_t there_at =
          turned ? (place[2] * dims[1] + place[1]) * dims[0] + place[0] : at;
      const std::int64_t category = place[axis];
      const std::int64_t row = place[axis == 0 ? 1 : 0]; // of the indices
      const std::int64_t column = place[axis == 2 ? 1 : 2];
      const std::int64_t index = indices[static_cast<std::size_t>(row * 3 + column)];
      const bool hot = index == category || index == category - 4;
      const auto number = static_cast<std::size_t>(there_at);
      if (model.value == Proto::STRING)
        CHECK(y.elements<std::string>()[number] == (hot ? "9" : "5"));
      else if (model.value == Proto::FLOAT)
        CHECK(y.elements<float>()[number] == (hot ? 9.0F : 5.0F));
      else if (model.value == Proto::INT64)
        CHECK(y.elements<std::int64_t>()[number] == (hot ? 9 : 5));
      else
        CHECK(y.elements<std::uint8_t>()[number] == (hot ? 9 : 5));
    }
    context.clear();
  };
  for (const std::int64_t axis : {-1, 0, 1})
    for (const int value : {Proto::FLOAT, Proto::INT64, Proto::UINT8})
      for (const int index : {Proto::INT32, Proto::INT64})
        check({index, value, axis}, true);
  check({Proto::FLOAT, Proto::FLOAT, 1}, false); // what is no integer stays on the host
  check({Proto::INT64, Proto::STRING, -1}, false);
}

TEST_CASE("a result that two nodes or the caller read is not fused away", "[accelerator]") {
  ModelBuilder b;
  b.input("x", {-1, 4});
  b.node("Exp", {"x"}, {"e"}); // read twice, by nodes that end in one
  b.node("Neg", {"e"}, {"n"});
  b.node("Mul", {"e", "n"}, {"m"}); // also an output
  b.node("Abs", {"m"}, {"a"});
  b.node("Sqrt", {"a"}, {"s"});
  b.output("s", {-1, 4});
  b.output("m", {-1, 4});
  const Program on_gpu(b.bytes(), host(), {}, true, &gpu());
  CHECK(on_gpu.step_names() == Names{"Exp+Neg+Mul", "Abs+Sqrt"});
  check_batches(Program(b.bytes(), host()), on_gpu, Dims{1, 4});
}

TEST_CASE("constants that are integers are exact", "[accelerator]") {
  constexpr std::int64_t kFloat = std::int64_t{1} << 24, kDouble = std::int64_t{1} << 53;
  for (const std::int64_t constant :
       {kFloat, kFloat + 1, -kFloat - 1, kDouble + 1, -kDouble - 1, INT64_MAX}) {
    ModelBuilder b;
    b.input("x", {-1}, onnx::TensorProto::INT64);
    b.integers("c", {constant});
    b.node("Add", {"x", "c"}, {"y"});
    b.output("y", {-1}, onnx::TensorProto::INT64);
    const Program program(b.bytes(), host(), {}, true, &gpu());
    CHECK(program.step_places() == std::vector<Place>{Place::device});
    Program::Context context(program);
    std::vector<Value> inputs{context.memory().allocate(Type::i64, Dims{3})};
    const std::int64_t x[] = {0, -3, -7};
    std::copy_n(x, 3, inputs[0].data<std::int64_t>());
    const auto y = context.run(inputs)[0].elements<std::int64_t>();
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(y[i] == constant + x[i]);
    context.clear();
  }
}

TEST_CASE("a large constant is moved where it is used", "[accelerator]") {
  ModelBuilder b; // the words of a model of language, shared by its first and its last step
  b.input("x", {-1, 256});
  b.floats("words", {300, 256}, numbers(300 * 256, 0.1F));
  b.integers("zero", {0});
  b.integers("first", {0});
  b.node("Shape", {"x"}, {"shape"});
  b.node("Gather", {"shape", "zero"}, {"n"});
  b.node("Slice", {"words", "first", "n"}, {"rows"});
  b.node("Add", {"x", "rows"}, {"h"});
  list_attribute(b.node("Transpose", {"words"}, {"turned"}), "perm", {1, 0});
  b.node("MatMul", {"h", "turned"}, {"y"});
  b.output("y", {-1, 300});
  const Limits limits{.folded_bytes = 1 << 16}; // as if it were too large to be turned at load
  const Program on_gpu(b.bytes(), host(), limits, true, &gpu());
  const Names names = on_gpu.step_names();
  const std::vector<Place> places = on_gpu.step_places();
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == "Transpose" || names[i] == "Slice") CHECK(places[i] == Place::moves);
  CHECK(std::ranges::count(names, "Transpose") == 1);
  check_batches(Program(b.bytes(), host()), on_gpu, Dims{1, 256});
  Program::Context context(on_gpu);
  for (int call = 0; call < 5; ++call) {
    const unsigned long before = emulate::copies();
    static_cast<void>(run(context, Dims{2, 256}, numbers(512)));
    if (call != 1) CHECK(emulate::copies() - before == 2); // x and y; the second call is recorded
  }
  CHECK(context.replays() == 3);
}

TEST_CASE("a fused normalisation broadcasts as its parts did", "[accelerator]") {
  ModelBuilder b;
  b.input("x", {-1, 1});
  normalize(b, "x", "y", true);
  b.output("y", {-1, kWide});
  const Program on_gpu(b.bytes(), host(), {}, true, &gpu());
  CHECK(on_gpu.step_names() == Names{"LayerNormalization"});
  check_batches(Program(b.bytes(), host(), {}, false), on_gpu, Dims{1, 1});
}

TEST_CASE("pooling all of an image is a reduction", "[accelerator]") {
  for (const char* op : {"GlobalMaxPool", "GlobalAveragePool"}) {
    ModelBuilder b;
    b.input("x", {-1, 2, 3, 5});
    b.node(op, {"x"}, {"y"});
    b.output("y", {-1, 2, 1, 1});
    const Program on_cpu(b.bytes(), host());
    const Program on_gpu(b.bytes(), host(), {}, true, &gpu());
    check_batches(on_cpu, on_gpu, Dims{1, 2, 3, 5});
    std::vector<float> x = numbers(60);
    std::fill_n(x.begin(), 15, -std::numeric_limits<float>::infinity());
    Program::Context reference(on_cpu);
    Program::Context context(on_gpu);
    const std::vector<float> want = run(reference, Dims{2, 2, 3, 5}, x);
    const std::vector<float> have = run(context, Dims{2, 2, 3, 5}, x);
    CHECK(have[0] == want[0]);
    CHECK(have[1] == Approx(want[1]));
  }
}

TEST_CASE("pads that the host refuses are refused on the accelerator", "[accelerator]") {
  const auto expect = [](std::int64_t begin, std::int64_t end, bool is_float, const char* message) {
    ModelBuilder b;
    b.input("x", {-1, 4});
    b.integers("pads", {0, begin, 0, end});
    b.floats("real", {}, {1.0F});
    b.integers("whole", {1});
    b.node("Pad", {"x", "pads", is_float ? "real" : "whole"}, {"y"});
    b.output("y", {-1, -1});
    for (kernels::Device* accelerator : {static_cast<kernels::Device*>(nullptr), &gpu()}) {
      const Program program(b.bytes(), host(), {}, true, accelerator);
      Program::Context context(program);
      CHECK_THROWS_WITH(run(context, Dims{2, 4}, numbers(8)), Catch::Contains(message));
    }
  };
  expect(INT64_MIN, INT64_MAX, true, "do not fit axis 1");
  expect(1, 1, false, "is not a scalar of the input's type");
}

TEST_CASE("an expression too large for one step becomes several", "[accelerator]") {
  ModelBuilder b;
  b.input("x", {-1, 4});
  std::string last = "x";
  for (int i = 0; i < 60; ++i) {
    const std::string next = i == 59 ? "y" : "v" + std::to_string(i);
    b.node(i % 2 == 0 ? "Sin" : "Tanh", {last.c_str()}, {next.c_str()});
    if (i % 2 == 0) b.graph().mutable_node(i)->set_op_type("Softsign");
    last = next;
  }
  b.output("y", {-1, 4});
  const Program on_gpu(b.bytes(), host(), {}, true, &gpu());
  CHECK(on_gpu.step_count() > 1);
  CHECK(on_gpu.step_count() < 12);
  check_batches(Program(b.bytes(), host()), on_gpu, Dims{1, 4});
}

TEST_CASE("what the accelerator lacks runs on the host in between", "[accelerator]") {
  ModelBuilder b;
  b.input("x", {-1, 4});
  b.floats("w", {4, 4}, numbers(16));
  b.node("MatMul", {"x", "w"}, {"z"});
  b.node("Hardmax", {"z"}, {"c"});
  b.node("Sub", {"z", "c"}, {"d"});
  b.node("Shape", {"d"}, {"shape"});
  b.node("Reshape", {"x", "shape"}, {"again"});
  b.node("Add", {"d", "again"}, {"y"});
  b.output("y", {-1, 4});
  const Program on_gpu(b.bytes(), host(), {}, true, &gpu());
  std::size_t on_host = 0;
  for (const Place place : on_gpu.step_places())
    on_host += place == Place::host ? 1 : 0;
  CHECK(on_host == 1);
  check_batches(Program(b.bytes(), host()), on_gpu, Dims{1, 4});
  Program::Context context(on_gpu);
  for (int call = 0; call < 4; ++call)
    static_cast<void>(run(context, Dims{2, 4}, numbers(8)));
  CHECK(context.replays() == 0); // the host's part cannot be recorded
}

TEST_CASE("a shape that comes again is played again, and allocates nothing", "[accelerator]") {
  const std::string bytes = image_network().bytes();
  const Program program(bytes, host(), {}, true, &gpu());
  Program::Context context(program);
  const std::vector<float> x = numbers(3 * 128);
  const std::vector<float> first = run(context, Dims{3, 2, 8, 8}, x);
  const unsigned long before = emulate::allocations();
  CHECK(run(context, Dims{3, 2, 8, 8}, x) == first);
  const unsigned long recorded = emulate::allocations();
  for (int call = 0; call < 50; ++call)
    CHECK(run(context, Dims{3, 2, 8, 8}, x) == first);
  CHECK(context.replays() == 50);
  CHECK(emulate::allocations() == recorded);
  CHECK(recorded > before); // a recording has memory of its own

  // Shapes that never end keep a bounded number of recordings.
  for (std::int64_t batch = 1; batch <= 40; ++batch)
    for (int call = 0; call < 3; ++call)
      static_cast<void>(
          run(context, Dims{batch, 2, 8, 8}, numbers(static_cast<std::size_t>(batch) * 128)));
  CHECK(run(context, Dims{3, 2, 8, 8}, x) == first);
}

TEST_CASE("many threads use one runtime on the accelerator", "[accelerator]") {
  const fs::path file = fs::temp_directory_path() / "mlp-accelerator-test.onnx";
  std::ofstream(file, std::ios::binary) << gated_network().bytes();
  const auto on_gpu = runtime_factory().load(file, {.threads = 1, .device = "cuda"});
  const auto on_cpu = runtime_factory().load(file, {.threads = 1});
  CHECK(runtime_factory().load(file, {.threads = 1, .device = "auto"})->device() == "cuda:0");
  CHECK(on_gpu->device() == "cuda:0");
  CHECK(on_gpu->cpu_reason().empty());
  CHECK(on_cpu->device() == "cpu");
  CHECK(on_cpu->cpu_reason().empty());
  CHECK_THROWS_AS(runtime_factory().load(file, {.threads = 1, .device = "cuda:7"}), Error);
  CHECK_THROWS_AS(runtime_factory().load(file, {.threads = 1, .device = "gpu"}), Error);
  fs::remove(file);
  std::atomic<int> different = 0;
  const auto ask = [&](std::int64_t rows) {
    model::NamedTensor x{.name = "x", .tensor = {}};
    x.tensor.type = model::DataType::float32;
    x.tensor.shape = {rows, 6};
    const std::vector<float> values = numbers(static_cast<std::size_t>(rows) * 6);
    x.tensor.data.resize(values.size() * sizeof(float));
    std::memcpy(x.tensor.data.data(), values.data(), x.tensor.data.size());
    const std::vector<model::NamedTensor> inputs{x};
    const auto want = on_cpu->infer(inputs, {});
    for (int call = 0; call < 8; ++call) {
      const auto have = on_gpu->infer(inputs, {});
      for (std::int64_t i = 0; i < rows * 3; ++i) {
        float a = 0.0F;
        float b = 0.0F;
        const auto at = static_cast<std::size_t>(i) * sizeof(float);
        std::memcpy(&a, want[0].tensor.data.data() + at, sizeof a);
        std::memcpy(&b, have[0].tensor.data.data() + at, sizeof b);
        if (!(std::fabs(a - b) <= 1e-4F)) ++different;
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (const std::int64_t rows : {1, 2, 3, 2, 1, 9})
      threads.emplace_back(ask, rows);
  }
  CHECK(different == 0);
}

TEST_CASE("a model of which a GPU does nothing runs on the CPU, and says why", "[accelerator]") {
  ModelBuilder b;
  b.input("x", {-1, 4});
  b.node("Hardmax", {"x"}, {"y"});
  b.output("y", {-1, 4});
  const TemporaryDirectory folder;
  const fs::path file = folder.path() / "hardmax.onnx";
  std::ofstream(file, std::ios::binary) << b.bytes();
  const auto runtime = runtime_factory().load(file, {.threads = 1, .device = "auto"});
  CHECK(runtime->device() == "cpu");
  CHECK(runtime->cpu_reason() == "a GPU does none of the model's operators");
}

TEST_CASE("a failure on the accelerator names the node, and the next call works", "[accelerator]") {
  ModelBuilder b;
  b.input("x", {-1, -1});
  b.floats("w", {4, 2}, numbers(8));
  b.node("Relu", {"x"}, {"r"});
  b.node("MatMul", {"r", "w"}, {"y"}).set_name("dense");
  b.output("y", {-1, 2});
  const Program program(b.bytes(), host(), {}, true, &gpu());
  Program::Context context(program);
  std::vector<Value> inputs{context.memory().allocate(Type::f32, Dims{2, 3})};
  std::fill_n(inputs[0].data<float>(), 6, 1.0F);
  CHECK_THROWS_WITH(context.run(inputs), Catch::Contains("do not fit a product"));
  context.clear();
  CHECK(run(context, Dims{2, 4}, numbers(8)).size() == 4);
}

TEST_CASE("the models that are kept for tests give the same on the accelerator", "[accelerator]") {
  for (const char* name : {"pixels.onnx", "species.onnx"}) {
    const fs::path file = fs::path(MLP_SOURCE_DIR) / "tests/data/onnx" / name;
    const auto on_gpu = runtime_factory().load(file, {.threads = 1, .device = "cuda"});
    const auto on_cpu = runtime_factory().load(file, {.threads = 1});
    std::vector<model::NamedTensor> inputs;
    for (const model::TensorSpec& spec : on_cpu->signature().inputs) {
      model::NamedTensor input{.name = spec.name, .tensor = {}};
      input.tensor.type = spec.type;
      std::size_t count = 1;
      for (const std::int64_t dim : spec.shape) {
        input.tensor.shape.push_back(dim < 0 ? 3 : dim);
        count *= static_cast<std::size_t>(input.tensor.shape.back());
      }
      if (spec.type == model::DataType::string)
        input.tensor.strings.assign(count, "blue");
      else
        input.tensor.data.resize(count * model::data_type_size(spec.type));
      inputs.push_back(std::move(input));
    }
    const auto want = on_cpu->infer(inputs, {});
    for (int call = 0; call < 4; ++call) {
      const auto have = on_gpu->infer(inputs, {});
      REQUIRE(have.size() == want.size());
      for (std::size_t i = 0; i < want.size(); ++i) {
        CHECK(have[i].tensor.shape == want[i].tensor.shape);
        CHECK(have[i].tensor.strings == want[i].tensor.strings);
        if (want[i].tensor.type != model::DataType::float32) continue;
        for (std::size_t at = 0; at < want[i].tensor.data.size(); at += sizeof(float)) {
          float a = 0.0F;
          float b = 0.0F;
          std::memcpy(&a, want[i].tensor.data.data() + at, sizeof a);
          std::memcpy(&b, have[i].tensor.data.data() + at, sizeof b);
          CHECK(b == Approx(a).margin(1e-5));
        }
      }
    }
  }
}
