// onnx_check FILE...: what ONNX's own checker says of models. A program of its own, because libonnx
// brings another protobuf than ours.
#include <onnx/checker.h>
#include <onnx/onnx-ml.pb.h>

#include <cstdio>
#include <exception>
#include <fstream>

int main(int count, char** arguments) {
  int bad = 0;
  for (int i = 1; i < count; ++i) {
    onnx::ModelProto model;
    std::ifstream file(arguments[i], std::ios::binary);
    if (!model.ParseFromIstream(&file)) {
      std::printf("%s: not an ONNX model\n", arguments[i]);
      ++bad;
      continue;
    }
    try {
      onnx::checker::check_model(model);
      std::printf("%s: accepted\n", arguments[i]);
    } catch (const std::exception& error) {
      std::printf("%s: %s\n", arguments[i], error.what());
      ++bad;
    }
  }
  return bad == 0 && count > 1 ? 0 : 1;
}
