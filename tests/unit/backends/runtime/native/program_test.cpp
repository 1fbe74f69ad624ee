// The plan of a model: what is folded and fused, and that the results stay the same.
#include "backends/runtime/native/program.hpp"
#include "core/base/error.hpp"
#include "kernels/device.hpp"
#include "tests/unit/backends/runtime/native/model_builder.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

using namespace mlp;
using namespace mlp::native;
using namespace mlp::native::test;
using Names = std::vector<std::string>;

namespace {

kernels::Device& device() {
  static const auto cpu = kernels::make_cpu_device(1);
  return *cpu;
}

std::vector<float> compute(const Program& program, std::initializer_list<std::int64_t> dims,
                           const std::vector<float>& x) {
  Program::Context context(program);
  std::vector<Value> inputs{context.memory().allocate(Type::f32, Dims(dims))};
  REQUIRE(inputs[0].count == static_cast<std::int64_t>(x.size()));
  std::copy(x.begin(), x.end(), inputs[0].data<float>());
  const std::span<const Value> outputs = context.run(inputs);
  const auto y = outputs[0].elements<float>();
  std::vector<float> copy(y.begin(), y.end());
  context.clear();
  return copy;
}

void check_same_results(const std::string& bytes, std::initializer_list<std::int64_t> dims,
                        const Names& steps) {
  const Program optimized(bytes, device());
  const Program plain(bytes, device(), {}, false);
  CHECK(optimized.step_names() == steps);
  std::size_t count = 1;
  for (const std::int64_t d : dims)
    count *= static_cast<std::size_t>(d);
  const std::vector<float> x = numbers(count, 2.0F);
  const std::vector<float> want = compute(plain, dims, x);
  const std::vector<float> have = compute(optimized, dims, x);
  REQUIRE(have.size() == want.size());
  for (std::size_t i = 0; i < want.size(); ++i)
    CHECK(have[i] == Approx(want[i]).margin(1e-5));
}

// How a layer normalisation is written where it is no operator.
struct Parts {
  std::int64_t axis = -1;
  float exponent = 2.0F;
  bool product = false; // the square as a product
  bool bias = true;
  std::int64_t scales = 6;
  const char* divided = "d";
  const char* subtracted = "x";
  int opset = 17;
  std::int64_t width = 6;
};

ModelBuilder normalization(const Parts& parts) {
  ModelBuilder b(parts.opset);
  b.input("x", {-1, parts.width});
  b.floats("two", {1}, {parts.exponent});
  b.floats("epsilon", {}, {1e-3F});
  b.floats("gamma", {parts.scales}, numbers(static_cast<std::size_t>(parts.scales), 2.0F));
  b.floats("beta", {6}, numbers(6, 0.7F));
  b.integers("axes", {parts.axis});
  const auto mean = [&](const char* x, const char* y) {
    auto& node = b.node("ReduceMean", {x}, {y});
    if (parts.opset >= 18) {
      node.add_input("axes");
      return;
    }
    auto& axes = *node.add_attribute();
    axes.set_name("axes");
    axes.set_type(onnx::AttributeProto::INTS);
    axes.add_ints(parts.axis);
  };
  mean("x", "mean");
  b.node("Sub", {parts.subtracted, "mean"}, {"d"});
  if (parts.product)
    b.node("Mul", {"d", "d"}, {"squares"});
  else
    b.node("Pow", {"d", "two"}, {"squares"});
  mean("squares", "variance");
  b.node("Add", {"variance", "epsilon"}, {"sum"});
  b.node("Sqrt", {"sum"}, {"deviation"});
  b.node("Div", {parts.divided, "deviation"}, {"n"});
  b.node("Mul", {"n", "gamma"}, {parts.bias ? "scaled" : "y"});
  if (parts.bias) b.node("Add", {"beta", "scaled"}, {"y"});
  b.output("y", {-1, 6});
  return b;
}

} // namespace

TEST_CASE("bias and GELU go into the product before them", "[native]") {
  check_same_results(small_network().bytes(), {5, 4}, {"MatMul+bias+gelu", "Gemm", "Softmax"});
}

