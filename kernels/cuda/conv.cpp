// Convolutions on cuDNN, channels first; bias and activation, and pads that differ between the ends
// of an axis, are kernels of ours. The algorithm is the first deterministic one that cuDNN's
// heuristic names within the workspace limit.
#include "kernels/cuda/library.hpp"
#include "kernels/cuda/plans.hpp"
#include "kernels/cuda/streams.hpp"

#include <array>
#include <limits>

#if __has_include(<cudnn.h>)
#include <cudnn.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace mlp::kernels::cuda {

namespace {

constexpr std::size_t kWorkspaceLimit = std::size_t{256} << 20;
constexpr std::size_t kPadAlignment = 256;

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
        algorithms(l.function<decltype(cudnnGetConvolutionForwardAlgorithm_v7)>(
            "cudnnGetConvolutionForwardAlgorithm_v7")),
        workspace(l.function<decltype(cudnnGetConvolutionForwardWorkspaceSize)>(
            "cudnnGetConvolutionForwardWorkspaceSize")),
        forward(l.function<decltype(cudnnConvolutionForward)>("cudnnConvolutionForward")) {}

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
  decltype(cudnnGetConvolutionForwardAlgorithm_v7)* algorithms;
  decltype(cudnnGetConvolutionForwardWorkspaceSize)* workspace;
  decltype(cudnnConvolutionForward)* forward;
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

class Conv final : public ConvPlan {
 public:
  Conv(const Context& context, std::shared_ptr<ConvLibrary> library, const ConvSpec& spec)
      : context_(context), library_(std::move(library)), spec_(spec),
        x_(*library_, library_->f.create_tensor, library_->f.destroy_tensor),
        y_(*library_, library_->f.create_tensor, library_->f.destroy_tensor),
        w_(*library_, library_->f.create_filter, library_->f.destroy_filter),
        conv_(*library_, library_->f.create_conv, library_->f.destroy_conv) {
    // cuDNN wants two axes at least: one more of one cell stands before a single one.
    const int skip = spec.window.rank == 1 ? 1 : 0;
    rank_ = spec.window.rank + skip;
    std::array<int, kMaxSpatial + 2> x{as_int(spec.batch), as_int(spec.channels)};
    std::array<int, kMaxSpatial + 2> y{as_int(spec.batch), as_int(spec.out_channels)};
    std::array<int, kMaxSpatial + 2> w{as_int(spec.out_channels),
                                       as_int(spec.channels / spec.groups)};
    std::array<int, kMaxSpatial> pads{}, strides{}, dilations{};
    weights_ = spec.out_channels * (spec.channels / spec.groups);
    padding_.planes = spec.batch * spec.channels;
    padding_.element = size_of(spec.dtype);
    for (int axis = 0; axis < spec.window.rank; ++axis)
      is_padded_ = is_padded_ || spec.window.pad_begin[axis] != spec.window.pad_end[axis];
    for (int i = 0; i < rank_; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const int axis = i - skip;
      const bool real = axis >= 0;
      const std::int64_t before = real ? spec.window.pad_begin[axis] : 0;
      const std::int64_t after = real ? spec.window.pad_end[axis] : 0;
      const std::int64_t in = real ? spec.in[axis] : 1;
      const std::int64_t out = real ? output_size(spec.window, axis, spec.in[axis]) : 1;
      const std::int64_t kernel = real ? spec.window.kernel[axis] : 1;
      const int to = kMaxSpatial - rank_ + i;
      padding_.in[to] = in;
      padding_.before[to] = before;
      padding_.out[to] = in + before + after;
      x[at + 2] = as_int(is_padded_ ? in + before + after : in);
      y[at + 2] = as_int(out);
      w[at + 2] = as_int(kernel);
      pads[at] = is_padded_ ? 0 : as_int(before);
      strides[at] = real ? as_int(spec.window.stride[axis]) : 1;
      dilations[at] = real ? as_int(spec.window.dilation[axis]) : 1;
      pixels_ *= out;
      weights_ *= kernel;
    }
    if (spec.batch == 0) return;
    describe(x, y, w, pads, strides, dilations);
    choose();
    if (is_padded_) {
      const std::int64_t cells =
          padding_.planes * padding_.out[0] * padding_.out[1] * padding_.out[2];
      const std::size_t bytes = static_cast<std::size_t>(cells) * padding_.element;
      padded_bytes_ = (bytes + kPadAlignment - 1) / kPadAlignment * kPadAlignment;
    }
  }

  std::size_t workspace_bytes() const noexcept override { return padded_bytes_ + algorithm_bytes_; }
  std::size_t prepared_bytes() const noexcept override {
    return static_cast<std::size_t>(weights_) * size_of(spec_.dtype);
  }

  void prepare_weights(Stream stream, const void* w, void* prepared, void*) const override {
    use(context_.ordinal);
    cuda::check(cudaMemcpyAsync(prepared, w, prepared_bytes(), cudaMemcpyDeviceToDevice,
                                context_.streams->at(stream).handle()),
                "copy a convolution's weights");
  }

