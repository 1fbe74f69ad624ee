// Matrix products on cuBLASLt. It counts in columns, so C^T = op(B)^T op(A)^T is what it is asked
// for: our rows are its columns, and nothing is moved. Bias and relu are done by its epilogue; its
// gelu is not the exact one, so gelu, tanh and sigmoid are ours. The algorithm is the first one
// that its heuristic names within the workspace limit, so that the same GPU and sizes give the same
// bits.
#include "kernels/cuda/library.hpp"
#include "kernels/cuda/plans.hpp"
#include "kernels/cuda/streams.hpp"

#include <cublasLt.h>

#include <algorithm>

namespace mlp::kernels::cuda {

namespace {

constexpr std::size_t kWorkspaceLimit = std::size_t{32} << 20; // what cuBLAS asks for on Hopper

// The functions of cuBLASLt that are used here.
struct Functions {
  explicit Functions(const Library& l)
      : create(l.function<decltype(cublasLtCreate)>("cublasLtCreate")),
        destroy(l.function<decltype(cublasLtDestroy)>("cublasLtDestroy")),
        status_text(l.function<decltype(cublasLtGetStatusString)>("cublasLtGetStatusString")),
        matmul(l.function<decltype(cublasLtMatmul)>("cublasLtMatmul")),
        heuristic(
            l.function<decltype(cublasLtMatmulAlgoGetHeuristic)>("cublasLtMatmulAlgoGetHeuristic")),
        init_layout(l.function<decltype(cublasLtMatrixLayoutInit_internal)>(
            "cublasLtMatrixLayoutInit_internal")),
        set_layout(l.function<decltype(cublasLtMatrixLayoutSetAttribute)>(
            "cublasLtMatrixLayoutSetAttribute")),
        init_product(l.function<decltype(cublasLtMatmulDescInit_internal)>(
            "cublasLtMatmulDescInit_internal")),
        set_product(
            l.function<decltype(cublasLtMatmulDescSetAttribute)>("cublasLtMatmulDescSetAttribute")),
        init_preference(l.function<decltype(cublasLtMatmulPreferenceInit_internal)>(
            "cublasLtMatmulPreferenceInit_internal")),
        set_preference(l.function<decltype(cublasLtMatmulPreferenceSetAttribute)>(
            "cublasLtMatmulPreferenceSetAttribute")) {}

  decltype(cublasLtCreate)* create;
  decltype(cublasLtDestroy)* destroy;
  decltype(cublasLtGetStatusString)* status_text;
  decltype(cublasLtMatmul)* matmul;
  decltype(cublasLtMatmulAlgoGetHeuristic)* heuristic;
  decltype(cublasLtMatrixLayoutInit_internal)* init_layout;
  decltype(cublasLtMatrixLayoutSetAttribute)* set_layout;
  decltype(cublasLtMatmulDescInit_internal)* init_product;
  decltype(cublasLtMatmulDescSetAttribute)* set_product;
  decltype(cublasLtMatmulPreferenceInit_internal)* init_preference;
  decltype(cublasLtMatmulPreferenceSetAttribute)* set_preference;
};

} // namespace

class MatmulLibrary {
 public:
  MatmulLibrary()
      : library_("cuBLASLt", {"libcublasLt.so.13", "libcublasLt.so.12"},
                 "install the CUDA Toolkit's cuBLAS (Debian: libcublas-13-0, Python: "
                 "nvidia-cublas) where the loader finds it, see LD_LIBRARY_PATH"),
        f(library_) {
    check(f.create(&handle), "start cuBLASLt");
  }
  MatmulLibrary(const MatmulLibrary&) = delete;
  MatmulLibrary& operator=(const MatmulLibrary&) = delete;
  ~MatmulLibrary() { static_cast<void>(f.destroy(handle)); }

  void check(cublasStatus_t status, const char* what) const {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    throw Error(status == CUBLAS_STATUS_ALLOC_FAILED    ? ErrorKind::out_of_memory
                : status == CUBLAS_STATUS_NOT_SUPPORTED ? ErrorKind::unsupported
                                                        : ErrorKind::failed,
                std::string("cannot ") + what + ": " + f.status_text(status));
  }

 private:
  Library library_;

