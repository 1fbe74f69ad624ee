// A trained model as one ONNX file: preprocessing, network and class names in one graph, which
// takes the raw columns or pixels. Source: ONNX IR version 8, operator sets ai.onnx 17 and
// ai.onnx.ml 2 (LabelEncoder for categories).
//
// Inputs: an image model has "image" (UINT8 [N, ...]); a table's has one [N, 1] input a column,
// named as the column: FP32 (a blank is NaN) or BYTES (a blank is "" or one of the markers).
// Outputs: "label" [N] (INT64 if all classes are integers, else BYTES) and "probabilities"
// [N, classes], or "prediction" [N]. An output whose name is a column's gets "_" appended.
#pragma once

#include "core/config/trainer_spec.hpp"
#include "core/model/tensor.hpp"
#include "core/train/features.hpp"
#include "core/train/network.hpp"

#include <map>
#include <string>
#include <vector>

namespace mlp::train {

// Refers to the caller's objects, which must live during the call.
struct ExportedModel {
  const Features& features;
  const Network& network;
  config::TrainerKind kind = config::TrainerKind::classifier;
  const std::vector<std::string>& classes; // classifier
  float target_mean = 0.0F, target_scale = 1.0F;
  std::map<std::string, std::string> metadata; // for metadata_props: names and texts, UTF-8
};

// The bytes of the file. The same model gives the same bytes. Throws Error(failed) for a model
// larger than protobuf's 2 GiB.
[[nodiscard]] std::string onnx_bytes(const ExportedModel& model);

// Its inputs and outputs, as a runtime will report them.
[[nodiscard]] model::Signature signature_of(const ExportedModel& model);

} // namespace mlp::train
