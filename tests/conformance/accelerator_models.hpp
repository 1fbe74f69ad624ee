// The models that are run on an accelerator and on the CPU, and what to run them with.
#pragma once

#include "backends/runtime/native/native.hpp"
#include "backends/runtime/native/program.hpp"
#include "core/base/error.hpp"
#include "kernels/device.hpp"
#include "tests/unit/backends/runtime/native/model_builder.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <cstring>

namespace mlp::native::test {

using Names = std::vector<std::string>;

inline kernels::Device& host() {
  static const auto cpu = kernels::make_cpu_device(1);
  return *cpu;
}
inline kernels::Device& gpu() {
  static const auto cuda = kernels::make_cuda_device(0);
  return *cuda;
}

inline std::vector<float> run(Program::Context& context, const Dims& dims,
                              const std::vector<float>& x) {
  std::vector<Value> inputs{context.memory().allocate(Type::f32, dims)};
  REQUIRE(inputs[0].count == static_cast<std::int64_t>(x.size()));
  std::copy(x.begin(), x.end(), inputs[0].data<float>());
  const auto y = context.run(inputs)[0].elements<float>();
  std::vector<float> copy(y.begin(), y.end());
  context.clear();
  return copy;
}

// The model [n, rest...] for several n, each called four times with other numbers: as it is
// computed first, recorded, and played again.
inline void check_batches(const Program& on_cpu, const Program& on_gpu, Dims dims) {
  Program::Context reference(on_cpu);
  Program::Context context(on_gpu);
  for (const std::int64_t batch : {1, 5, 16}) {
    dims[0] = batch;
    const auto count = static_cast<std::size_t>(dims.product(0, dims.size()));
    for (int call = 0; call < 4; ++call) {
      const std::vector<float> x = numbers(count, 0.5F + static_cast<float>(call));
      const std::vector<float> want = run(reference, dims, x);
      const std::vector<float> have = run(context, dims, x);
      REQUIRE(have.size() == want.size());
      for (std::size_t i = 0; i < want.size(); ++i)
        REQUIRE(have[i] == Approx(want[i]).epsilon(1e-4).margin(1e-5));
    }
  }
}

inline ModelBuilder
gated_network() { // silu, a residual, a hard sigmoid: all elementwise between products
  ModelBuilder b;
  b.input("x", {-1, 6});
  b.floats("w1", {6, 6}, numbers(36));
  b.floats("b1", {6}, numbers(6, 0.3F));
  b.floats("w2", {6, 3}, numbers(18));
  b.floats("scale", {1}, {0.5F});
  b.node("MatMul", {"x", "w1"}, {"z"});
  b.node("Add", {"z", "b1"}, {"a"});
  b.node("Sigmoid", {"a"}, {"gate"});
  b.node("Mul", {"a", "gate"}, {"h"});
  b.node("Add", {"h", "x"}, {"sum"});
  b.node("HardSigmoid", {"sum"}, {"hard"});
  b.node("Mul", {"hard", "scale"}, {"halved"});
  b.node("MatMul", {"halved", "w2"}, {"y"});
  b.output("y", {-1, 3});
  return b;
}

inline void list_attribute(onnx::NodeProto& node, const std::string& name,
                           std::initializer_list<std::int64_t> values) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : values)
    attribute.add_ints(value);
}

constexpr std::int64_t kTokens = 20, kWide = 16, kHeads = 4, kLongest = 32;

// A layer normalisation of `x`, as an operator or as it was written before there was one.
inline void normalize(ModelBuilder& b, const std::string& x, const std::string& y, bool in_parts) {
  const std::string gamma = y + ".gamma", beta = y + ".beta";
  b.floats(gamma, {kWide}, numbers(kWide, 1.5F));
  b.floats(beta, {kWide}, numbers(kWide, 0.3F));
  if (!in_parts) {
    b.node("LayerNormalization", {x.c_str(), gamma.c_str(), beta.c_str()}, {y.c_str()});
    return;
  }
  const auto part = [&](const char* op, std::initializer_list<std::string> inputs,
                        const std::string& output) -> onnx::NodeProto& {
    auto& node = b.node(op, {}, {(y + output).c_str()});
    for (const std::string& input : inputs)
      node.add_input(input);
    return node;
  };
  b.floats(y + ".two", {}, {2.0F});
  b.floats(y + ".epsilon", {}, {1e-5F});
  list_attribute(part("ReduceMean", {x}, ".mean"), "axes", {-1});
  part("Sub", {x, y + ".mean"}, ".d");
  part("Pow", {y + ".d", y + ".two"}, ".squares");
  list_attribute(part("ReduceMean", {y + ".squares"}, ".variance"), "axes", {-1});
  part("Add", {y + ".variance", y + ".epsilon"}, ".sum");
  part("Sqrt", {y + ".sum"}, ".deviation");
  part("Div", {y + ".d", y + ".deviation"}, ".n");
  part("Mul", {y + ".n", gamma}, ".scaled");
  part("Add", {y + ".scaled", beta}, "");
}

