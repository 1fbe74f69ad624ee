// The Runtime interface of the native runtime: files, requests, and models that are not to be
// trusted.
#include "backends/runtime/native/native.hpp"
#include "backends/runtime/native/program.hpp"
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "kernels/device.hpp"
#include "tests/unit/backends/runtime/native/model_builder.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::native;
using namespace mlp::native::test;
using Catch::Contains;

namespace {

kernels::Device& device() {
  static const auto cpu = kernels::make_cpu_device(1);
  return *cpu;
}

// The message of the Error(config) that loading throws.
std::string refusal(const std::string& bytes, const Limits& limits = {}) {
  try {
    const Program program(bytes, device(), limits);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    std::string text = error.message();
    for (const std::string& context : error.contexts())
      text += "; " + context;
    return text;
  }
  return "accepted";
}

model::NamedTensor tensor(const std::string& name, model::Shape shape) {
  return {name, model::Tensor::make(model::DataType::float32, std::move(shape))};
}

std::string usage(const serve::Runtime& runtime, std::vector<model::NamedTensor> inputs,
                  std::vector<std::string> outputs = {}) {
  try {
    static_cast<void>(runtime.infer(inputs, outputs));
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::usage);
    return error.message();
  }
  return "accepted";
}

} // namespace

TEST_CASE("a file, a folder with model.onnx and a folder with one model load", "[native]") {
  const TemporaryDirectory root;
  const std::string bytes = small_network().bytes();
  const serve::RuntimeFactory& factory = runtime_factory();
  CHECK_FALSE(factory.accepts(root.path()));
  CHECK_FALSE(factory.accepts(root.path() / "none.onnx"));
  write_file_atomic(root.path() / "a.onnx", bytes);
  CHECK(factory.accepts(root.path()));
  CHECK(factory.load(root.path(), {})->signature().inputs[0].shape == model::Shape{-1, 4});
  write_file_atomic(root.path() / "b.onnx", bytes);
  CHECK_FALSE(factory.accepts(root.path()));
  CHECK_THROWS_WITH(factory.load(root.path(), {}), Contains("holds no ONNX model"));
  write_file_atomic(root.path() / "model.onnx", bytes);
  CHECK(factory.load(root.path(), {})->signature().outputs[0].name == "y");
  CHECK_THROWS_WITH(factory.load(root.path() / "none", {}), Contains("no model at"));
}

TEST_CASE("a request gets the outputs that it names, and clear refusals", "[native]") {
  const TemporaryDirectory root;
  ModelBuilder b = small_network();
  b.output("logits", {-1, 3});
  write_file_atomic(root.path() / "model.onnx", b.bytes());
  const auto runtime = runtime_factory().load(root.path(), {.threads = 1});

  const std::vector<model::NamedTensor> good{tensor("x", {2, 4})};
  CHECK(runtime->infer(good, {}).size() == 2);
  const std::vector<std::string> names{"logits"};
  const auto answer = runtime->infer(good, names);
  REQUIRE(answer.size() == 1);
  CHECK(answer[0].name == "logits");
  CHECK(answer[0].tensor.shape == model::Shape{2, 3});

  CHECK(runtime->infer(std::vector{tensor("x", {0, 4})}, names)[0].tensor.shape ==
        model::Shape{0, 3});
  CHECK_THAT(usage(*runtime, {}), Contains("'x' is missing"));
  CHECK_THAT(usage(*runtime, {tensor("z", {2, 4})}), Contains("unknown input 'z'"));
  CHECK_THAT(usage(*runtime, {tensor("x", {2, 5})}), Contains("has shape"));
  CHECK_THAT(usage(*runtime, good, {"logit"}), Contains("unknown output 'logit'"));
  model::NamedTensor broken = tensor("x", {2, 4});
  broken.tensor.data.resize(8);
  CHECK_THAT(usage(*runtime, {broken}), Contains("has 2 elements"));
  broken.tensor.type = model::DataType::int32;
  CHECK_THAT(usage(*runtime, {broken}), Contains("is FP32, not INT32"));
}

TEST_CASE("a model cut short anywhere is refused, never a crash", "[native]") {
  const std::string bytes = small_network().bytes();
  int accepted = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size)
    if (refusal(bytes.substr(0, size)) == "accepted") ++accepted;
  CHECK(accepted == 0);
  CHECK(refusal(bytes) == "accepted");
}

TEST_CASE("a model with any byte changed loads or is refused, never a crash", "[native]") {
  const std::string bytes = small_network().bytes();
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (const unsigned flip : {0x01U, 0x80U, 0xFFU}) {
      std::string changed = bytes;
      changed[i] = static_cast<char>(static_cast<unsigned char>(changed[i]) ^ flip);
      try {
        const Program program(changed, device());
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::config);
      }
    }
}

TEST_CASE("an operator that is lacking is named with its node and opset", "[native]") {
  ModelBuilder b;
  b.input("x", {4});
  b.node("Conjure", {"x"}, {"y"}).set_name("magic");
  b.output("y", {4});
  CHECK_THAT(refusal(b.bytes()),
             Contains("lacks operator 'Conjure' of ai.onnx opset 17") && Contains("'magic'"));
}

