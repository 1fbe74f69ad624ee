// Convolutions on cuDNN, in any direction. The algorithm is the first deterministic one that
// cuDNN's heuristic names within the workspace limit, so that the same GPU and sizes give the same
// bits.
#include "kernels/cuda/conv_engine.hpp"
#include "kernels/cuda/library.hpp"

#include <array>
#include <limits>
#include <mutex>

#if __has_include(<cudnn.h>)
#include <cudnn.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace mlp::kernels::cuda {

namespace {

constexpr std::size_t kWorkspaceLimit = std::size_t{256} << 20;

struct Functions {
  explicit Functions(const Library& l)
      : create(l.function<decltype(cudnnCreate)>("cudnnCreate")),
        destroy(l.function<decltype(cudnnDestroy)>("cudnnDestroy")),
        set_stream(l.function<decltype(cudnnSetStream)>("cudnnSetStream")),
        error_text(l.function<decltype(cudnnGetErrorString)>("cudnnGetErrorString")),
        create_tensor(
            l.function<decltype(cudnnCreateTensorDescriptor)>("cudnnCreateTensorDescriptor")),
        destroy_tensor(
            l.function<decltype(cudnnDestroyTensorDescriptor)>("cudnnDestroyTensorDescriptor")),
        set_tensor(l.function<decltype(cudnnSetTensorNdDescriptor)>("cudnnSetTensorNdDescriptor")),
        create_filter(
            l.function<decltype(cudnnCreateFilterDescriptor)>("cudnnCreateFilterDescriptor")),
        destroy_filter(
            l.function<decltype(cudnnDestroyFilterDescriptor)>("cudnnDestroyFilterDescriptor")),
        set_filter(l.function<decltype(cudnnSetFilterNdDescriptor)>("cudnnSetFilterNdDescriptor")),
        create_conv(l.function<decltype(cudnnCreateConvolutionDescriptor)>(
            "cudnnCreateConvolutionDescriptor")),
        destroy_conv(l.function<decltype(cudnnDestroyConvolutionDescriptor)>(
            "cudnnDestroyConvolutionDescriptor")),
        set_conv(l.function<decltype(cudnnSetConvolutionNdDescriptor)>(
            "cudnnSetConvolutionNdDescriptor")),
        set_groups(
            l.function<decltype(cudnnSetConvolutionGroupCount)>("cudnnSetConvolutionGroupCount")),
        set_math(l.function<decltype(cudnnSetConvolutionMathType)>("cudnnSetConvolutionMathType")),
        forward_algorithms(l.function<decltype(cudnnGetConvolutionForwardAlgorithm_v7)>(
            "cudnnGetConvolutionForwardAlgorithm_v7")),
        forward_workspace(l.function<decltype(cudnnGetConvolutionForwardWorkspaceSize)>(
            "cudnnGetConvolutionForwardWorkspaceSize")),
        forward(l.function<decltype(cudnnConvolutionForward)>("cudnnConvolutionForward")),
        data_algorithms(l.function<decltype(cudnnGetConvolutionBackwardDataAlgorithm_v7)>(
            "cudnnGetConvolutionBackwardDataAlgorithm_v7")),
        data_workspace(l.function<decltype(cudnnGetConvolutionBackwardDataWorkspaceSize)>(
            "cudnnGetConvolutionBackwardDataWorkspaceSize")),
        backward_data(
            l.function<decltype(cudnnConvolutionBackwardData)>("cudnnConvolutionBackwardData")),
        weights_algorithms(l.function<decltype(cudnnGetConvolutionBackwardFilterAlgorithm_v7)>(
            "cudnnGetConvolutionBackwardFilterAlgorithm_v7")),
        weights_workspace(l.function<decltype(cudnnGetConvolutionBackwardFilterWorkspaceSize)>(
            "cudnnGetConvolutionBackwardFilterWorkspaceSize")),
        backward_weights(l.function<decltype(cudnnConvolutionBackwardFilter)>(
            "cudnnConvolutionBackwardFilter")) {}