// x times a matrix, plus a bias.
inline void dense(ModelBuilder& b, const std::string& x, const std::string& y, std::int64_t from,
                  std::int64_t to) {
  b.floats(y + ".w", {from, to}, numbers(static_cast<std::size_t>(from * to), 0.4F));
  b.floats(y + ".b", {to}, numbers(static_cast<std::size_t>(to), 0.1F));
  b.node("MatMul", {x.c_str(), (y + ".w").c_str()}, {(y + ".product").c_str()});
  b.node("Add", {(y + ".product").c_str(), (y + ".b").c_str()}, {y.c_str()});
}

// [n, length, wide] to [n, heads, length, wide / heads], by the input's own shape.
inline void split_heads(ModelBuilder& b, const std::string& x, const std::string& y,
                        std::initializer_list<std::int64_t> order) {
  b.node("Reshape", {x.c_str(), "heads_shape"}, {(y + ".heads").c_str()});
  list_attribute(b.node("Transpose", {(y + ".heads").c_str()}, {y.c_str()}), "perm", order);
}

// How a token that does not count is kept out: a number is added to its scores, which is computed
// or chosen, or its scores are replaced, together with those of later tokens.
enum class Mask { added, chosen, causal };

// What an exporter makes of a layer of BERT with its embeddings: ids [n, length] and a mask of as
// many 0 and 1, both int64, to [n, 3].
inline ModelBuilder encoder(bool in_parts, Mask mask) {
  ModelBuilder b;
  b.input("ids", {-1, -1}, onnx::TensorProto::INT64);
  b.input("mask", {-1, -1}, onnx::TensorProto::INT64);
  b.floats("words", {kTokens, kWide}, numbers(kTokens * kWide));
  b.floats("positions", {kLongest, kWide}, numbers(kLongest * kWide, 0.5F));
  std::vector<std::int64_t> places;
  for (std::int64_t i = 0; i < kLongest; ++i)
    places.push_back(i);
  b.integers("places", places);
  b.integers("first", {0});
  b.integers("one", {1});
  b.integers("two", {2});
  b.integers("heads", {kHeads});
  b.integers("rest", {-1});
  // Embeddings of words and of the first `length` positions.
  b.node("Shape", {"ids"}, {"shape"});
  b.node("Gather", {"shape", "one"}, {"length"});
  b.node("Gather", {"shape", "first"}, {"n"});
  b.node("Concat", {"n", "length", "heads", "rest"}, {"heads_shape"});
  ModelBuilder::attribute(*b.graph().mutable_node(3), "axis", 0);
  b.node("Concat", {"n", "length", "rest"}, {"wide_shape"});
  ModelBuilder::attribute(*b.graph().mutable_node(4), "axis", 0);
  b.node("Slice", {"places", "first", "length"}, {"here"});
  b.node("Gather", {"positions", "here"}, {"place"});
  b.node("Gather", {"words", "ids"}, {"word"});
  b.node("Add", {"word", "place"}, {"embedded"});
  normalize(b, "embedded", "x", in_parts);
  // 0 where a token counts, -10000 where not: [n, 1, 1, length].
  b.integers("axes", {1, 2});
  b.node("Unsqueeze", {"mask", "axes"}, {"wide_mask"});
  b.floats("unit", {}, {1.0F});
  b.floats("far", {}, {-10000.0F});
  b.floats("none", {}, {0.0F});
  if (mask == Mask::causal) {
    std::vector<std::int64_t> seen;
    for (std::int64_t i = 0; i < kLongest * kLongest; ++i)
      seen.push_back(i % kLongest <= i / kLongest ? 1 : 0);
    auto& square = b.integers("square", seen);
    square.set_dims(0, kLongest);
    square.add_dims(kLongest);
    ModelBuilder::attribute(b.node("Cast", {"square"}, {"all_seen"}), "to", 9);
    b.integers("corner", {0, 0});
    ModelBuilder::attribute(b.node("Concat", {"length", "length"}, {"lengths"}), "axis", 0);
    b.node("Slice", {"all_seen", "corner", "lengths"}, {"seen"}); // follows from the shape alone
    ModelBuilder::attribute(b.node("Cast", {"wide_mask"}, {"counts"}), "to", 9);
    b.node("And", {"seen", "counts"}, {"visible"});
  } else if (mask == Mask::chosen) {
    b.node("Equal", {"wide_mask", "first"}, {"hidden"});
    b.node("Where", {"hidden", "far", "none"}, {"added"});
  } else {
    ModelBuilder::attribute(b.node("Cast", {"wide_mask"}, {"real_mask"}), "to", 1);
    b.node("Sub", {"unit", "real_mask"}, {"hidden"});
    b.node("Mul", {"hidden", "far"}, {"added"});
  }
  // Attention.
  dense(b, "x", "q", kWide, kWide);
  dense(b, "x", "k", kWide, kWide);
  dense(b, "x", "v", kWide, kWide);
  split_heads(b, "q", "query", {0, 2, 1, 3});
  split_heads(b, "k", "key", {0, 2, 3, 1});
  split_heads(b, "v", "value", {0, 2, 1, 3});
  b.node("MatMul", {"query", "key"}, {"scores"});
  b.node("Div", {"scores", "two.real"}, {"scaled"});
  b.floats("two.real", {}, {2.0F});
  if (mask == Mask::causal)
    b.node("Where", {"visible", "scaled", "far"}, {"masked"});
  else
    b.node("Add", {"scaled", "added"}, {"masked"});
  b.node("Softmax", {"masked"}, {"weights"});
  b.node("MatMul", {"weights", "value"}, {"mixed"});
  list_attribute(b.node("Transpose", {"mixed"}, {"merged"}), "perm", {0, 2, 1, 3});
  b.node("Reshape", {"merged", "wide_shape"}, {"context"});
  dense(b, "context", "attended", kWide, kWide);
  b.node("Add", {"attended", "x"}, {"residual"});
  normalize(b, "residual", "h", in_parts);
  // Feed forward.
  dense(b, "h", "up", kWide, 2 * kWide);
  b.floats("root", {}, {std::sqrt(2.0F)});
  b.floats("half", {}, {0.5F});
  b.node("Div", {"up", "root"}, {"g0"});
  b.node("Erf", {"g0"}, {"g1"});
  b.node("Add", {"g1", "unit"}, {"g2"});
  b.node("Mul", {"up", "g2"}, {"g3"});
  b.node("Mul", {"g3", "half"}, {"gelu"});
  dense(b, "gelu", "down", 2 * kWide, kWide);
  b.node("Add", {"down", "h"}, {"sum"});
  normalize(b, "sum", "last", in_parts);
  // The first token's class.
  b.integers("start", {0}).clear_dims();
  ModelBuilder::attribute(b.node("Gather", {"last", "start"}, {"token"}), "axis", 1);
  dense(b, "token", "pooled", kWide, kWide);
  b.node("Tanh", {"pooled"}, {"pool"});
  dense(b, "pool", "y", kWide, 3);
  b.output("y", {-1, 3});
  return b;
}

