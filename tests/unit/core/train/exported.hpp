// For tests: a model's inputs made from the raw data, and the two ways to predict with it, the
// trainer's own and a runtime that is given the file alone.
#pragma once

#include "backends/runtime/native/native.hpp"
#include "core/base/fs.hpp"
#include "core/model/tensor.hpp"
#include "core/train/network.hpp"
#include "core/train/onnx_export.hpp"
#include "core/train/table.hpp"
#include "core/train/training_data.hpp"
#include "kernels/device.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace mlp::train {

// One [rows, 1] tensor a column, blanks as NaN and "".
inline std::vector<model::NamedTensor> column_tensors(const model::Signature& signature,
                                                      const Table& table) {
  std::vector<model::NamedTensor> tensors;
  for (const model::TensorSpec& spec : signature.inputs) {
    const Column* column = table.find(spec.name);
    if (column == nullptr) throw std::runtime_error("no column " + spec.name);
    model::Tensor tensor = model::Tensor::make(spec.type, {table.rows(), 1});
    if (spec.type == model::DataType::string) {
      for (std::size_t row = 0; row < column->codes.size(); ++row)
        tensor.strings[row] = column->codes[row] < 0
                                  ? ""
                                  : column->values[static_cast<std::size_t>(column->codes[row])];
    } else {
      std::copy(column->numbers.begin(), column->numbers.end(), tensor.as<float>().begin());
    }
    tensors.push_back({spec.name, std::move(tensor)});
  }
  return tensors;
}

// Rows [first, first + count) of the images.
inline std::vector<model::NamedTensor> image_tensors(const TrainingData& data, std::int64_t first,
                                                     std::int64_t count) {
  model::Shape shape = data.features.image_shape;
  shape.insert(shape.begin(), count);
  model::Tensor tensor = model::Tensor::make(model::DataType::uint8, shape);
  const auto width = data.features.width();
  std::copy_n(data.pixels.begin() + first * width, count * width,
              tensor.as<std::uint8_t>().begin());
  return {{"image", std::move(tensor)}};
}

// The network's outputs for rows [first, first + count): probabilities, or values in the target's
// own unit.
inline std::vector<float> own_predictions(const TrainingData& data, const Network& network,
                                          std::int64_t first, std::int64_t count) {
  const auto width = data.features.width();
  std::vector<float> inputs(static_cast<std::size_t>(count * width));
  if (data.pixels.empty())
    std::copy_n(data.inputs.begin() + first * width, count * width, inputs.begin());
  else
    for (std::size_t i = 0; i < inputs.size(); ++i)
      inputs[i] = (static_cast<float>(data.pixels[static_cast<std::size_t>(first * width) + i]) -
                   data.features.pixel_mean) *
                  data.features.pixel_scale;
  const auto device = kernels::make_cpu_device(2);
  std::vector<float> values = network.predict(*device, inputs);
  const std::size_t classes = data.classes.size();
  if (classes == 0) {
    for (float& value : values)
      value = value * data.target_scale + data.target_mean;
    return values;
  }
  for (std::size_t row = 0; row < values.size(); row += classes) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row);
    const auto end = begin + static_cast<std::ptrdiff_t>(classes);
    const double most = *std::max_element(begin, end);
    double sum = 0.0;
    for (auto it = begin; it != end; ++it)
      sum += std::exp(double{*it} - most);
    for (auto it = begin; it != end; ++it)
      *it = static_cast<float>(std::exp(double{*it} - most) / sum);
  }
  return values;
}

// The largest |a - b| / max(1, |a|).
inline double largest_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) throw std::runtime_error("different sizes");
  double largest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = std::abs(double{a[i]} - double{b[i]}) / std::max(1.0, std::abs(double{a[i]}));
    if (!(d <= largest)) largest = d; // NaN counts as the largest
  }
  return largest;
}

inline std::unique_ptr<serve::Runtime> load_exported(const ExportedModel& model,
                                                     const fs::path& folder) {
  const fs::path path = folder / "model.onnx";
  write_file_atomic(path, onnx_bytes(model));
  return native::runtime_factory().load(path, {});
}

inline ExportedModel exported(const TrainingData& data, const Network& network) {
  return {.features = data.features,
          .network = network,
          .kind = data.classes.empty() ? config::TrainerKind::regressor
                                       : config::TrainerKind::classifier,
          .classes = data.classes,
          .target_mean = data.target_mean,
          .target_scale = data.target_scale,
          .metadata = {}};
}

} // namespace mlp::train
