// Looks over the bytes of a model before protobuf builds objects from them.
#pragma once

#include "backends/runtime/native/limits.hpp"

#include <string_view>

namespace mlp::native {

// Protobuf turns two bytes of an empty message into an object of a hundred and more, so that a
// small file can fill the memory. This walks the wire format (protobuf.dev, "Encoding") without
// allocating and adds up what the objects will take. Throws Error(config): "not an ONNX model", or
// which limit is passed.
void scan_model(std::string_view bytes, const Limits& limits);

} // namespace mlp::native
