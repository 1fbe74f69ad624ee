// Reads ONNX's TensorProto, whose numbers may lie in raw_data or in one of five typed fields.
#pragma once

#include "backends/runtime/native/value.hpp"

#include <string_view>

namespace onnx {
class TensorProto;
}

namespace mlp::native {

// Copies the tensor into `memory`. `what` names it in errors. Throws Error(config) for a type that
// ONNX does not define or is complex, data that does not match the shape, or data kept in another
// file.
[[nodiscard]] Value read_tensor(const onnx::TensorProto& proto, Memory& memory,
                                std::string_view what);

// The same for the bytes of a serialised TensorProto, as the files of ONNX's tests are.
[[nodiscard]] Value read_tensor(std::string_view bytes, Memory& memory, std::string_view what);

} // namespace mlp::native