 public:
  const Functions f;
  cublasLtHandle_t handle = nullptr;
};

namespace {

using Layout = cublasLtMatrixLayoutOpaque_t;
using Product = cublasLtMatmulDescOpaque_t;

class Matmul final : public MatmulPlan {
 public:
  Matmul(const Context& context, std::shared_ptr<MatmulLibrary> library, const MatmulSpec& spec)
      : context_(context), library_(std::move(library)), spec_(spec) {
    if (spec_.lda == 0) spec_.lda = spec.transpose_a ? spec.m : spec.k;
    if (spec_.ldb == 0) spec_.ldb = spec.transpose_b ? spec.k : spec.n;
    if (spec_.ldc == 0) spec_.ldc = spec.n;
    if (is_empty() || spec.k == 0) return;
    element_ = size_of(spec.dtype);
    type_ = spec.dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
    a_ = layout(spec.transpose_a ? spec.m : spec.k, spec.transpose_a ? spec.k : spec.m, spec_.lda,
                spec.stride_a);
    b_ = layout(spec.transpose_b ? spec.k : spec.n, spec.transpose_b ? spec.n : spec.k, spec_.ldb,
                spec.stride_b);
    c_ = layout(spec.n, spec.m, spec_.ldc, spec.stride_c);
    aligned_ = choose(kAligned);
    if (!aligned_.found)
      throw Error(ErrorKind::unsupported,
                  "cuBLASLt has no algorithm for a matrix product of " + std::to_string(spec.m) +
                      " x " + std::to_string(spec.n) + " x " + std::to_string(spec.k) +
                      " of type " + name_of(spec.dtype));
    unaligned_ = choose(element_);
  }

  std::size_t workspace_bytes() const noexcept override {
    return std::max(aligned_.workspace, unaligned_.workspace);
  }

  void run(Stream stream, const void* a, const void* b, const void* bias, void* c,
           void* workspace) const override {
    if (is_empty()) return;
    use(context_.ordinal);
    const Queue& q = context_.streams->at(stream).queue();
    if (spec_.k == 0) return finish(q, rest(spec_.beta, spec_.activation), wanted(bias), c);

    const bool is_aligned =
        ((reinterpret_cast<std::uintptr_t>(a) | reinterpret_cast<std::uintptr_t>(b) |
          reinterpret_cast<std::uintptr_t>(c) | reinterpret_cast<std::uintptr_t>(wanted(bias))) %
         kAligned) == 0;
    const Choice& choice = is_aligned ? aligned_ : unaligned_;
    if (!choice.found)
      throw Error(ErrorKind::unsupported,
                  "cuBLASLt has no algorithm for this matrix product on buffers that are not "
                  "aligned to 64 bytes");
    // Copies, because the library takes them without const, and the bias belongs to this call.
    Product product = choice.product;
    Layout a_layout = a_;
    Layout b_layout = b_;
    Layout c_layout = c_;
    const auto& f = library_->f;
    if (choice.fused && spec_.bias) set_bias(product, bias);
    library_->check(f.matmul(library_->handle, &product, &spec_.alpha, b, &b_layout, a, &a_layout,
                             &spec_.beta, c, &c_layout, c, &c_layout, &choice.algorithm, workspace,
                             choice.workspace, q.stream),
                    "multiply matrices");
    const bool is_done = choice.fused && spec_.activation == Activation::relu;
    const Activation left = is_done ? Activation::none : spec_.activation;
    const void* bias_left = choice.fused ? nullptr : wanted(bias);
    if (left != Activation::none || bias_left != nullptr) finish(q, rest(1.0F, left), bias_left, c);
  }

 private:
  static constexpr std::size_t kAligned = kAlignment;

  struct Choice {
    bool found = false;
    bool fused = true; // bias and relu are done by the library
    Product product{};
    cublasLtMatmulAlgo_t algorithm{};
    std::size_t workspace = 0;
  };

  bool is_empty() const noexcept { return spec_.m == 0 || spec_.n == 0 || spec_.batch == 0; }
  const void* wanted(const void* bias) const noexcept { return spec_.bias ? bias : nullptr; }

  // rows x cols, column by column.
  Layout layout(std::int64_t rows, std::int64_t cols, std::int64_t ld, std::int64_t stride) const {
    const auto& f = library_->f;
    Layout layout{};
    library_->check(f.init_layout(&layout, sizeof layout, type_, static_cast<std::uint64_t>(rows),
                                  static_cast<std::uint64_t>(cols), ld),
                    "describe a matrix");
    if (spec_.batch > 1) {
      const auto count = static_cast<std::int32_t>(spec_.batch);
      if (count != spec_.batch)
        throw Error(ErrorKind::unsupported, "more than 2^31 matrix products at once");
      library_->check(
          f.set_layout(&layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count),
          "describe a matrix");
      library_->check(f.set_layout(&layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                   sizeof stride),
                      "describe a matrix");
    }
    return layout;
  }