TEST_CASE("graphs that do not hold together are refused with the reason", "[native]") {
  SECTION("a cycle") {
    ModelBuilder b;
    b.input("x", {4});
    b.node("Add", {"x", "b"}, {"a"});
    b.node("Neg", {"a"}, {"b"});
    b.output("a", {4});
    CHECK_THAT(refusal(b.bytes()), Contains("cycle"));
  }
  SECTION("an input from nowhere") {
    ModelBuilder b;
    b.input("x", {4});
    b.node("Add", {"x", "ghost"}, {"y"});
    b.output("y", {4});
    CHECK_THAT(refusal(b.bytes()), Contains("'ghost', which nothing produces"));
  }
  SECTION("a value produced twice") {
    ModelBuilder b;
    b.input("x", {4});
    b.node("Neg", {"x"}, {"y"});
    b.node("Abs", {"x"}, {"y"});
    b.output("y", {4});
    CHECK_THAT(refusal(b.bytes()), Contains("'y' is produced twice"));
  }
  SECTION("an output that nobody makes") {
    ModelBuilder b;
    b.input("x", {4});
    b.output("y", {4});
    CHECK_THAT(refusal(b.bytes()), Contains("output 'y' is not produced"));
  }
  SECTION("nodes out of order are put in order") {
    ModelBuilder b;
    b.input("x", {4});
    b.node("Neg", {"a"}, {"y"});
    b.node("Abs", {"x"}, {"a"});
    b.output("y", {4});
    CHECK(refusal(b.bytes()) == "accepted");
  }
}

TEST_CASE("initializers that lie about themselves are refused", "[native]") {
  ModelBuilder b;
  b.input("x", {2});
  onnx::TensorProto& w = b.floats("w", {2}, {1, 2});
  b.node("Add", {"x", "w"}, {"y"});
  b.output("y", {2});
  SECTION("fewer numbers than the shape") {
    w.set_dims(0, 1 << 30);
    CHECK_THAT(refusal(b.bytes()), Contains("initializer 'w'") && Contains("fewer"));
  }
  SECTION("more numbers than the shape") {
    w.set_dims(0, 1);
    CHECK_THAT(refusal(b.bytes()), Contains("initializer 'w'"));
  }
  SECTION("raw data of another length") {
    w.clear_float_data();
    w.set_raw_data(std::string(9, 'x'));
    CHECK_THAT(refusal(b.bytes()), Contains("9 bytes"));
  }
  SECTION("a shape whose product overflows") {
    w.set_dims(0, std::int64_t{1} << 62);
    w.add_dims(std::int64_t{1} << 62);
    CHECK_THAT(refusal(b.bytes()), Contains("not a shape"));
  }
  SECTION("a negative dimension") {
    w.set_dims(0, -2);
    CHECK_THAT(refusal(b.bytes()), Contains("not a shape"));
  }
  SECTION("more dimensions than the limit") {
    for (int i = 0; i < 40; ++i)
      w.add_dims(1);
    CHECK_THAT(refusal(b.bytes()), Contains("dimensions"));
  }
  SECTION("an element type that does not exist") {
    w.set_data_type(99);
    CHECK_THAT(refusal(b.bytes()), Contains("element type 99"));
  }
  SECTION("data in another file") {
    w.set_data_location(onnx::TensorProto::EXTERNAL);
    auto* entry = w.add_external_data();
    entry->set_key("location");
    entry->set_value("../../../etc/passwd");
    CHECK_THAT(refusal(b.bytes()), Contains("another file"));
  }
}

TEST_CASE("attributes of the wrong kind or unknown are refused", "[native]") {
  ModelBuilder b;
  b.input("x", {2, 2});
  onnx::NodeProto& node = b.node("Softmax", {"x"}, {"y"});
  b.output("y", {2, 2});
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name("axis");
  attribute.set_type(onnx::AttributeProto::STRING);
  attribute.set_s("one");
  CHECK_THAT(refusal(b.bytes()), Contains("attribute 'axis' is not an integer"));
  attribute.set_name("axes");
  CHECK_THAT(refusal(b.bytes()), Contains("attribute 'axes' is not one of the operator's"));
}

TEST_CASE("limits of size are kept, with a word that names them", "[native]") {
  const std::string bytes = small_network().bytes();
  Limits limits;
  limits.nodes = 3;
  CHECK_THAT(refusal(bytes, limits), Contains("more than 3 nodes"));
  limits = {};
  limits.file_bytes = 100;
  CHECK_THAT(refusal(bytes, limits), Contains("larger than 100 B"));
  limits = {};
  limits.structure_bytes = 1000;
  CHECK_THAT(refusal(bytes, limits), Contains("would take more than"));

  // A few bytes that ask for a tensor of 8 EiB, and for one that only passes the limit.
  for (const std::int64_t size : {std::int64_t{1} << 61, std::int64_t{1} << 31}) {
    ModelBuilder b;
    b.input("n", {1}, onnx::TensorProto::INT64);
    b.node("ConstantOfShape", {"n"}, {"y"});
    b.output("y", {-1});
    const Program program(b.bytes(), device());
    Program::Context context(program);
    std::vector<Value> inputs{context.memory().allocate(Type::i64, Dims{1})};
    *inputs[0].data<std::int64_t>() = size;
    CHECK_THROWS_AS(context.run(inputs), Error);
    context.clear();
    CHECK(context.memory().in_use() == 0);
  }
}

TEST_CASE("a failure names the node, and the next call works", "[native]") {
  ModelBuilder b;
  b.input("x", {-1});
  b.integers("index", {3});
  b.node("Gather", {"x", "index"}, {"y"}).set_name("pick");
  b.output("y", {1});
  const TemporaryDirectory root;
  write_file_atomic(root.path() / "model.onnx", b.bytes());
  const auto runtime = runtime_factory().load(root.path(), {.threads = 1});
  try {
    static_cast<void>(runtime->infer(std::vector{tensor("x", {2})}, {}));
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::failed);
    CHECK_THAT(error.message(), Contains("index 3"));
    CHECK_THAT(error.contexts().at(0), Contains("'pick' (Gather)"));
  }
  CHECK(runtime->infer(std::vector{tensor("x", {4})}, {}).size() == 1);
}
