// A runtime for tests: y = 2 x over FP32 [?, 3], and label = first name of the row, so that answers
// are known without a model.
#pragma once

#include "core/base/error.hpp"
#include "core/serve/runtime.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

namespace mlp::serve {

class FakeRuntime : public Runtime {
 public:
  std::chrono::milliseconds delay{0};
  bool fails = false;
  mutable std::atomic<int> running{0};

  [[nodiscard]] const model::Signature& signature() const noexcept override { return signature_; }

  [[nodiscard]] std::vector<model::NamedTensor>
  infer(std::span<const model::NamedTensor> inputs,
        std::span<const std::string> outputs) const override {
    check_inputs(signature_, inputs);
    if (fails) throw Error(ErrorKind::failed, "the model broke");
    ++running;
    std::this_thread::sleep_for(delay);
    --running;
    model::NamedTensor y{"y", inputs.front().tensor};
    for (float& value : y.tensor.as<float>())
      value *= 2;
    model::NamedTensor label{
        "label", model::Tensor::make(model::DataType::string, {y.tensor.shape.front()})};
    std::fill(label.tensor.strings.begin(), label.tensor.strings.end(), "cat");
    std::vector<model::NamedTensor> all;
    for (model::NamedTensor* output : {&y, &label})
      if (outputs.empty() ||
          std::find(outputs.begin(), outputs.end(), output->name) != outputs.end())
        all.push_back(std::move(*output));
    return all;
  }

 private:
  model::Signature signature_{.inputs = {{"x", model::DataType::float32, {-1, 3}}},
                              .outputs = {{"y", model::DataType::float32, {-1, 3}},
                                          {"label", model::DataType::string, {-1}}}};
};

} // namespace mlp::serve
