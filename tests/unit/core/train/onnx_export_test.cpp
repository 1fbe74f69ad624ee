// The exported file alone gives the trainer's own predictions, for each kind of model, activation
// and column, also where the raw columns hold blanks and values that training has not seen.
#include "tests/unit/core/train/exported.hpp"

#include <catch2/catch.hpp>

#include <cstring>

namespace mlp::train {
namespace {

using config::TrainerKind;
using config::TrainerSpec;

// Numbers with blanks, a skewed one, categories with blanks, rare and unknown values, a target.
std::string table_text(bool classes) {
  std::string text = "a,b,skew,colour,label,y\n";
  for (int i = 0; i < 120; ++i) {
    text += i % 11 == 3 ? "?" : std::to_string(i * 7 % 31);
    text += "," + std::to_string(i % 5) + ".5," + std::to_string(i * i * i % 5000) + ",";
    text += i % 13 == 5 ? "" : i == 7 ? "rare" : i % 3 == 0 ? "red" : "blue";
    text += i % 2 == 0 ? ",u" : ",w";
    text += classes ? (i % 3 == 1   ? ",yes\n"
                       : i % 3 == 2 ? ",no\n"
                                    : ",maybe\n")
                    : "," + std::to_string(1000 + i * 3) + "\n";
  }
  return text + "?,,12,green,z," + (classes ? "no" : "1234") + "\n";
}

// A network as training may leave it: statistics and normalisations that are not the initial ones.
Network some_network(const TrainingData& data, const std::vector<HiddenLayer>& hidden) {
  const auto outputs = data.classes.empty() ? 1 : static_cast<std::int64_t>(data.classes.size());
  Network network({data.features.width(), outputs, hidden}, 5);
  for (std::size_t i = 0; i < network.values().size(); ++i)
    network.values()[i] += 0.01F * static_cast<float>(i % 7);
  for (std::size_t i = 0; i < network.statistics().size(); ++i)
    network.statistics()[i] += 0.1F * static_cast<float>(i % 5);
  return network;
}

struct Sample {
  TemporaryDirectory folder;
  TrainingData data;
  Table table;