  template <class Value>
  void set(Product& product, cublasLtMatmulDescAttributes_t attribute, const Value& value) const {
    library_->check(library_->f.set_product(&product, attribute, &value, sizeof value),
                    "describe a matrix product");
  }
  void set_bias(Product& product, const void* bias) const {
    set(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  }

  cublasComputeType_t compute() const noexcept {
    if (spec_.dtype == DType::f32 && context_.precision == Precision::tf32)
      return CUBLAS_COMPUTE_32F_FAST_TF32;
    if (spec_.dtype == DType::f32 && context_.precision == Precision::bf16)
      return CUBLAS_COMPUTE_32F_FAST_16BF;
    return CUBLAS_COMPUTE_32F;
  }

  Product product(cublasLtEpilogue_t epilogue) const {
    Product product{};
    library_->check(library_->f.init_product(&product, sizeof product, compute(), CUDA_R_32F),
                    "describe a matrix product");
    const auto op = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
    const cublasOperation_t of_b = op(spec_.transpose_b);
    const cublasOperation_t of_a = op(spec_.transpose_a);
    set(product, CUBLASLT_MATMUL_DESC_TRANSA, of_b); // its first matrix is our second
    set(product, CUBLASLT_MATMUL_DESC_TRANSB, of_a);
    set(product, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    // Never read: the heuristic wants to see that there is one.
    if (epilogue == CUBLASLT_EPILOGUE_BIAS || epilogue == CUBLASLT_EPILOGUE_RELU_BIAS)
      set_bias(product, reinterpret_cast<const void*>(std::uintptr_t{4096}));
    return product;
  }

  // The heuristic's first algorithm for buffers aligned to `alignment`; without its epilogue where
  // it knows none with it.
  Choice choose(std::size_t alignment) const {
    const bool relu = spec_.activation == Activation::relu;
    const cublasLtEpilogue_t epilogue =
        spec_.bias ? (relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS)
                   : (relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT);
    // No preference tells it how the bias is aligned, and it takes 16 bytes for granted.
    constexpr std::size_t kBiasAlignment = 16;
    Choice choice;
    if (!spec_.bias || alignment >= kBiasAlignment) choice = ask(epilogue, alignment);
    if (!choice.found && epilogue != CUBLASLT_EPILOGUE_DEFAULT) {
      choice = ask(CUBLASLT_EPILOGUE_DEFAULT, alignment);
      choice.fused = false;
    }
    return choice;
  }

  Choice ask(cublasLtEpilogue_t epilogue, std::size_t alignment) const {
    const auto& f = library_->f;
    cublasLtMatmulPreferenceOpaque_t preference{};
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      library_->check(f.set_preference(&preference, attribute, &value, sizeof value),
                      "set what a matrix product prefers");
    };
    library_->check(f.init_preference(&preference, sizeof preference),
                    "set what a matrix product prefers");
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceLimit);
    const auto least = static_cast<std::uint32_t>(alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, least);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, least);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, least);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, least);

    Choice choice;
    choice.product = product(epilogue);
    Product asked = choice.product;
    Layout a = a_;
    Layout b = b_;
    Layout c = c_;
    cublasLtMatmulHeuristicResult_t result{};
    int count = 0;
    const cublasStatus_t status =
        f.heuristic(library_->handle, &asked, &b, &a, &c, &c, &preference, 1, &result, &count);
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE)
      return choice;
    library_->check(status, "choose an algorithm for a matrix product");
    if (count == 0 || result.state != CUBLAS_STATUS_SUCCESS) return choice;
    choice.found = true;
    choice.algorithm = result.algo;
    choice.workspace = result.workspaceSize;
    return choice;
  }

  Finish rest(float scale, Activation activation) const {
    return {.dtype = spec_.dtype,
            .batch = spec_.batch,
            .rows = spec_.m,
            .cols = spec_.n,
            .ld = spec_.ldc,
            .stride = spec_.batch > 1 ? spec_.stride_c : 0,
            .scale = scale,
            .activation = activation};
  }

  Context context_;
  std::shared_ptr<MatmulLibrary> library_;
  MatmulSpec spec_;
  std::size_t element_ = 4;
  cudaDataType_t type_ = CUDA_R_32F;
  Layout a_{}, b_{}, c_{};
  Choice aligned_, unaligned_;
};

} // namespace

std::shared_ptr<MatmulLibrary> load_matmul_library() {
  return std::make_shared<MatmulLibrary>();
}

std::unique_ptr<MatmulPlan> plan_matmul(const Context& context,
                                        std::shared_ptr<MatmulLibrary> library,
                                        const MatmulSpec& spec) {
  return std::make_unique<Matmul>(context, std::move(library), spec);
}

} // namespace mlp::kernels::cuda
