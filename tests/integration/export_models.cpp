// export_models FOLDER: writes a model of every kind that the trainer can export, for a checker.
#include "tests/unit/core/train/exported.hpp"

#include <cstdio>
#include <exception>

using namespace mlp;
using namespace mlp::train;

namespace {

TrainingData table_data(const fs::path& folder, bool classes, bool numbers, bool categories) {
  std::string text;
  if (numbers) text += "a,b,skew,";
  if (categories) text += "colour,size,";
  text += "y\n";
  for (int i = 0; i < 60; ++i) {
    if (numbers)
      text += (i % 7 == 0 ? "" : std::to_string(i)) + "," + std::to_string(i % 4) + "," +
              std::to_string(i * i) + ",";
    if (categories)
      text += std::string(i % 9 == 0   ? ""
                          : i % 2 == 0 ? "red"
                                       : "blue") +
              "," + (i % 3 == 0 ? "s" : "m") + ",";
    text += (classes ? (i % 2 == 0 ? "yes" : "no") : std::to_string(3 * i)) + "\n";
  }
  make_directories(folder);
  write_file_atomic(folder / "data.csv", text);
  config::TrainerSpec spec;
  spec.kind = classes ? config::TrainerKind::classifier : config::TrainerKind::regressor;
  if (numbers) spec.data.features.log = {"skew"};
  std::vector<std::string> messages;
  return load_training_data(spec, folder, messages);
}

TrainingData image_data(std::vector<std::string> classes) {
  TrainingData data;
  for (int i = 0; i < 4 * 25; ++i)
    data.pixels.push_back(static_cast<std::uint8_t>(i * 2));
  data.classes = std::move(classes);
  const std::int32_t train[] = {0, 1, 2, 3};
  data.features = fit_pixels(data.pixels, {5, 5}, train);
  return data;
}

void write(const fs::path& folder, const std::string& name, const TrainingData& data,
           const std::vector<HiddenLayer>& hidden, const std::vector<ConvLayer>& conv = {}) {
  const auto outputs = data.classes.empty() ? 1 : static_cast<std::int64_t>(data.classes.size());
  const Network network({data.features.width(), outputs, hidden, conv, data.view().image}, 1);
  ExportedModel model = exported(data, network);
  model.metadata["classes"] = "[]";
  write_file_atomic(folder / (name + ".onnx"), onnx_bytes(model));
}

} // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  try {
    const fs::path folder = arguments[1];
    const HiddenLayer relu{8, Activation::relu, false, 0.1F},
        gelu{8, Activation::gelu, false, 0.0F}, tanh{8, Activation::tanh, false, 0.0F},
        norm{8, Activation::relu, true, 0.1F};
    for (const bool classes : {true, false}) {
      const std::string kind = classes ? "classifier" : "regressor";
      const TrainingData mixed = table_data(folder / kind / "mixed", classes, true, true);
      write(folder, kind + "-linear", mixed, {});
      write(folder, kind + "-relu", mixed, {relu, relu});
      write(folder, kind + "-gelu", mixed, {gelu});
      write(folder, kind + "-tanh", mixed, {tanh});
      write(folder, kind + "-batch-norm", mixed, {norm, norm});
      write(folder, kind + "-numbers", table_data(folder / kind / "n", classes, true, false),
            {relu});
      write(folder, kind + "-texts", table_data(folder / kind / "t", classes, false, true), {relu});
    }
    write(folder, "image-integers", image_data({"0", "1", "2"}), {relu});
    write(folder, "image-names", image_data({"shirt", "shoe"}), {gelu, norm});
    const ConvLayer plain{.filters = 3, .dropout = 0.1F};
    const ConvLayer pooled{.filters = 4,
                           .kernel = {2, 3},
                           .pooling = Pooling::max,
                           .activation = Activation::gelu,
                           .batch_norm = true};
    const ConvLayer stepping{.filters = 5,
                             .stride = {2, 1},
                             .same = false,
                             .pooling = Pooling::average,
                             .activation = Activation::tanh};
    write(folder, "image-conv", image_data({"shirt", "shoe"}), {relu}, {plain});
    write(folder, "image-conv-max", image_data({"shirt", "shoe"}), {norm}, {plain, pooled});
    write(folder, "image-conv-average", image_data({"0", "1", "2"}), {}, {stepping});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
