// The Open Inference Protocol (KServe V2), REST: requests into tensors, tensors into responses.
// Pure functions, no sockets. Source: open-inference-protocol, specification/protocol/
// inference_rest.md, and its OpenAPI file open_inference_rest.yaml.
//
// What the protocol leaves open, and how it is here:
//  - `data` is flat, or nested exactly as `shape` says.
//  - FP data: null is NaN, which models take for a blank; so are the strings "NaN", "Infinity" and
//    "-Infinity", which is how responses write the values that JSON has no numbers for.
//  - An integer type takes a number with a fraction of zero ("1.0"); a number that its type cannot
//    hold is an error, never wrapped. BOOL takes true, false, 1 and 0.
//  - `parameters` are accepted and have no effect, but for binary_data_size: the binary tensor data
//    extension is refused. Members that the protocol does not have are skipped.
#pragma once

#include "core/model/tensor.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::serve {

struct InferRequest {
  std::string id; // empty: none given
  std::vector<model::NamedTensor> inputs;
  std::vector<std::string> outputs; // names asked for; empty: all
};

// Keeps its memory from one request to the next (and gives it back after a large one). Memory while
// it parses: about 14 bytes a byte of the body. One thread at a time.
class InferRequestParser {
 public:
  InferRequestParser();
  ~InferRequestParser();
  InferRequestParser(InferRequestParser&&) noexcept;
  InferRequestParser& operator=(InferRequestParser&&) noexcept;

  // `body` gains padding at its end. Does not know the model: see check_inputs and
  // check_output_names. Throws Error(usage) that says which input, and where in it.
  [[nodiscard]] InferRequest parse(std::string& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Throws Error(usage) for a name that the model does not have (with the nearest) or one given
// twice.
void check_output_names(const model::Signature& signature, std::span<const std::string> names);

// Who answers.
struct ModelIdentity {
  std::string name;
  std::string version; // empty: none
  std::string platform;
};

// Bodies of responses, appended to `out`. Data is flat, in row-major order.
void append_infer_response(std::string& out, const ModelIdentity& model, std::string_view id,
                           std::span<const model::NamedTensor> outputs);
void append_model_metadata(std::string& out, const ModelIdentity& model,
                           const model::Signature& signature);
void append_server_metadata(std::string& out, std::string_view name, std::string_view version);
// {"error": "..."}
void append_error(std::string& out, std::string_view message);

} // namespace mlp::serve
