// A network as plain data on the host: its shape, its parameters in one flat buffer, and views of
// each layer's weights for whoever writes them to a file. Training happens in fit.hpp.
//
// Convolutions come first: dropout(pool(activation(batch_norm(conv(x, W) + b)))), channels last. A
// hidden dense layer computes dropout(activation(batch_norm(x W^T + b))), the last one x W^T + b:
// logits of a classifier (softmax is not applied), values of a regressor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mlp::kernels {
class Device;
}

namespace mlp::train {

enum class Activation { none, relu, gelu, tanh }; // gelu is exact: x (1 + erf(x / sqrt 2)) / 2

struct Extent {
  std::int64_t height = 1, width = 1;
  bool operator==(const Extent&) const = default;
};

enum class Pooling { none, max, average };

struct ConvLayer {
  std::int64_t filters = 0;
  Extent kernel{3, 3}, stride{1, 1};
  bool same = true; // zeros around: ceil(size / stride) positions, the odd zero at the end; or none
  Pooling pooling = Pooling::none;
  Extent pool{2, 2}; // window and stride; cells at the end that fill no window are left out
  Activation activation = Activation::relu;
  bool batch_norm = false;
  float dropout = 0.0F; // as HiddenLayer's; after the pooling
  bool operator==(const ConvLayer&) const = default;
};

struct ImageShape { // a row of inputs: [height, width, channels]
  std::int64_t height = 0, width = 0, channels = 1;
  [[nodiscard]] std::int64_t size() const noexcept { return height * width * channels; }
  bool operator==(const ImageShape&) const = default;
};

// What a ConvLayer makes of an image.
struct ConvShape {
  ImageShape in;
  Extent pad_begin{0, 0}, pad_end{0, 0};
  ImageShape conv; // behind the convolution
  ImageShape out;  // behind the pooling
};

struct HiddenLayer {
  std::int64_t width = 0;
  Activation activation = Activation::relu;
  bool batch_norm = false;
  float dropout = 0.0F; // probability that an element is dropped, in [0, 1)
  bool operator==(const HiddenLayer&) const = default;
};

struct NetworkSpec {
  std::int64_t inputs = 0;
  std::int64_t outputs = 0; // classes, or target columns
  std::vector<HiddenLayer> hidden;
  std::vector<ConvLayer> conv; // before them
  ImageShape image;            // with conv: what a row of inputs is
  bool operator==(const NetworkSpec&) const = default;
};

// Throws mlp::Error{config} that names the first field out of range: widths 1 to 2^20, at most 64
// hidden layers, 64 convolutions and 2^30 parameters, filters 1 to 2^14, extents 1 to 31, windows
// that fit, 2^26 values behind a convolution of one row, dropout in [0, 1).
void check(const NetworkSpec& spec);

// Of each convolution. Throws as check() for a window that does not fit.
[[nodiscard]] std::vector<ConvShape> conv_shapes(const NetworkSpec& spec);

// Rows to compute at once where any number will do: 1024, or fewer of a network whose convolutions
// give much, so that its memory is bounded.
[[nodiscard]] std::int64_t rows_at_once(const NetworkSpec& spec);

// One layer, in the order of computation. The spans point into the Network: they live as long as it
// does and until it is assigned to.
struct LayerView {
  // Of a convolution: the values in a window, and filters.
  std::int64_t inputs = 0, outputs = 0;
  // [outputs, inputs] row-major: ONNX Gemm with transB = 1; of a convolution [filters, kernel
  // height, kernel width, channels].
  std::span<const float> weight;
  std::span<const float> bias; // [outputs]; all zero before a batch normalisation
  bool batch_norm = false;
  std::span<const float> gamma, beta, mean, variance; // [outputs] each if batch_norm, else empty
  float epsilon = 0.0F;
  Activation activation = Activation::none;
  const ConvLayer* conv = nullptr; // in the Network's spec; null: a dense layer
  ConvShape shape;                 // of a convolution
};

// Where a layer's tensors begin in the flat buffers, in elements; -1: the layer has no such tensor.
struct LayerOffsets {
  std::int64_t weight = 0, bias = 0, gamma = -1, beta = -1; // in values()
  std::int64_t mean = -1, variance = -1;                    // in statistics()
};

class Network {
 public:
  static constexpr float kBatchNormEpsilon = 1e-5F;

  Network() = default;
  // Weights are drawn with He's uniform (fan in) from Philox keyed by `seed`; biases are zero.
  // Throws as check().
  Network(NetworkSpec spec, std::uint64_t seed);

  [[nodiscard]] const NetworkSpec& spec() const noexcept { return spec_; }
  [[nodiscard]] std::vector<LayerView> layers() const;

  // All parameters; weights come first (the first decayed() elements), each tensor starts at a
  // multiple of 16 elements, gaps are zero.
  [[nodiscard]] std::span<float> values() noexcept { return values_; }
  [[nodiscard]] std::span<const float> values() const noexcept { return values_; }
  [[nodiscard]] std::int64_t decayed() const noexcept { return decayed_; }
  // Running mean and variance of the batch normalisations.
  [[nodiscard]] std::span<float> statistics() noexcept { return statistics_; }
  [[nodiscard]] std::span<const float> statistics() const noexcept { return statistics_; }
  [[nodiscard]] const std::vector<LayerOffsets>& offsets() const noexcept { return offsets_; }
  [[nodiscard]] std::int64_t parameter_count() const noexcept { return parameter_count_; }

  // Outputs (rows x outputs) of a forward pass without dropout, for standardised inputs (rows x
  // inputs, row-major). Blocks; memory grows with the number of rows only by the result. Throws
  // mlp::Error if rows.size() is no multiple of inputs, or the device cannot do it.
  [[nodiscard]] std::vector<float> predict(kernels::Device& device,
                                           std::span<const float> rows) const;

 private:
  NetworkSpec spec_;
  std::vector<float> values_, statistics_;
  std::vector<LayerOffsets> offsets_;
  std::int64_t decayed_ = 0, parameter_count_ = 0;
};

} // namespace mlp::train
