// cuDNN's pooling, forward and back.
#include "kernels/bench/peers.hpp"
#include "kernels/cuda/library.hpp"

#if __has_include(<cudnn.h>)
#include <cuda_runtime_api.h>
#include <cudnn.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace mlp::kernels::bench {

namespace {

struct Dnn {
  const cuda::Library library{"cuDNN", {"libcudnn.so.9"}, "install cuDNN 9"};
#define MLP_DNN(name)                                                                              \
  decltype(&cudnn##name) name =                                                                    \
      library.function<std::remove_pointer_t<decltype(&cudnn##name)>>("cudnn" #name)
  MLP_DNN(Create);
  MLP_DNN(Destroy);
  MLP_DNN(SetStream);
  MLP_DNN(GetErrorString);
  MLP_DNN(CreateTensorDescriptor);
  MLP_DNN(SetTensor4dDescriptor);
  MLP_DNN(DestroyTensorDescriptor);
  MLP_DNN(CreatePoolingDescriptor);
  MLP_DNN(SetPooling2dDescriptor);
  MLP_DNN(DestroyPoolingDescriptor);
  MLP_DNN(PoolingForward);
  MLP_DNN(PoolingBackward);
#undef MLP_DNN
};

const Dnn& dnn() {
  static const Dnn library;
  return library;
}

void check(cudnnStatus_t status) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw Error(status == CUDNN_STATUS_NOT_SUPPORTED ? ErrorKind::unsupported : ErrorKind::failed,
              std::string("cuDNN: ") + dnn().GetErrorString(status));
}

class Pooling final : public Peer {
 public:
  // dx null: forward.
  Pooling(const PoolSpec& s, bool channels_last, const float* x, float* y, const float* dy,
          float* dx)
      : x_(x), y_(y), dy_(dy), dx_(dx) {
    try {
      check(dnn().Create(&handle_));
      check(dnn().CreateTensorDescriptor(&x_sizes_));
      check(dnn().CreateTensorDescriptor(&y_sizes_));
      check(dnn().CreatePoolingDescriptor(&pooling_));
      const auto number = [](std::int64_t value) { return static_cast<int>(value); };
      const cudnnTensorFormat_t order = channels_last ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW;
      check(dnn().SetTensor4dDescriptor(x_sizes_, order, CUDNN_DATA_FLOAT, number(s.batch),
                                        number(s.channels), number(s.in[0]), number(s.in[1])));
      check(dnn().SetTensor4dDescriptor(y_sizes_, order, CUDNN_DATA_FLOAT, number(s.batch),
                                        number(s.channels), number(s.out[0]), number(s.out[1])));
      const Window& w = s.window;
      check(dnn().SetPooling2dDescriptor(
          pooling_,
          s.kind == Pool::max       ? CUDNN_POOLING_MAX
          : s.kind == Pool::average ? CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING
                                    : CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING,
          CUDNN_PROPAGATE_NAN, number(w.kernel[0]), number(w.kernel[1]), number(w.pad_begin[0]),
          number(w.pad_begin[1]), number(w.stride[0]), number(w.stride[1])));
    } catch (...) {
      end();
      throw;
    }
  }
  Pooling(const Pooling&) = delete;
  Pooling& operator=(const Pooling&) = delete;
  ~Pooling() override { end(); }

  const char* name() const noexcept override { return "cuDNN"; }
  void run(Stream stream, int) override {
    const float one = 1.0F;
    const float zero = 0.0F;
    check(dnn().SetStream(handle_, static_cast<cudaStream_t>(stream.handle)));
    check(dx_ == nullptr
              ? dnn().PoolingForward(handle_, pooling_, &one, x_sizes_, x_, &zero, y_sizes_, y_)
              : dnn().PoolingBackward(handle_, pooling_, &one, y_sizes_, y_, y_sizes_, dy_,
                                      x_sizes_, x_, &zero, x_sizes_, dx_));
  }

 private:
  void end() noexcept {
    if (pooling_ != nullptr) static_cast<void>(dnn().DestroyPoolingDescriptor(pooling_));
    if (y_sizes_ != nullptr) static_cast<void>(dnn().DestroyTensorDescriptor(y_sizes_));
    if (x_sizes_ != nullptr) static_cast<void>(dnn().DestroyTensorDescriptor(x_sizes_));
    if (handle_ != nullptr) static_cast<void>(dnn().Destroy(handle_));
  }

  const float* x_;
  float* y_;
  const float* dy_;
  float* dx_;
  cudnnHandle_t handle_ = nullptr;
  cudnnTensorDescriptor_t x_sizes_ = nullptr, y_sizes_ = nullptr;
  cudnnPoolingDescriptor_t pooling_ = nullptr;
};

} // namespace

std::unique_ptr<Peer> cudnn_pool(const PoolSpec& spec, bool channels_last, const float* x,
                                 float* y) {
  return std::make_unique<Pooling>(spec, channels_last, x, y, nullptr, nullptr);
}
std::unique_ptr<Peer> cudnn_pool_backward(const PoolSpec& spec, bool channels_last, const float* x,
                                          const float* y, const float* dy, float* dx) {
  // It reads y alone.
  return std::make_unique<Pooling>(spec, channels_last, x, const_cast<float*>(y), dy, dx);
}

} // namespace mlp::kernels::bench

#else // no cudnn.h

namespace mlp::kernels::bench {

std::unique_ptr<Peer> cudnn_pool(const PoolSpec&, bool, const float*, float*) {
  throw Error(ErrorKind::unavailable, "kernels_bench was built without cuDNN's headers");
}
std::unique_ptr<Peer> cudnn_pool_backward(const PoolSpec&, bool, const float*, const float*,
                                          const float*, float*) {
  throw Error(ErrorKind::unavailable, "kernels_bench was built without cuDNN's headers");
}

} // namespace mlp::kernels::bench

#endif