  void run(Stream stream, const void* x, const void* prepared, const void* bias, void* y,
           void* workspace) const override {
    if (spec_.batch == 0) return;
    use(context_.ordinal);
    const Queue& q = context_.streams->at(stream).queue();
    const void* input = x;
    if (is_padded_) {
      pad(q, padding_, x, workspace);
      input = workspace;
    }
    const float one = 1.0F;
    const float zero = 0.0F;
    {
      const std::lock_guard lock(library_->mutex);
      library_->check(library_->f.set_stream(library_->handle, q.stream), "choose a stream");
      library_->check(library_->f.forward(library_->handle, &one, x_.get(), input, w_.get(),
                                          prepared, conv_.get(), algorithm_,
                                          static_cast<char*>(workspace) + padded_bytes_,
                                          algorithm_bytes_, &zero, y_.get(), y),
                      "run a convolution");
    }
    const void* wanted = spec_.bias ? bias : nullptr;
    if (wanted != nullptr || spec_.activation != Activation::none)
      finish(q,
             {.dtype = spec_.dtype,
              .batch = 1,
              .rows = spec_.batch * spec_.out_channels,
              .cols = pixels_,
              .ld = pixels_,
              .stride = 0,
              .bias_period = spec_.out_channels,
              .scale = 1.0F,
              .activation = spec_.activation},
             wanted, y);
  }

 private:
  void describe(const std::array<int, 5>& x, const std::array<int, 5>& y,
                const std::array<int, 5>& w, const std::array<int, 3>& pads,
                const std::array<int, 3>& strides, const std::array<int, 3>& dilations) {
    const auto& f = library_->f;
    const cudnnDataType_t type =
        spec_.dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    const int axes = rank_ + 2;
    const auto tensor = [&](cudnnTensorDescriptor_t descriptor, const std::array<int, 5>& sizes) {
      std::array<int, 5> steps{};
      std::int64_t step = 1;
      for (int i = axes - 1; i >= 0; --i) {
        const auto at = static_cast<std::size_t>(i);
        steps[at] = as_int(step);
        step *= sizes[at];
      }
      library_->check(f.set_tensor(descriptor, type, axes, sizes.data(), steps.data()),
                      "describe a convolution");
    };
    tensor(x_.get(), x);
    tensor(y_.get(), y);
    library_->check(f.set_filter(w_.get(), type, CUDNN_TENSOR_NCHW, axes, w.data()),
                    "describe a convolution");
    library_->check(f.set_conv(conv_.get(), rank_, pads.data(), strides.data(), dilations.data(),
                               CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
                    "describe a convolution");
    library_->check(f.set_groups(conv_.get(), as_int(spec_.groups)), "describe a convolution");
    const cudnnMathType_t math = spec_.dtype == DType::bf16 ? CUDNN_TENSOR_OP_MATH
                                 : context_.tf32            ? CUDNN_DEFAULT_MATH
                                                            : CUDNN_FMA_MATH;
    library_->check(f.set_math(conv_.get(), math), "describe a convolution");
  }

  void choose() {
    const auto& f = library_->f;
    const bool strict = spec_.dtype == DType::f32 && !context_.tf32;
    std::array<cudnnConvolutionFwdAlgoPerf_t, CUDNN_CONVOLUTION_FWD_ALGO_COUNT> found{};
    int count = 0;
    const std::lock_guard lock(library_->mutex);
    library_->check(f.algorithms(library_->handle, x_.get(), w_.get(), conv_.get(), y_.get(),
                                 static_cast<int>(found.size()), &count, found.data()),
                    "choose an algorithm for a convolution");
    for (int i = 0; i < count; ++i) {
      const auto& perf = found[static_cast<std::size_t>(i)];
      if (perf.status != CUDNN_STATUS_SUCCESS || perf.determinism != CUDNN_DETERMINISTIC) continue;
      if (strict && perf.mathType != CUDNN_FMA_MATH) continue;
      std::size_t bytes = 0;
      if (f.workspace(library_->handle, x_.get(), w_.get(), conv_.get(), y_.get(), perf.algo,
                      &bytes) != CUDNN_STATUS_SUCCESS ||
          bytes > kWorkspaceLimit)
        continue;
      algorithm_ = perf.algo;
      algorithm_bytes_ = bytes;
      return;
    }
    algorithm_ = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM; // does all sizes
    library_->check(f.workspace(library_->handle, x_.get(), w_.get(), conv_.get(), y_.get(),
                                algorithm_, &algorithm_bytes_),
                    "choose an algorithm for a convolution");
  }

  Context context_;
  std::shared_ptr<ConvLibrary> library_;
  ConvSpec spec_;
  Descriptor<cudnnTensorDescriptor_t> x_, y_;
  Descriptor<cudnnFilterDescriptor_t> w_;
  Descriptor<cudnnConvolutionDescriptor_t> conv_;
  int rank_ = 2;
  bool is_padded_ = false;
  Padding padding_;
  std::int64_t pixels_ = 1, weights_ = 1;
  std::size_t padded_bytes_ = 0, algorithm_bytes_ = 0;
  cudnnConvolutionFwdAlgo_t algorithm_ = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
};

} // namespace

std::shared_ptr<ConvLibrary> load_conv_library() {
  return std::make_shared<ConvLibrary>();
}

std::unique_ptr<ConvPlan> plan_conv(const Context& context, std::shared_ptr<ConvLibrary> library,
                                    const ConvSpec& spec) {
  return std::make_unique<Conv>(context, std::move(library), spec);
}

} // namespace mlp::kernels::cuda

#else // no cudnn.h

namespace mlp::kernels::cuda {

class ConvLibrary {};

std::shared_ptr<ConvLibrary> load_conv_library() {
  throw Error(ErrorKind::unavailable, "mlp was built without cuDNN's headers",
              "build it where cudnn.h is installed");
}

std::unique_ptr<ConvPlan> plan_conv(const Context&, std::shared_ptr<ConvLibrary>, const ConvSpec&) {
  return nullptr; // load_conv_library() has thrown before
}

} // namespace mlp::kernels::cuda

#endif