  decltype(cudnnCreate)* create;
  decltype(cudnnDestroy)* destroy;
  decltype(cudnnSetStream)* set_stream;
  decltype(cudnnGetErrorString)* error_text;
  decltype(cudnnCreateTensorDescriptor)* create_tensor;
  decltype(cudnnDestroyTensorDescriptor)* destroy_tensor;
  decltype(cudnnSetTensorNdDescriptor)* set_tensor;
  decltype(cudnnCreateFilterDescriptor)* create_filter;
  decltype(cudnnDestroyFilterDescriptor)* destroy_filter;
  decltype(cudnnSetFilterNdDescriptor)* set_filter;
  decltype(cudnnCreateConvolutionDescriptor)* create_conv;
  decltype(cudnnDestroyConvolutionDescriptor)* destroy_conv;
  decltype(cudnnSetConvolutionNdDescriptor)* set_conv;
  decltype(cudnnSetConvolutionGroupCount)* set_groups;
  decltype(cudnnSetConvolutionMathType)* set_math;
  decltype(cudnnGetConvolutionForwardAlgorithm_v7)* forward_algorithms;
  decltype(cudnnGetConvolutionForwardWorkspaceSize)* forward_workspace;
  decltype(cudnnConvolutionForward)* forward;
  decltype(cudnnGetConvolutionBackwardDataAlgorithm_v7)* data_algorithms;
  decltype(cudnnGetConvolutionBackwardDataWorkspaceSize)* data_workspace;
  decltype(cudnnConvolutionBackwardData)* backward_data;
  decltype(cudnnGetConvolutionBackwardFilterAlgorithm_v7)* weights_algorithms;
  decltype(cudnnGetConvolutionBackwardFilterWorkspaceSize)* weights_workspace;
  decltype(cudnnConvolutionBackwardFilter)* backward_weights;
};

} // namespace

class ConvLibrary {
 public:
  ConvLibrary()
      : library_("cuDNN", {"libcudnn.so.9"},
                 "install cuDNN 9 (Debian: libcudnn9-cuda-13, Python: nvidia-cudnn-cu13) where "
                 "the loader finds it, see LD_LIBRARY_PATH"),
        f(library_) {
    check(f.create(&handle), "start cuDNN");
  }
  ConvLibrary(const ConvLibrary&) = delete;
  ConvLibrary& operator=(const ConvLibrary&) = delete;
  ~ConvLibrary() { static_cast<void>(f.destroy(handle)); }

  void check(cudnnStatus_t status, const char* what) const {
    if (status == CUDNN_STATUS_SUCCESS) return;
    throw Error(status == CUDNN_STATUS_NOT_SUPPORTED ? ErrorKind::unsupported : ErrorKind::failed,
                std::string("cannot ") + what + ": " + f.error_text(status));
  }

 private:
  Library library_;

 public:
  const Functions f;
  cudnnHandle_t handle = nullptr;
  std::mutex mutex; // the handle belongs to one thread and stream at a time
};

