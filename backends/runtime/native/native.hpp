// The native runtime: loads ONNX models and runs them on the CPU or a GPU, without any other
// runtime.
#pragma once

#include "core/serve/runtime.hpp"

namespace mlp::native {

// Accepts a file named *.onnx, or a folder that holds model.onnx or exactly one *.onnx. Models that
// are refused say why: Error(not_found), or Error(config) for what is not ONNX, an operator that is
// lacking (with its node and opset), and limits (limits.hpp). Lives as long as the program.
[[nodiscard]] const serve::RuntimeFactory& runtime_factory() noexcept;

} // namespace mlp::native
