// Batch assembly: rows of a resident data set in a given order, converted and standardised; and the
// sum over rows.
#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/ops.hpp"

#include <cstring>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 14; // elements that are worth a thread
constexpr std::int64_t kChunk = 256;     // columns summed at a time

template <class Source>
MLP_INLINE void convert_row(std::int64_t n, const Source* __restrict src, float* __restrict dst) {
  for (std::int64_t i = 0; i < n; ++i)
    dst[i] = static_cast<float>(src[i]);
}
template <class Source>
MLP_INLINE void affine_row(std::int64_t n, bool per_column, const Source* __restrict src,
                           const float* __restrict mean, const float* __restrict scale,
                           float* __restrict dst) {
  if (per_column) {
    for (std::int64_t i = 0; i < n; ++i)
      dst[i] = (static_cast<float>(src[i]) - mean[i]) * scale[i];
  } else {
    const float m = mean[0];
    const float s = scale[0];
    for (std::int64_t i = 0; i < n; ++i)
      dst[i] = (static_cast<float>(src[i]) - m) * s;
  }
}

MLP_INLINE void convert_u8_body(std::int64_t n, const std::uint8_t* src, float* dst) {
  convert_row(n, src, dst);
}
MLP_INLINE void affine_u8_body(std::int64_t n, bool per_column, const std::uint8_t* src,
                               const float* mean, const float* scale, float* dst) {
  affine_row(n, per_column, src, mean, scale, dst);
}
MLP_INLINE void affine_f32_body(std::int64_t n, bool per_column, const float* src,
                                const float* mean, const float* scale, float* dst) {
  affine_row(n, per_column, src, mean, scale, dst);
}
MLP_KERNEL(convert_u8, (std::int64_t n, const std::uint8_t* src, float* dst), (n, src, dst))
MLP_KERNEL(affine_u8,
           (std::int64_t n, bool per_column, const std::uint8_t* src, const float* mean,
            const float* scale, float* dst),
           (n, per_column, src, mean, scale, dst))
MLP_KERNEL(affine_f32,
           (std::int64_t n, bool per_column, const float* src, const float* mean,
            const float* scale, float* dst),
           (n, per_column, src, mean, scale, dst))

MLP_INLINE void add_row_body(std::int64_t n, const float* __restrict row, float* __restrict sum) {
  for (std::int64_t i = 0; i < n; ++i)
    sum[i] += row[i];
}
MLP_INLINE void sum_range_body(std::int64_t rows, std::int64_t stride, std::int64_t n,
                               const float* __restrict x, float* __restrict sum) {
  for (std::int64_t i = 0; i < n; ++i)
    sum[i] = 0.0F;
  for (std::int64_t r = 0; r < rows; ++r)
    add_row_body(n, x + r * stride, sum);
}
MLP_KERNEL(sum_range,
           (std::int64_t rows, std::int64_t stride, std::int64_t n, const float* x, float* sum),
           (rows, stride, n, x, sum))

void gather_row(const GatherSpec& spec, const void* source, std::int64_t row, const float* mean,
                const float* scale, void* dst, std::int64_t at) {
  auto* out = static_cast<float*>(dst) + at * spec.cols;
  if (spec.source == DType::u8) {
    const auto* in = static_cast<const std::uint8_t*>(source) + row * spec.cols;
    if (spec.affine)
      affine_u8(spec.cols, spec.per_column, in, mean, scale, out);
    else
      convert_u8(spec.cols, in, out);
  } else if (spec.source == DType::f32 && spec.affine) {
    affine_f32(spec.cols, spec.per_column, static_cast<const float*>(source) + row * spec.cols,
               mean, scale, out);
  } else { // f32 or i32 as they are: both of four bytes
    std::memcpy(static_cast<char*>(dst) + at * spec.cols * 4,
                static_cast<const char*>(source) + row * spec.cols * 4,
                static_cast<std::size_t>(spec.cols) * 4);
  }
}

} // namespace

void gather(ThreadPool& pool, const GatherSpec& spec, const StepState* state, const void* source,
            const std::int32_t* order, const float* mean, const float* scale, void* dst) {
  const std::int64_t first = state != nullptr ? state->first_row : 0;
  pool.split(spec.rows, 1, kLeast / spec.cols + 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      gather_row(spec, source, order != nullptr ? order[first + i] : first + i, mean, scale, dst,
                 i);
  });
}

void sum_rows(ThreadPool& pool, std::int64_t rows, std::int64_t cols, const float* x, float* dst) {
  pool.split(cols, 16, kLeast / std::max<std::int64_t>(rows, 1) + 1,
             [&](std::int64_t begin, std::int64_t end) {
               for (std::int64_t c = begin; c < end; c += kChunk)
                 sum_range(rows, cols, std::min(kChunk, end - c), x + c, dst + c);
             });
}

} // namespace mlp::kernels::cpu
