// Matrix products: transposes, leading dimensions, batches, alpha and beta, bias and activation.
#include "kernels/check/check.hpp"

#include <bit>

namespace mlp::kernels::check {

namespace {

Doubles reference(const MatmulSpec& s, const Floats& a, const Floats& b, const Floats& bias,
                  const Floats& c) {
  Doubles out(c.begin(), c.end());
  const auto at = [](const Floats& v, std::int64_t i) {
    return static_cast<double>(v[static_cast<std::size_t>(i)]);
  };
  for (std::int64_t z = 0; z < s.batch; ++z)
    for (std::int64_t i = 0; i < s.m; ++i)
      for (std::int64_t j = 0; j < s.n; ++j) {
        double sum = 0.0;
        for (std::int64_t k = 0; k < s.k; ++k)
          sum += at(a, z * s.stride_a + (s.transpose_a ? k * s.lda + i : i * s.lda + k)) *
                 at(b, z * s.stride_b + (s.transpose_b ? j * s.ldb + k : k * s.ldb + j));
        auto& cell = out[static_cast<std::size_t>(z * s.stride_c + i * s.ldc + j)];
        double value = static_cast<double>(s.alpha) * sum;
        if (s.beta != 0.0F) value += static_cast<double>(s.beta) * cell;
        if (s.bias) value += at(bias, j);
        cell = reference_activation(s.activation, value);
      }
  return out;
}

// Nearest bf16, ties to even; a quiet NaN stays one.
std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}
float from_bf16(std::uint16_t value) {
  return std::bit_cast<float>(std::uint32_t{value} << 16);
}

// A buffer of `dtype` from values in float; the values become what the buffer can hold.
class Operand {
 public:
  Operand(Device& device, DType dtype, Floats& values)
      : device_(device), dtype_(dtype), size_(values.size()),
        buffer_(device, size_ * static_cast<std::size_t>(size_of(dtype))) {
    if (dtype == DType::f32) {
      device.copy_in({}, get(), values.data(), buffer_.bytes());
      return;
    }
    std::vector<std::uint16_t> narrow(size_);
    for (std::size_t i = 0; i < size_; ++i) {
      narrow[i] = to_bf16(values[i]);
      values[i] = from_bf16(narrow[i]);
    }
    device.copy_in({}, get(), narrow.data(), buffer_.bytes());
  }
  void* get() const noexcept { return buffer_.data(); }
  Floats read() const {
    Floats out(size_);
    if (dtype_ == DType::f32) {
      device_.copy_out({}, out.data(), get(), buffer_.bytes());
      return out;
    }
    std::vector<std::uint16_t> narrow(size_);
    device_.copy_out({}, narrow.data(), get(), buffer_.bytes());
    for (std::size_t i = 0; i < size_; ++i)
      out[i] = from_bf16(narrow[i]);
    return out;
  }