namespace {

// A descriptor that ends itself.
template <class Handle>
class Descriptor {
 public:
  using Destroy = cudnnStatus_t (*)(Handle);
  Descriptor(const ConvLibrary& library, cudnnStatus_t (*create)(Handle*), Destroy destroy)
      : destroy_(destroy) {
    library.check(create(&handle_), "describe a convolution");
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { static_cast<void>(destroy_(handle_)); }
  Handle get() const noexcept { return handle_; }

 private:
  Destroy destroy_;
  Handle handle_ = nullptr;
};

int as_int(std::int64_t value) {
  if (value > std::numeric_limits<int>::max())
    throw Error(ErrorKind::unsupported, "a convolution is too large for cuDNN");
  return static_cast<int>(value);
}

// Sizes as cuDNN wants them: images, channels, then two axes at least.
struct Sizes {
  std::array<int, kMaxSpatial + 2> x{}, y{}, w{};
  std::array<int, kMaxSpatial> pads{}, strides{}, dilations{};
  int rank = 2;
};
Sizes sizes_of(const ConvSpec& spec) {
  Sizes s;
  const int skip = spec.window.rank == 1 ? 1 : 0; // an axis of one cell stands before a single one
  s.rank = spec.window.rank + skip;
  s.x = {as_int(spec.batch), as_int(spec.channels), 1};
  s.y = {as_int(spec.batch), as_int(spec.out_channels), 1};
  s.w = {as_int(spec.out_channels), as_int(spec.channels / spec.groups), 1};
  s.strides = s.dilations = {1, 1, 1};
  for (int axis = 0; axis < spec.window.rank; ++axis) {
    const auto at = static_cast<std::size_t>(axis) + static_cast<std::size_t>(skip);
    s.x[at + 2] = as_int(spec.in[axis]);
    s.y[at + 2] = as_int(output_size(spec.window, axis, spec.in[axis]));
    s.w[at + 2] = as_int(spec.window.kernel[axis]);
    s.pads[at] = as_int(spec.window.pad_begin[axis]);
    s.strides[at] = as_int(spec.window.stride[axis]);
    s.dilations[at] = as_int(spec.window.dilation[axis]);
  }
  return s;
}

class Engine final : public ConvEngine {
 public:
  Engine(const Context& context, std::shared_ptr<ConvLibrary> library, const ConvSpec& spec,
         Direction direction, Way way)
      : library_(std::move(library)), direction_(direction), way_(way),
        is_strict_(spec.dtype == DType::f32 && context.precision == Precision::f32),
        x_(*library_, library_->f.create_tensor, library_->f.destroy_tensor),
        y_(*library_, library_->f.create_tensor, library_->f.destroy_tensor),
        w_(*library_, library_->f.create_filter, library_->f.destroy_filter),
        conv_(*library_, library_->f.create_conv, library_->f.destroy_conv) {
    const auto& f = library_->f;
    const cudnnDataType_t type = spec.dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    const Sizes sizes = sizes_of(spec);
    const int axes = sizes.rank + 2;
    const auto describe = [&](cudnnStatus_t status) {
      // There is another way where channels last cannot be said.
      if (way.channels_last)
        is_described_ = is_described_ && status == CUDNN_STATUS_SUCCESS;
      else
        library_->check(status, "describe a convolution");
    };
    const auto tensor = [&](cudnnTensorDescriptor_t descriptor, const auto& size) {
      std::array<int, kMaxSpatial + 2> steps{};
      std::int64_t step = 1;
      const auto stride = [&](std::size_t at) {
        steps[at] = as_int(step);
        step *= size[at];
      };
      if (way.channels_last) stride(1);
      for (int i = axes - 1; i >= 2; --i)
        stride(static_cast<std::size_t>(i));
      if (!way.channels_last) stride(1);
      stride(0);
      describe(f.set_tensor(descriptor, type, axes, size.data(), steps.data()));
    };
    tensor(x_.get(), sizes.x);
    tensor(y_.get(), sizes.y);
    describe(f.set_filter(w_.get(), type, way.channels_last ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW,
                          axes, sizes.w.data()));
    describe(f.set_conv(conv_.get(), sizes.rank, sizes.pads.data(), sizes.strides.data(),
                        sizes.dilations.data(), CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    describe(f.set_groups(conv_.get(), as_int(spec.groups)));
    math_ = spec.dtype == DType::bf16 ? CUDNN_TENSOR_OP_MATH
            : is_strict_              ? CUDNN_FMA_MATH
                                      : CUDNN_DEFAULT_MATH;
    describe(f.set_math(conv_.get(), math_));
  }

  // False: cuDNN has no deterministic algorithm for it.
  bool choose() {
    if (!is_described_) return false;
    const auto& f = library_->f;
    const cudnnHandle_t handle = library_->handle;
    const std::lock_guard lock(library_->mutex);
    switch (direction_) {
    case Direction::forward:
      return choose_from<cudnnConvolutionFwdAlgoPerf_t, CUDNN_CONVOLUTION_FWD_ALGO_COUNT>(
          CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
          [&](int most, int* count, cudnnConvolutionFwdAlgoPerf_t* found) {
            return f.forward_algorithms(handle, x_.get(), w_.get(), conv_.get(), y_.get(), most,
                                        count, found);
          },
          [&](cudnnConvolutionFwdAlgo_t algorithm, std::size_t* bytes) {
            return f.forward_workspace(handle, x_.get(), w_.get(), conv_.get(), y_.get(), algorithm,
                                       bytes);
          });
    case Direction::data:
      return choose_from<cudnnConvolutionBwdDataAlgoPerf_t, CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT>(
          CUDNN_CONVOLUTION_BWD_DATA_ALGO_1,
          [&](int most, int* count, cudnnConvolutionBwdDataAlgoPerf_t* found) {
            return f.data_algorithms(handle, w_.get(), y_.get(), conv_.get(), x_.get(), most, count,
                                     found);
          },
          [&](cudnnConvolutionBwdDataAlgo_t algorithm, std::size_t* bytes) {
            return f.data_workspace(handle, w_.get(), y_.get(), conv_.get(), x_.get(), algorithm,
                                    bytes);
          });
    case Direction::weights:
      return choose_from<cudnnConvolutionBwdFilterAlgoPerf_t,
                         CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT>(
          CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1,
          [&](int most, int* count, cudnnConvolutionBwdFilterAlgoPerf_t* found) {
            return f.weights_algorithms(handle, x_.get(), y_.get(), conv_.get(), w_.get(), most,
                                        count, found);
          },
          [&](cudnnConvolutionBwdFilterAlgo_t algorithm, std::size_t* bytes) {
            return f.weights_workspace(handle, x_.get(), y_.get(), conv_.get(), w_.get(), algorithm,
                                       bytes);
          });
    }
    return false;
  }

  std::size_t workspace_bytes() const noexcept override { return bytes_; }

  void run(const Queue& q, const Operands& t, void* workspace) const override {
    const auto& f = library_->f;
    const float one = 1.0F;
    const float zero = 0.0F;
    const std::lock_guard lock(library_->mutex);
    const cudnnHandle_t handle = library_->handle;
    library_->check(f.set_stream(handle, q.stream), "choose a stream");
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    switch (direction_) {
    case Direction::forward:
      status = f.forward(handle, &one, x_.get(), t.x, w_.get(), t.w, conv_.get(),
                         static_cast<cudnnConvolutionFwdAlgo_t>(algorithm_), workspace, bytes_,
                         &zero, y_.get(), t.y);
      break;
    case Direction::data:
      status = f.backward_data(handle, &one, w_.get(), t.w, y_.get(), t.y, conv_.get(),
                               static_cast<cudnnConvolutionBwdDataAlgo_t>(algorithm_), workspace,
                               bytes_, &zero, x_.get(), t.x);
      break;
    case Direction::weights:
      status = f.backward_weights(handle, &one, x_.get(), t.x, y_.get(), t.y, conv_.get(),
                                  static_cast<cudnnConvolutionBwdFilterAlgo_t>(algorithm_),
                                  workspace, bytes_, t.add ? &one : &zero, w_.get(), t.w);
      break;
    }
    library_->check(status, "run a convolution");
  }

 private:
  // `list` asks the heuristic, `room` for the workspace of an algorithm; `last` is deterministic
  // and does more sizes than any other. Behind channels first there is no other way.
  template <class Perf, int most, class Algorithm, class List, class Room>
  bool choose_from(Algorithm last, const List& list, const Room& room) {
    if (way_.last_resort)
      return accept(last, math_,
                    way_.channels_last ? kWorkspaceLimit : std::numeric_limits<std::size_t>::max(),
                    room);
    std::array<Perf, most> found{};
    int count = 0;
    if (list(most, &count, found.data()) != CUDNN_STATUS_SUCCESS) count = 0;
    for (int i = 0; i < count; ++i) {
      const Perf& perf = found[static_cast<std::size_t>(i)];
      if (perf.status != CUDNN_STATUS_SUCCESS || perf.determinism != CUDNN_DETERMINISTIC) continue;
      const bool may_round = perf.mathType == CUDNN_TENSOR_OP_MATH ||
                             perf.mathType == CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION;
      if (is_strict_ && may_round) continue;
      const cudnnMathType_t math = is_strict_ ? math_ : perf.mathType;
      if (accept(perf.algo, math, kWorkspaceLimit, room)) return true;
    }
    return false;
  }
  template <class Algorithm, class Room>
  bool accept(Algorithm algorithm, cudnnMathType_t math, std::size_t limit, const Room& room) {
    // What the heuristic says holds for its kind of arithmetic.
    library_->check(library_->f.set_math(conv_.get(), math), "describe a convolution");
    std::size_t bytes = 0;
    if (room(algorithm, &bytes) != CUDNN_STATUS_SUCCESS || bytes > limit) return false;
    algorithm_ = static_cast<int>(algorithm);
    bytes_ = bytes;
    return true;
  }

  std::shared_ptr<ConvLibrary> library_;
  Direction direction_;
  Way way_;
  bool is_strict_; // float32 and nothing less
  bool is_described_ = true;
  Descriptor<cudnnTensorDescriptor_t> x_, y_;
  Descriptor<cudnnFilterDescriptor_t> w_;
  Descriptor<cudnnConvolutionDescriptor_t> conv_;
  cudnnMathType_t math_ = CUDNN_DEFAULT_MATH;
  int algorithm_ = 0;
  std::size_t bytes_ = 0;
};

} // namespace

std::shared_ptr<ConvLibrary> load_conv_library() {
  return std::make_shared<ConvLibrary>();
}

std::int64_t most_elements() noexcept {
  return std::numeric_limits<std::int32_t>::max();
}

std::unique_ptr<ConvEngine> make_conv_engine(const Context& context,
                                             std::shared_ptr<ConvLibrary> library,
                                             const ConvSpec& spec, Direction direction, Way way) {
  auto engine = std::make_unique<Engine>(context, std::move(library), spec, direction, way);
  if (!engine->choose()) return nullptr;
  return engine;
}

} // namespace mlp::kernels::cuda

#else // no cudnn.h

namespace mlp::kernels::cuda {

class ConvLibrary {};

std::shared_ptr<ConvLibrary> load_conv_library() {
  throw Error(ErrorKind::unavailable, "mlp was built without cuDNN's headers",
              "build it where cudnn.h is installed");
}

std::int64_t most_elements() noexcept {
  return std::numeric_limits<std::int32_t>::max();
}

std::unique_ptr<ConvEngine> make_conv_engine(const Context&, std::shared_ptr<ConvLibrary>,
                                             const ConvSpec&, Direction, Way) {
  return nullptr; // load_conv_library() has thrown before
}

} // namespace mlp::kernels::cuda

#endif