TEST_CASE("the three ways to write GELU are recognised", "[native]") {
  for (const int form : {0, 1, 2}) {
    ModelBuilder b;
    b.input("x", {-1, 4});
    b.floats("sqrt2", {}, {1.41421356F});
    b.floats("one", {}, {1.0F});
    b.floats("half", {}, {0.5F});
    b.node("Div", {"x", "sqrt2"}, {"scaled"});
    b.node("Erf", {"scaled"}, {"erf"});
    b.node("Add", {"one", "erf"}, {"sum"});
    if (form == 0) {
      b.node("Mul", {"x", "sum"}, {"p"});
      b.node("Mul", {"p", "half"}, {"y"});
    } else if (form == 1) {
      b.node("Mul", {"half", "x"}, {"p"});
      b.node("Mul", {"p", "sum"}, {"y"});
    } else {
      b.node("Mul", {"sum", "half"}, {"p"});
      b.node("Mul", {"x", "p"}, {"y"});
    }
    b.output("y", {-1, 4});
    check_same_results(b.bytes(), {3, 4}, {"Gelu"});
  }
}

TEST_CASE("a GELU whose parts are read elsewhere stays as it is", "[native]") {
  ModelBuilder b = small_network();
  b.output("erf", {-1, 8});
  const Program program(b.bytes(), device());
  const Names names = program.step_names();
  CHECK(std::count(names.begin(), names.end(), "Erf") == 1);
}

TEST_CASE("batch normalisation goes into the convolution before it", "[native]") {
  ModelBuilder b;
  b.input("x", {-1, 2, 5, 5});
  b.floats("w", {3, 2, 3, 3}, numbers(54));
  b.floats("gamma", {3}, {1.5F, 0.5F, 2.0F});
  b.floats("beta", {3}, {0.1F, 0.2F, 0.3F});
  b.floats("mean", {3}, {0.5F, -0.5F, 0.0F});
  b.floats("var", {3}, {1.0F, 4.0F, 0.25F});
  b.node("Conv", {"x", "w"}, {"c"});
  b.node("BatchNormalization", {"c", "gamma", "beta", "mean", "var"}, {"n"});
  b.node("Relu", {"n"}, {"r"});
  b.node("GlobalAveragePool", {"r"}, {"y"});
  b.output("y", {-1, 3, 1, 1});
  check_same_results(b.bytes(), {2, 2, 5, 5}, {"Conv+relu", "GlobalAveragePool"});
}

TEST_CASE("batch normalisation goes into a Gemm of either layout", "[native]") {
  for (const bool transposed : {false, true}) {
    ModelBuilder b;
    b.input("x", {-1, 4});
    if (transposed)
      b.floats("w", {3, 4}, numbers(12));
    else
      b.floats("w", {4, 3}, numbers(12));
    b.floats("b", {3}, numbers(3));
    b.floats("gamma", {3}, {1.5F, 0.5F, 2.0F});
    b.floats("beta", {3}, {0.1F, 0.2F, 0.3F});
    b.floats("mean", {3}, {0.5F, -0.5F, 0.0F});
    b.floats("var", {3}, {1.0F, 4.0F, 0.25F});
    ModelBuilder::attribute(b.node("Gemm", {"x", "w", "b"}, {"g"}), "transB", transposed ? 1 : 0);
    b.node("BatchNormalization", {"g", "gamma", "beta", "mean", "var"}, {"n"});
    b.node("Tanh", {"n"}, {"y"});
    b.output("y", {-1, 3});
    check_same_results(b.bytes(), {6, 4}, {"Gemm+tanh"});
  }
}

TEST_CASE("a layer normalisation that is written in parts becomes one step", "[native]") {
  const Names one{"LayerNormalization"};
  check_same_results(normalization({}).bytes(), {5, 6}, one);
  check_same_results(normalization({.product = true}).bytes(), {5, 6}, one);
  check_same_results(normalization({.bias = false}).bytes(), {5, 6}, one);
  check_same_results(normalization({.opset = 18}).bytes(), {5, 6}, one);
}

TEST_CASE("what only looks like a layer normalisation stays as it is", "[native]") {
  for (const Parts& parts :
       {Parts{.axis = 0}, Parts{.exponent = 4.0F}, Parts{.scales = 1}, Parts{.divided = "x"},
        Parts{.axis = 0, .opset = 18}, Parts{.subtracted = "beta"}}) {
    const Program program(normalization(parts).bytes(), device());
    CHECK(program.step_count() > 5);
    const Names names = program.step_names();
    CHECK(std::find(names.begin(), names.end(), "LayerNormalization") == names.end());
  }
  ModelBuilder shown = normalization({}); // what is between is asked for too
  shown.output("n", {-1, 6});
  check_same_results(
      shown.bytes(), {5, 6},
      {"ReduceMean", "Sub", "Pow", "ReduceMean", "Add", "Sqrt", "Div", "Mul", "Add"});
}