 private:
  Device& device_;
  DType dtype_;
  std::size_t size_;
  Buffer buffer_;
};

void run(Device& device, Report& report, MatmulSpec s, std::int64_t extra, const char* what) {
  Draw draw(static_cast<std::uint64_t>(s.m * 7 + s.n * 3 + s.k));
  const std::int64_t a_rows = s.transpose_a ? s.k : s.m;
  const std::int64_t b_rows = s.transpose_b ? s.n : s.k;
  s.lda = (s.transpose_a ? s.m : s.k) + extra;
  s.ldb = (s.transpose_b ? s.k : s.n) + extra;
  s.ldc = s.n + extra;
  if (s.batch > 1) {
    s.stride_a = a_rows * s.lda;
    s.stride_b = s.stride_b == 0 ? b_rows * s.ldb : 0; // -1: B is repeated
    s.stride_c = s.m * s.ldc;
  }
  Floats a = draw.floats(a_rows * s.lda * s.batch);
  Floats b = draw.floats(b_rows * s.ldb * s.batch);
  Floats bias = draw.floats(s.n);
  const Operand da(device, s.dtype, a), db(device, s.dtype, b), dbias(device, s.dtype, bias);
  // What lies between the rows has to stay; without beta the rest is not read.
  Floats c(static_cast<std::size_t>(s.m * s.ldc * s.batch), 3.0F);
  const Doubles want = reference(s, a, b, bias, c);
  if (s.beta == 0.0F)
    for (std::int64_t row = 0; row < s.m * s.batch; ++row)
      for (std::int64_t j = 0; j < s.n; ++j)
        c[static_cast<std::size_t>(row * s.ldc + j)] = __builtin_nanf("");
  const Operand dc(device, s.dtype, c);
  const auto plan = device.plan(s);
  const Buffer workspace(device, plan->workspace_bytes());
  plan->run({}, da.get(), db.get(), s.bias ? dbias.get() : nullptr, dc.get(), workspace.data());
  device.synchronize({});
  const bool narrow = s.dtype == DType::bf16; // 8 bits; rounded before and after an activation
  report.close(std::string("matmul ") + name_of(s.dtype) + " " + what + " " + std::to_string(s.m) +
                   "x" + std::to_string(s.n) + "x" + std::to_string(s.k),
               dc.read(), want, narrow ? 1.6e-2 : 2e-5,
               narrow ? 1e-2 : 2e-7 * static_cast<double>(s.k + 10));
}

bool has_bf16(Device& device) {
  try {
    static_cast<void>(device.plan(MatmulSpec{.m = 8, .n = 8, .k = 8, .dtype = DType::bf16}));
    return true;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::unsupported) return false;
    throw;
  }
}

} // namespace

void check_matmul(Device& device, Report& report) {
  const bool narrow = has_bf16(device);
  const std::int64_t shapes[][3] = {{1, 1, 1},    {1, 10, 784},   {128, 10, 784}, {64, 33, 17},
                                    {3, 257, 65}, {257, 96, 128}, {130, 784, 40}, {5, 7, 0}};
  for (const auto& [m, n, k] : shapes) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      MatmulSpec s{.m = m, .n = n, .k = k};
      s.transpose_a = (transposes & 1) != 0;
      s.transpose_b = (transposes & 2) != 0;
      run(device, report, s, 0, "dense");
      run(device, report, s, 5, "with gaps");
      s.alpha = 0.5F;
      s.beta = -2.0F;
      run(device, report, s, 0, "alpha beta");
      s.dtype = DType::bf16;
      if (narrow) run(device, report, s, 5, "alpha beta");
    }
    for (const Activation activation : {Activation::none, Activation::relu, Activation::gelu,
                                        Activation::tanh, Activation::sigmoid}) {
      MatmulSpec s{.m = m, .n = n, .k = k, .bias = true, .activation = activation};
      run(device, report, s, 3, "with bias");
      s.dtype = DType::bf16;
      if (narrow) run(device, report, s, 3, "with bias");
    }
    run(device, report, {.m = m, .n = n, .k = k, .batch = 3}, 0, "batch");
    run(device, report, {.m = m, .n = n, .k = k, .batch = 9, .stride_b = -1}, 0, "batch, one B");
    if (narrow)
      run(device, report, {.m = m, .n = n, .k = k, .batch = 3, .dtype = DType::bf16}, 0, "batch");
  }
  run(device, report, {.m = 0, .n = 4, .k = 4}, 0, "empty");
  const auto refuse = [&](const char* what, const MatmulSpec& spec, ErrorKind kind) {
    report.refuses(what, kind, [&] { (void)device.plan(spec); });
  };
  refuse("a negative size", {.m = -1, .n = 2, .k = 2}, ErrorKind::invalid);
  refuse("a short row", {.m = 2, .n = 2, .k = 4, .lda = 3}, ErrorKind::invalid);
  refuse("too many elements", {.m = std::int64_t{1} << 40, .n = 1 << 20, .k = 1 << 20},
         ErrorKind::invalid);
}

} // namespace mlp::kernels::check