struct Tokens {
  Dims dims;
  std::vector<std::int64_t> ids, mask;
};

inline Tokens tokens(std::int64_t n, std::int64_t length, std::int64_t seed) {
  Tokens t{Dims{n, length}, {}, {}};
  for (std::int64_t i = 0; i < n * length; ++i) {
    t.ids.push_back((i * 7 + seed * 3) % kTokens - (i % 5 == 4 ? kTokens : 0)); // from the end too
    t.mask.push_back(i % length < 2 || (i + seed) % 3 != 0 ? 1 : 0);
  }
  return t;
}

inline std::vector<float> run(Program::Context& context, const Tokens& t) {
  std::vector<Value> inputs;
  for (const auto* list : {&t.ids, &t.mask}) {
    inputs.push_back(context.memory().allocate(Type::i64, t.dims));
    std::copy(list->begin(), list->end(), inputs.back().data<std::int64_t>());
  }
  const auto y = context.run(inputs)[0].elements<float>();
  std::vector<float> copy(y.begin(), y.end());
  context.clear();
  return copy;
}

inline void check_same(const std::vector<float>& have, const std::vector<float>& want) {
  REQUIRE(have.size() == want.size());
  for (std::size_t i = 0; i < want.size(); ++i)
    REQUIRE(have[i] == Approx(want[i]).epsilon(1e-4).margin(2e-5));
}

