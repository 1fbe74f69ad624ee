// A network's layers as nodes of an ONNX graph. Only for .cpp files of the export.
#pragma once

#include "core/train/network.hpp"
#include "core/train/onnx_graph.hpp"

#include <string>

namespace mlp::train {

// Adds the layers behind the value `x`, [N, inputs], or [N, channels, height, width] for a network
// with convolutions; returns the name of what they give, [N, outputs].
[[nodiscard]] std::string add_layers(OnnxGraph& graph, const Network& network, std::string x);

} // namespace mlp::train