  explicit Sample(bool classes) {
    write_file_atomic(folder.path() / "train.csv", table_text(classes));
    TrainerSpec spec;
    spec.kind = classes ? TrainerKind::classifier : TrainerKind::regressor;
    spec.data.features.log = {"skew"};
    spec.split.validation = 0.0;
    std::vector<std::string> messages;
    data = load_training_data(spec, folder.path(), messages);
    TableOptions options;
    options.kinds = {{"y", classes ? ColumnKind::category : ColumnKind::number}};
    table = read_table(folder.path() / "train.csv", options);
  }
};

} // namespace

TEST_CASE("an exported classifier gives the trainer's own probabilities and labels") {
  const Sample sample(true);
  const std::vector<std::vector<HiddenLayer>> networks = {
      {},
      {{16, Activation::relu, false, 0.5F}},
      {{16, Activation::gelu, false, 0.0F}, {8, Activation::tanh, false, 0.0F}},
      {{16, Activation::relu, true, 0.1F}, {8, Activation::gelu, true, 0.0F}},
  };
  for (const auto& hidden : networks) {
    const Network network = some_network(sample.data, hidden);
    const auto runtime = load_exported(exported(sample.data, network), sample.folder.path());
    const auto outputs = runtime->infer(column_tensors(runtime->signature(), sample.table), {});
    REQUIRE(outputs.size() == 2);
    const std::vector<float> own = own_predictions(sample.data, network, 0, sample.table.rows());
    CHECK(outputs[1].name == "probabilities");
    CHECK(largest_difference(own, outputs[1].tensor.as<float>()) <= 1e-5);
    // "label" is a column, so the output steps aside.
    CHECK(outputs[0].name == "label_");
    for (std::size_t row = 0; row < 121; ++row) {
      const auto begin = own.begin() + static_cast<std::ptrdiff_t>(row * 3);
      const auto best = static_cast<std::size_t>(std::max_element(begin, begin + 3) - begin);
      CHECK(outputs[0].tensor.strings[row] == sample.data.classes[best]);
    }
  }
}

TEST_CASE("an exported regressor gives the trainer's own predictions in the target's unit") {
  const Sample sample(false);
  const Network network = some_network(sample.data, {{16, Activation::tanh, true, 0.1F}});
  const auto runtime = load_exported(exported(sample.data, network), sample.folder.path());
  const auto outputs = runtime->infer(column_tensors(runtime->signature(), sample.table), {});
  REQUIRE(outputs.size() == 1);
  CHECK(outputs[0].name == "prediction");
  CHECK(outputs[0].tensor.shape == model::Shape{121});
  CHECK(largest_difference(own_predictions(sample.data, network, 0, 121),
                           outputs[0].tensor.as<float>()) <= 1e-5);
}

TEST_CASE("an exported image model takes bytes and names integer classes as integers") {
  TrainingData data;
  for (int i = 0; i < 600; ++i)
    data.pixels.push_back(static_cast<std::uint8_t>(i * 37 % 256));
  data.classes = {"0", "3", "7"};
  const std::vector<std::int32_t> train = {0, 1, 2, 3};
  data.features = fit_pixels(data.pixels, {10, 6}, train);
  const Network network = some_network(data, {{12, Activation::relu, false, 0.0F}});
  const TemporaryDirectory folder;
  const auto runtime = load_exported(exported(data, network), folder.path());
  CHECK(runtime->signature().inputs.at(0).name == "image");
  CHECK(runtime->signature().inputs.at(0).shape == model::Shape{-1, 10, 6});
  const auto outputs = runtime->infer(image_tensors(data, 0, 10), {});
  REQUIRE(outputs.size() == 2);
  CHECK(outputs[0].tensor.type == model::DataType::int64);
  CHECK(largest_difference(own_predictions(data, network, 0, 10), outputs[1].tensor.as<float>()) <=
        1e-5);
}

TEST_CASE("an exported model with convolutions gives the trainer's own probabilities") {
  TrainingData data;
  for (int i = 0; i < 1200; ++i)
    data.pixels.push_back(static_cast<std::uint8_t>(i * i * 37 % 251));
  data.classes = {"cat", "dog", "owl"};
  const std::vector<std::int32_t> train = {0, 1, 2, 3};
  data.features = fit_pixels(data.pixels, {10, 6}, train);
  ConvLayer plain{.filters = 5, .dropout = 0.3F};
  ConvLayer pooled{.filters = 4,
                   .kernel = {3, 2},
                   .pooling = Pooling::max,
                   .activation = Activation::gelu,
                   .batch_norm = true};
  ConvLayer stepping{.filters = 6,
                     .kernel = {2, 3},
                     .stride = {2, 1},
                     .same = false,
                     .pooling = Pooling::average,
                     .pool = {3, 2},
                     .activation = Activation::tanh};
  const HiddenLayer dense{7, Activation::relu, true, 0.1F};
  const TemporaryDirectory folder;
  for (const NetworkSpec& spec :
       {NetworkSpec{60, 3, {}, {plain}, {10, 6, 1}},
        NetworkSpec{60, 3, {dense}, {pooled}, {10, 6, 1}},
        NetworkSpec{60, 3, {dense}, {plain, stepping}, {10, 6, 1}},
        NetworkSpec{60, 3, {dense, dense}, {plain, pooled, plain}, {10, 6, 1}}}) {
    Network network(spec, 5);
    for (std::size_t i = 0; i < network.values().size(); ++i)
      network.values()[i] += 0.01F * static_cast<float>(i % 7);
    for (const LayerView& layer : network.layers()) // has no bias before a normalisation
      if (layer.batch_norm)
        std::fill_n(network.values().data() + (layer.bias.data() - network.values().data()),
                    layer.outputs, 0.0F);
    for (std::size_t i = 0; i < network.statistics().size(); ++i)
      network.statistics()[i] += 0.1F * static_cast<float>(i % 5);
    const auto runtime = load_exported(exported(data, network), folder.path());
    CHECK(runtime->signature().inputs.at(0).shape == model::Shape{-1, 10, 6});
    const auto outputs = runtime->infer(image_tensors(data, 0, 20), {});
    CHECK(largest_difference(own_predictions(data, network, 0, 20),
                             outputs[1].tensor.as<float>()) <= 1e-5);
    CHECK(onnx_bytes(exported(data, network)) == onnx_bytes(exported(data, network)));
  }
}

TEST_CASE("the signature that the trainer reports is the one that a runtime reads") {
  const Sample sample(true);
  const Network network = some_network(sample.data, {});
  const ExportedModel model = exported(sample.data, network);
  const model::Signature own = signature_of(model);
  const auto runtime = load_exported(model, sample.folder.path());
  const model::Signature& read = runtime->signature();
  const auto same = [](const auto& a, const auto& b) {
    return a.name == b.name && a.type == b.type && a.shape == b.shape;
  };
  CHECK(std::equal(own.inputs.begin(), own.inputs.end(), read.inputs.begin(), read.inputs.end(),
                   same));
  CHECK(std::equal(own.outputs.begin(), own.outputs.end(), read.outputs.begin(), read.outputs.end(),
                   same));
}

TEST_CASE("the same model exports the same bytes") {
  const Sample sample(false);
  const Network network = some_network(sample.data, {});
  CHECK(onnx_bytes(exported(sample.data, network)) == onnx_bytes(exported(sample.data, network)));
}

} // namespace mlp::train
