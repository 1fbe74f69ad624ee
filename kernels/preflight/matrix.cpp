// The matrix rate: one large square product, by the fastest of what cuBLASLt proposes.
#include "kernels/cuda/library.hpp"
#include "kernels/preflight/timing.hpp"

#include <cublasLt.h>

#include <memory>

namespace mlp::kernels::preflight {

namespace {

struct Lt {
  const cuda::Library library{"cuBLASLt",
                              {"libcublasLt.so.13", "libcublasLt.so.12"},
                              "install it: apt install libcublas-13-0 (NVIDIA's repository)"};
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

void check_lt(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw Error(ErrorKind::failed,
                std::string("cannot ") + what + ": cuBLASLt status " + std::to_string(status));
}

// A handle of the library that destroys itself.
template <class T>
class Handle {
 public:
  using Destroy = cublasStatus_t(T);
  explicit Handle(Destroy* destroy) : destroy_(destroy) {}
  Handle(const Handle&) = delete;
  ~Handle() {
    if (value_ != nullptr) static_cast<void>(destroy_(value_));
  }
  T* address() noexcept { return &value_; }
  T get() const noexcept { return value_; }

 private:
  Destroy* destroy_;
  T value_ = nullptr;
};

constexpr std::size_t workspace_bytes = std::size_t{64} << 20;

// C = A^T B, column by column, n x n each: the order of operands that tensor cores like best.
class Product {
 public:
  Product(Matrix type, std::uint64_t n)
      : n_(n), element_(type == Matrix::bf16 ? 2 : 4), a_(n * n * element_), b_(n * n * element_),
        c_(n * n * element_), workspace_(workspace_bytes) {
    const cudaDataType_t data = type == Matrix::bf16 ? CUDA_R_16BF : CUDA_R_32F;
    const cublasComputeType_t compute =
        type == Matrix::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    check_lt(lt().Create(handle_.address()), "start cuBLASLt");
    check_lt(lt().MatmulDescCreate(product_.address(), compute, CUDA_R_32F), "describe a product");
    const cublasOperation_t transposed = CUBLAS_OP_T;
    check_lt(lt().MatmulDescSetAttribute(product_.get(), CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                         sizeof transposed),
             "describe a product");
    check_lt(lt().MatrixLayoutCreate(layout_.address(), data, n, n, static_cast<std::int64_t>(n)),
             "describe a matrix");
    fill(type);
  }

  // What the library proposes, its favourite first.
  std::vector<cublasLtMatmulAlgo_t> ways() {
    constexpr int most = 8;
    Handle<cublasLtMatmulPreference_t> preference(lt().MatmulPreferenceDestroy);
    check_lt(lt().MatmulPreferenceCreate(preference.address()), "choose a product");
    check_lt(lt().MatmulPreferenceSetAttribute(preference.get(),
                                               CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                               &workspace_bytes, sizeof workspace_bytes),
             "choose a product");
    cublasLtMatmulHeuristicResult_t results[most] = {};
    int found = 0;
    check_lt(lt().MatmulAlgoGetHeuristic(handle_.get(), product_.get(), layout_.get(),
                                         layout_.get(), layout_.get(), layout_.get(),
                                         preference.get(), most, results, &found),
             "choose a product");
    std::vector<cublasLtMatmulAlgo_t> out;
    for (int i = 0; i < found; ++i)
      if (results[i].state == CUBLAS_STATUS_SUCCESS) out.push_back(results[i].algo);
    if (out.empty()) throw Error(ErrorKind::unsupported, "cuBLASLt has no such product here");
    return out;
  }

  void run(const cublasLtMatmulAlgo_t& way) const {
    const float one = 1.0F, zero = 0.0F;
    check_lt(lt().Matmul(handle_.get(), product_.get(), &one, a_.data(), layout_.get(), b_.data(),
                         layout_.get(), &zero, c_.data(), layout_.get(), c_.data(), layout_.get(),
                         &way, workspace_.data(), workspace_bytes, stream_.get()),
             "multiply");
  }

  const OwnStream& stream() const noexcept { return stream_; }
  std::uint64_t operations() const noexcept { return 2 * n_ * n_ * n_; }

 private:
  void fill(Matrix type) {
    std::uint32_t seed = 4;
    for (const GpuMemory* matrix : {&a_, &b_}) {
      if (type == Matrix::bf16)
        fill_random_bf16(stream_.get(), matrix->data(), n_ * n_, ++seed);
      else
        fill_random_f32(stream_.get(), static_cast<float*>(matrix->data()), n_ * n_, ++seed);
    }
    stream_.wait();
  }

  std::uint64_t n_, element_;
  GpuMemory a_, b_, c_, workspace_;
  OwnStream stream_; // after the buffers: it waits before they are freed
  Handle<cublasLtHandle_t> handle_{lt().Destroy};
  Handle<cublasLtMatmulDesc_t> product_{lt().MatmulDescDestroy};
  Handle<cublasLtMatrixLayout_t> layout_{lt().MatrixLayoutDestroy};
};

} // namespace

Rate matrix_product(int gpu, Matrix type, const Budget& budget) {
  cuda::use(gpu);
  int major = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, gpu), "ask a GPU");
  if (type != Matrix::f32 && major < 8)
    throw Error(ErrorKind::unsupported,
                "tensor cores for this come with compute capability 8.0 (Ampere)");
  // Large enough that waves of blocks fill the GPU, short enough for many repetitions.
  Product product(type, type == Matrix::f32 ? 4096 : 8192);
  const std::vector<cublasLtMatmulAlgo_t> ways = product.ways();
  Budget trial = budget;
  trial.time = std::chrono::milliseconds(100);
  trial.least = trial.most = 3;
  std::size_t fastest = 0;
  double best = 0;
  for (std::size_t i = 0; i < ways.size(); ++i) {
    const Rate rate =
        time_on(product.stream(), trial, product.operations(), [&] { product.run(ways[i]); });
    if (rate.median > best) {
      best = rate.median;
      fastest = i;
    }
  }
  return time_on(product.stream(), budget, product.operations(),
                 [&] { product.run(ways[fastest]); });
}

} // namespace mlp::kernels::preflight
