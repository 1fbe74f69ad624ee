// The network on a device: forward passes, and the training step as one sequence of fused
// operations on buffers that are made once. What fit() and predict() are built on.
#pragma once

#include "core/base/error.hpp"
#include "core/train/fit.hpp"
#include "core/train/network.hpp"
#include "kernels/device.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace mlp::train {

// A kernels::Error in the project's own terms.
[[nodiscard]] Error translate(const kernels::Error& error);

// Runs `body`; a kernels::Error that leaves it becomes an mlp::Error.
template <class Body>
decltype(auto) with_device_errors(Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const kernels::Error& error) {
    throw translate(error);
  }
}

// Not thread-safe; owns its device buffers; the device must outlive it. Throws kernels::Error.
class Engine {
 public:
  // For batches of at most max_rows; without `training` it has no gradients and optimiser state.
  // Everything is queued on `stream`, which stays the caller's.
  Engine(kernels::Device& device, const Network& network, std::int64_t max_rows, bool training,
         kernels::Stream stream = {});
  [[nodiscard]] kernels::Stream stream() const noexcept { return stream_; }

  // Copies parameters and statistics to the device, or back. Both wait.
  void load(const Network& network);
  void store(Network& network) const;
  // Optimiser state on the host, for checkpoints: first and second moment, or velocity and
  // nothing. Both wait.
  [[nodiscard]] std::vector<float> optimizer_state() const;
  void set_optimizer_state(const std::vector<float>& state);

  // Where the caller assembles a batch: inputs (rows x inputs), labels or targets.
  [[nodiscard]] float* input() const noexcept { return input_.as<float>(); }
  [[nodiscard]] std::int32_t* labels() const noexcept { return labels_.as<std::int32_t>(); }
  [[nodiscard]] float* targets() const noexcept { return targets_.as<float>(); }
  [[nodiscard]] kernels::LossStats* stats() const noexcept {
    return stats_.as<kernels::LossStats>();
  }
  [[nodiscard]] kernels::StepState* state() const noexcept {
    return state_.as<kernels::StepState>();
  }

  // Makes what batches of `rows` need, so that the steps allocate nothing.
  void prepare(std::int64_t rows);

  struct LossSpec {
    Loss kind = Loss::cross_entropy;
    float huber_delta = 1.0F;
    const float* class_weights = nullptr; // on the device, or null
  };
  // Outputs of input() without dropout and with the running statistics: rows x outputs.
  float* infer(std::int64_t rows);
  // Adds the loss of the last infer() against labels() or targets() to stats().
  void add_loss(std::int64_t rows, const LossSpec& loss);
  // Called with a range of the gradients when all that writes it is queued. The ranges do not
  // overlap, cover all gradients, and depend on nothing but the network's shape.
  using GradientsReady = std::function<void(float* gradients, std::int64_t count)>;
  // Forward, loss (added to stats()) and gradients of a batch; then update() moves the parameters.
  // No rows: the gradients are zero.
  void backpropagate(std::int64_t rows, const LossSpec& loss, const GradientsReady& ready = {});
  void update(const Optimizer& optimizer);

  // For tests: gradients of the last backpropagate(), laid out as Network::values().
  [[nodiscard]] std::vector<float> gradients() const;

 private:
  struct Layer {
    std::int64_t inputs = 0, outputs = 0;
    LayerOffsets at;
    bool last = false, batch_norm = false;
    bool fused = false; // the product gives the layer's output, in training too
    float dropout = 0.0F;
    kernels::Activation activation = kernels::Activation::none;
    // Dense or convolution's output; its normalised form (else the same); after activation, and
    // dropout if nothing is pooled (the same where the backward pass allows it); what the next
    // layer reads (the same without pooling).
    float *z = nullptr, *normal = nullptr, *y = nullptr, *out = nullptr;
    float *mean = nullptr, *inv_std = nullptr; // of the batch
    // A convolution: each position of each row is a row of what follows it, with a column a filter.
    bool conv = false, pooled = false;
    std::int64_t positions = 1, pooled_positions = 1; // for each row
    kernels::ConvSpec conv_spec;                      // but for `batch`
    kernels::PoolSpec pool;                           // too
    std::int32_t* index = nullptr;                    // of each pooled maximum
    std::vector<kernels::Buffer> owned;
  };
  struct LayerPlans {
    // Dense; `forward` is null where `infer` does for training too.
    std::unique_ptr<kernels::MatmulPlan> infer, forward, weight, data;
    std::unique_ptr<kernels::ConvTrainingPlan> conv;
  };
  using Plans = std::vector<LayerPlans>;

  // Which gradients were handed out: weights from the last layer down, and last all the rest.
  class Handout {
   public:
    Handout(Engine& engine, const GradientsReady& ready) : engine_(engine), ready_(ready) {
      end_ = engine.decayed_;
    }
    void biases_done(std::size_t layer) const;
    void weights_done(std::size_t layer);

   private:
    void give(std::int64_t begin, std::int64_t end) const;
    Engine& engine_;
    const GradientsReady& ready_;
    std::int64_t end_; // weights from here on are handed out
  };

  void add_layer(const LayerView& view, float dropout, bool last);
  LayerPlans plan_layer(const Layer& layer, std::int64_t rows);
  template <class Plan>
  void lend_workspace(const Plan& plan);
  kernels::Buffer floats(std::int64_t count);
  const Plans& plans(std::int64_t rows);

  [[nodiscard]] kernels::EpilogueSpec epilogue_of(std::size_t layer, std::int64_t rows) const;
  [[nodiscard]] kernels::EpilogueSpec dropout_of(std::size_t layer, std::int64_t rows) const;
  void pool(const Layer& layer, std::int64_t rows, const float* x);
  const float* forward(std::size_t layer, std::int64_t rows, const LayerPlans& plan,
                       const float* x);
  // From the gradient of a layer's output, in `dy`, to that of what its product gave.
  void backward_output(std::size_t layer, std::int64_t rows, float*& dy, float*& spare);
  float* loss_gradient(std::int64_t rows, const LossSpec& loss, float* gradient);

  kernels::Device& device_;
  kernels::Stream stream_;
  bool training_;
  std::int64_t max_rows_, size_, decayed_, statistics_size_;
  std::vector<Layer> layers_;
  std::map<std::int64_t, Plans> plans_;
  kernels::Buffer values_, statistics_, gradients_, first_, second_;
  kernels::Buffer input_, labels_, targets_, stats_, state_;
  kernels::Buffer gradient_a_, gradient_b_, workspace_;
};

} // namespace mlp::train
