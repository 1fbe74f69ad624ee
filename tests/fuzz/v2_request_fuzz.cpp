// Bytes as the body of a V2 request. Only mlp::Error may leave; what is read is as large as its
// shape says, and the writer and the parser agree on it.
#include "core/base/error.hpp"
#include "core/serve/v2.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace mlp;
using namespace mlp::serve;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static InferRequestParser parser;
  std::string body(reinterpret_cast<const char*>(data), size);
  try {
    const InferRequest request = parser.parse(body);
    for (const model::NamedTensor& input : request.inputs) {
      const auto count = static_cast<std::size_t>(input.tensor.size());
      const std::size_t width = model::data_type_size(input.tensor.type);
      if (input.tensor.data.size() != count * width) std::abort();
      if (width == 0 && input.tensor.strings.size() != count) std::abort();
    }
    // A response has the members of a request's inputs: under another key it is one.
    std::string response;
    append_infer_response(response, {"m", "1", "p"}, "", request.inputs);
    const std::string key = "\"outputs\"";
    response.replace(response.find(key), key.size(), "\"inputs\"");
    const InferRequest again = parser.parse(response);
    if (again.inputs.size() != request.inputs.size()) std::abort();
    for (std::size_t i = 0; i < again.inputs.size(); ++i)
      if (again.inputs[i].tensor.shape != request.inputs[i].tensor.shape) std::abort();
  } catch (const Error& error) {
    if (error.message().empty()) std::abort();
  }
  return 0;
}