inline void set_integers(onnx::NodeProto& conv, std::int64_t kernel, std::int64_t pad,
                         std::int64_t stride) {
  list_attribute(conv, "kernel_shape", {kernel, kernel});
  list_attribute(conv, "pads", {pad, pad, pad, pad});
  list_attribute(conv, "strides", {stride, stride});
}

// A block of a residual network that halves the image: two convolutions beside a third one, pads of
// its own before the pooling, the mean over the image, and log-probabilities.
inline ModelBuilder residual_block() {
  ModelBuilder b;
  b.input("x", {-1, 3, 16, 16});
  const auto conv = [&](const char* x, const std::string& y, std::int64_t from, std::int64_t to,
                        std::int64_t kernel, std::int64_t stride) {
    const auto count = static_cast<std::size_t>(from * to * kernel * kernel);
    b.floats(y + ".w", {to, from, kernel, kernel}, numbers(count, 0.3F));
    set_integers(b.node("Conv", {x, (y + ".w").c_str()}, {(y + ".c").c_str()}), kernel, kernel / 2,
                 stride);
    for (const char* name : {".gamma", ".beta", ".mean", ".var"})
      b.floats(y + name, {to},
               name == std::string(".var") ? std::vector<float>(static_cast<std::size_t>(to), 0.8F)
                                           : numbers(static_cast<std::size_t>(to), 0.9F));
    b.node("BatchNormalization",
           {(y + ".c").c_str(), (y + ".gamma").c_str(), (y + ".beta").c_str(),
            (y + ".mean").c_str(), (y + ".var").c_str()},
           {y.c_str()});
  };
  conv("x", "stem", 3, 8, 3, 1);
  b.node("Relu", {"stem"}, {"r"});
  b.integers("pads", {0, 0, 0, 1, 0, 0, 1, 0});
  b.node("Pad", {"r", "pads"}, {"padded"});
  set_integers(b.node("MaxPool", {"padded"}, {"p"}), 2, 0, 2);
  conv("p", "a", 8, 8, 3, 2);
  b.node("Relu", {"a"}, {"ar"});
  conv("ar", "b", 8, 8, 3, 1);
  conv("p", "side", 8, 8, 1, 2);
  b.node("Add", {"b", "side"}, {"sum"});
  b.node("Relu", {"sum"}, {"out"});
  auto& mean = b.node("ReduceMean", {"out"}, {"pooled"});
  list_attribute(mean, "axes", {2, 3});
  ModelBuilder::attribute(mean, "keepdims", 0);
  b.floats("fc", {8, 5}, numbers(40));
  b.node("MatMul", {"pooled", "fc"}, {"logits"});
  b.node("LogSoftmax", {"logits"}, {"y"});
  b.output("y", {-1, 5});
  return b;
}

inline ModelBuilder image_network() {
  ModelBuilder b;
  b.input("x", {-1, 2, 8, 8});
  b.floats("w", {4, 2, 3, 3}, numbers(72));
  b.floats("bias", {4}, numbers(4));
  b.floats("gamma", {4}, {1.0F, 0.5F, 2.0F, 1.5F});
  b.floats("beta", {4}, numbers(4, 0.2F));
  b.floats("mean", {4}, numbers(4, 0.1F));
  b.floats("var", {4}, {1.0F, 0.7F, 0.4F, 2.0F});
  b.floats("fc", {4, 3}, numbers(12));
  auto& conv = b.node("Conv", {"x", "w", "bias"}, {"c"});
  auto& pads = *conv.add_attribute();
  pads.set_name("pads");
  pads.set_type(onnx::AttributeProto::INTS);
  for (int i = 0; i < 4; ++i)
    pads.add_ints(1);
  b.node("Relu", {"c"}, {"r"});
  b.node("BatchNormalization", {"r", "gamma", "beta", "mean", "var"}, {"n"});
  b.node("LeakyRelu", {"n"}, {"l"});
  auto& pool = b.node("MaxPool", {"l"}, {"p"});
  auto& shape = *pool.add_attribute();
  shape.set_name("kernel_shape");
  shape.set_type(onnx::AttributeProto::INTS);
  shape.add_ints(2);
  shape.add_ints(2);
  b.node("GlobalAveragePool", {"p"}, {"g"});
  ModelBuilder::attribute(b.node("Flatten", {"g"}, {"f"}), "axis", 1);
  b.node("Gemm", {"f", "fc"}, {"logits"});
  ModelBuilder::attribute(b.node("Softmax", {"logits"}, {"y"}), "axis", 1);
  b.output("y", {-1, 3});
  return b;
}

} // namespace mlp::native::test
