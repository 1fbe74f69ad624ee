// cuBLASLt's algorithms for one product, as it proposes them. It counts in columns: see
// kernels/cuda/matmul.cpp, whose choice is what this is held against.
#include "kernels/bench/peers.hpp"
#include "kernels/cuda/library.hpp"
#include "kernels/cuda/runtime.hpp"

#include <cublasLt.h>

#include <vector>

namespace mlp::kernels::bench {

namespace {

constexpr std::size_t kWorkspace = std::size_t{32} << 20; // as our plans may take

struct Lt {
  const cuda::Library library{
      "cuBLASLt", {"libcublasLt.so.13", "libcublasLt.so.12"}, "install the CUDA Toolkit's cuBLAS"};
#define MLP_LT(name)                                                                               \
  decltype(&cublasLt##name) name =                                                                 \
      library.function<std::remove_pointer_t<decltype(&cublasLt##name)>>("cublasLt" #name)
  MLP_LT(Create);
  MLP_LT(Destroy);
  MLP_LT(MatmulDescCreate);
  MLP_LT(MatmulDescSetAttribute);
  MLP_LT(MatmulDescDestroy);
  MLP_LT(MatrixLayoutCreate);
  MLP_LT(MatrixLayoutDestroy);
  MLP_LT(MatmulPreferenceCreate);
  MLP_LT(MatmulPreferenceSetAttribute);
  MLP_LT(MatmulPreferenceDestroy);
  MLP_LT(MatmulAlgoGetHeuristic);
  MLP_LT(Matmul);
#undef MLP_LT
};

const Lt& lt() {
  static const Lt library;
  return library;
}

void check(cublasStatus_t status) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const bool unsupported =
      status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE;
  throw Error(unsupported ? ErrorKind::unsupported : ErrorKind::failed,
              "cuBLASLt status " + std::to_string(status));
}

// A handle of the library that ends itself.
template <class T>
class Handle {
 public:
  explicit Handle(cublasStatus_t (*destroy)(T)) : destroy_(destroy) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (value_ != nullptr) static_cast<void>(destroy_(value_));
  }
  T* address() noexcept { return &value_; }
  T get() const noexcept { return value_; }

 private:
  cublasStatus_t (*destroy_)(T);
  T value_ = nullptr;
};

class Product final : public Peer {
 public:
  Product(Device& device, const MatmulSpec& s, Precision precision, int most, const void* a,
          const void* b, const void* bias, void* c)
      : a_(a), b_(b), c_(c), workspace_(device, kWorkspace) {
    const cudaDataType_t type = s.dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
    const bool rounds = s.dtype == DType::f32;
    const cublasComputeType_t compute =
        rounds && precision == Precision::tf32   ? CUBLAS_COMPUTE_32F_FAST_TF32
        : rounds && precision == Precision::bf16 ? CUBLAS_COMPUTE_32F_FAST_16BF
                                                 : CUBLAS_COMPUTE_32F;
    check(lt().Create(handle_.address()));
    check(lt().MatmulDescCreate(product_.address(), compute, CUDA_R_32F));
    const auto set = [&](cublasLtMatmulDescAttributes_t attribute, const auto& value) {
      check(lt().MatmulDescSetAttribute(product_.get(), attribute, &value, sizeof value));
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, s.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, s.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    const bool relu = s.activation == Activation::relu;
    set(CUBLASLT_MATMUL_DESC_EPILOGUE,
        s.bias ? (relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS)
               : (relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT));
    if (s.bias) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    const auto layout = [&](Handle<cublasLtMatrixLayout_t>& matrix, std::int64_t rows,
                            std::int64_t cols) {
      check(lt().MatrixLayoutCreate(matrix.address(), type, static_cast<std::uint64_t>(rows),
                                    static_cast<std::uint64_t>(cols), rows));
    };
    layout(a_layout_, s.transpose_a ? s.m : s.k, s.transpose_a ? s.k : s.m);
    layout(b_layout_, s.transpose_b ? s.k : s.n, s.transpose_b ? s.n : s.k);
    layout(c_layout_, s.n, s.m);
    propose(most);
  }

  const char* name() const noexcept override { return "cuBLASLt"; }
  int ways() const noexcept override { return static_cast<int>(ways_.size()); }
  void run(Stream stream, int way) override {
    const float one = 1.0F;
    const float zero = 0.0F;
    check(lt().Matmul(handle_.get(), product_.get(), &one, b_, b_layout_.get(), a_, a_layout_.get(),
                      &zero, c_, c_layout_.get(), c_, c_layout_.get(),
                      &ways_[static_cast<std::size_t>(way)], workspace_.data(), kWorkspace,
                      static_cast<cudaStream_t>(stream.handle)));
  }

 private:
  void propose(int most) {
    Handle<cublasLtMatmulPreference_t> preference(lt().MatmulPreferenceDestroy);
    check(lt().MatmulPreferenceCreate(preference.address()));
    check(lt().MatmulPreferenceSetAttribute(preference.get(),
                                            CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspace,
                                            sizeof kWorkspace));
    std::vector<cublasLtMatmulHeuristicResult_t> results(static_cast<std::size_t>(most));
    int found = 0;
    check(lt().MatmulAlgoGetHeuristic(handle_.get(), product_.get(), b_layout_.get(),
                                      a_layout_.get(), c_layout_.get(), c_layout_.get(),
                                      preference.get(), most, results.data(), &found));
    results.resize(static_cast<std::size_t>(found));
    for (const cublasLtMatmulHeuristicResult_t& result : results)
      if (result.state == CUBLAS_STATUS_SUCCESS) ways_.push_back(result.algo);
    if (ways_.empty()) throw Error(ErrorKind::unsupported, "cuBLASLt proposes no algorithm");
  }

  const void *a_, *b_;
  void* c_;
  Buffer workspace_;
  Handle<cublasLtHandle_t> handle_{lt().Destroy};
  Handle<cublasLtMatmulDesc_t> product_{lt().MatmulDescDestroy};
  Handle<cublasLtMatrixLayout_t> a_layout_{lt().MatrixLayoutDestroy},
      b_layout_{lt().MatrixLayoutDestroy}, c_layout_{lt().MatrixLayoutDestroy};
  std::vector<cublasLtMatmulAlgo_t> ways_;
};

} // namespace

void driver_copy(Stream stream, void* to, const void* from, std::size_t bytes) {
  cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice,
                              static_cast<cudaStream_t>(stream.handle)),
              "copy within the GPU");
}

std::unique_ptr<Peer> cublas_product(Device& device, const MatmulSpec& spec, Precision precision,
                                     int most, const void* a, const void* b, const void* bias,
                                     void* c) {
  return std::make_unique<Product>(device, spec, precision, most, a, b, bias, c);
}

} // namespace mlp::kernels::bench
