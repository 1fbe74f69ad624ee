// From the bytes of an ONNX file to a checked Graph.
#pragma once

#include "backends/runtime/native/graph.hpp"
#include "backends/runtime/native/limits.hpp"

#include <string_view>

namespace mlp::native {

// Constants are allocated from `memory`. The nodes come out in topological order, all of
// operators that exist. Throws Error(config): not an ONNX model, an opset that is too new, an
// operator that is lacking, a value without a producer, a bad initializer, an input that is not a
// tensor.
[[nodiscard]] Graph read_model(std::string_view bytes, Memory& memory, const Limits& limits);

} // namespace mlp::native