TEST_CASE("a normalisation of single elements takes the shape of its scale", "[native]") {
  check_same_results(normalization({.width = 1}).bytes(), {5, 1}, {"LayerNormalization"});
  check_same_results(normalization({.bias = false, .width = 1}).bytes(), {5, 1},
                     {"LayerNormalization"});
}

TEST_CASE("pads whose sum alone is small are refused", "[native]") {
  for (const auto& [begin, end] : {std::pair{INT64_MIN, INT64_MAX},
                                   {INT64_MAX, INT64_MIN + 2},
                                   {-(std::int64_t{1} << 41), std::int64_t{1} << 41}}) {
    ModelBuilder b;
    b.input("x", {-1, 4});
    b.integers("pads", {0, begin, 0, end});
    b.node("Pad", {"x", "pads"}, {"y"});
    b.output("y", {-1, -1});
    const Program program(b.bytes(), device());
    CHECK_THROWS_WITH(compute(program, {1, 4}, {1, 2, 3, 4}), Catch::Contains("do not fit axis 1"));
  }
}

TEST_CASE("what depends on constants alone is computed at load", "[native]") {
  ModelBuilder b;
  b.input("x", {-1, 4});
  b.floats("a", {4}, {1, 2, 3, 4});
  b.floats("two", {}, {2});
  b.node("Mul", {"a", "two"}, {"scaled"});
  b.node("Exp", {"scaled"}, {"weights"});
  b.node("Exp", {"a"}, {"unused"});
  b.node("Mul", {"x", "weights"}, {"y"});
  b.output("y", {-1, 4});
  check_same_results(b.bytes(), {2, 4}, {"Mul"});
}

TEST_CASE("a result that is read twice is not written over", "[native]") {
  ModelBuilder b;
  b.input("x", {-1, 4});
  b.node("Exp", {"x"}, {"e"});
  b.node("Neg", {"e"}, {"n"});
  b.node("Sub", {"n", "e"}, {"d"});
  b.node("Mul", {"d", "d"}, {"s"});
  b.node("Add", {"s", "x"}, {"y"});
  b.output("y", {-1, 4});
  const Program program(b.bytes(), device());
  const std::vector<float> y = compute(program, {1, 4}, {0.0F, 0.5F, -1.0F, 1.0F});
  const float x[] = {0.0F, 0.5F, -1.0F, 1.0F};
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(y[i] == Approx(4.0F * std::exp(2.0F * x[i]) + x[i]));
}

TEST_CASE("a model that is only its input or a constant runs", "[native]") {
  ModelBuilder b;
  b.input("x", {-1, 2});
  b.floats("c", {2}, {7, 8});
  b.output("x", {-1, 2});
  b.output("c", {2});
  const Program program(b.bytes(), device());
  CHECK(program.step_count() == 0);
  CHECK(compute(program, {1, 2}, {1, 2}) == std::vector<float>{1, 2});
}

TEST_CASE("many threads run one program with batches of their own", "[native]") {
  const Program program(small_network().bytes(), device());
  std::vector<std::vector<float>> want;
  for (std::int64_t n = 1; n <= 12; ++n)
    want.push_back(compute(program, {n, 4}, numbers(static_cast<std::size_t>(n) * 4)));
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      Program::Context context(program);
      for (std::size_t k = 0; k < 60; ++k) {
        const std::size_t n = (k * 5 + t) % 12 + 1;
        const std::vector<float> x = numbers(n * 4);
        std::vector<Value> inputs{
            context.memory().allocate(Type::f32, Dims{static_cast<std::int64_t>(n), 4})};
        std::copy(x.begin(), x.end(), inputs[0].data<float>());
        const auto y = context.run(inputs)[0].elements<float>();
        if (!std::equal(y.begin(), y.end(), want[n - 1].begin(), want[n - 1].end())) ++wrong;
        context.clear();
      }
    });
  threads.clear();
  CHECK(wrong == 0);
}
