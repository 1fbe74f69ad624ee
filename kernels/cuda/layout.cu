// How operands are laid out anew for a library: bf16 for float32, zeros around an input, and two
// axes that change places.
#include "kernels/cuda/launch.cuh"

namespace mlp::kernels::cuda {

namespace {

constexpr std::int64_t kEight = 8; // elements of a conversion that a thread takes: 16 bytes of bf16
constexpr int kTile = kWarp;       // of a transposition, each way

struct alignas(16) EightBf16 {
  Bf16 v[kEight];
};

__global__ void __launch_bounds__(kBlock)
    to_bf16_kernel(std::int64_t size, bool vector, const float* __restrict__ x,
                   Bf16* __restrict__ y) {
  for (std::int64_t at = thread_index() * kEight; at < size; at += thread_count() * kEight) {
    const bool whole = vector && at + kEight <= size;
    const Four low = load4(x, at, size, whole);
    const Four high = load4(x, at + kPer, size, whole);
    EightBf16 all;
#pragma unroll
    for (int j = 0; j < kPer; ++j) {
      all.v[j] = from_float<Bf16>(low.v[j]);
      all.v[kPer + j] = from_float<Bf16>(high.v[j]);
    }
    if (whole) {
      *reinterpret_cast<EightBf16*>(y + at) = all;
    } else {
#pragma unroll
      for (int j = 0; j < kEight; ++j)
        if (at + j < size) y[at + j] = all.v[j];
    }
  }
}

__global__ void __launch_bounds__(kBlock)
    from_bf16_kernel(std::int64_t size, bool vector, const Bf16* __restrict__ x,
                     float* __restrict__ y) {
  for (std::int64_t at = thread_index() * kEight; at < size; at += thread_count() * kEight) {
    const bool whole = vector && at + kEight <= size;
    EightBf16 all = {};
    if (whole) {
      all = *reinterpret_cast<const EightBf16*>(x + at);
    } else {
#pragma unroll
      for (int j = 0; j < kEight; ++j)
        if (at + j < size) all.v[j] = x[at + j];
    }
    Four low;
    Four high;
#pragma unroll
    for (int j = 0; j < kPer; ++j) {
      low.v[j] = to_float(all.v[j]);
      high.v[j] = to_float(all.v[kPer + j]);
    }
    store4(y, at, size, whole, low);
    store4(y, at + kPer, size, whole, high);
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    pad_kernel(std::int64_t size, Padding s, const T* __restrict__ x, T* __restrict__ y) {
  for (std::int64_t at = thread_index(); at < size; at += thread_count()) {
    const std::int64_t cell = quotient(at, s.inner);
    const std::int64_t line = quotient(cell, s.out[2]);
    const std::int64_t sheet = quotient(line, s.out[1]);
    const std::int64_t plane = quotient(sheet, s.out[0]);
    const std::int64_t i = sheet - plane * s.out[0] - s.before[0];
    const std::int64_t j = line - sheet * s.out[1] - s.before[1];
    const std::int64_t k = cell - line * s.out[2] - s.before[2];
    const bool inside = i >= 0 && i < s.in[0] && j >= 0 && j < s.in[1] && k >= 0 && k < s.in[2];
    const std::int64_t from = ((plane * s.in[0] + i) * s.in[1] + j) * s.in[2] + k;
    y[at] = inside ? x[from * s.inner + (at - cell * s.inner)] : T{};
  }
}

// Through a tile in shared memory, so that reads and writes both follow one another; its rows are
// one element longer, so that a column lies in different banks.
template <class T>
__global__ void __launch_bounds__(kBlock)
    transpose_kernel(std::int64_t planes, std::int64_t rows, std::int64_t cols,
                     const T* __restrict__ x, T* __restrict__ y) {
  __shared__ T tile[kTile][kTile + 1];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t across = (cols + kTile - 1) / kTile;
  const std::int64_t tiles = (rows + kTile - 1) / kTile * across;
  for (std::int64_t unit = blockIdx.x; unit < planes * tiles; unit += gridDim.x) {
    const std::int64_t plane = quotient(unit, tiles);
    const std::int64_t down = quotient(unit - plane * tiles, across);
    const std::int64_t row = down * kTile;
    const std::int64_t col = (unit - plane * tiles - down * across) * kTile;
    const T* from = x + plane * rows * cols;
    T* to = y + plane * rows * cols;
    for (int r = warp; r < kTile; r += kWarps)
      if (row + r < rows && col + lane < cols) tile[r][lane] = from[(row + r) * cols + col + lane];
    __syncthreads();
    for (int c = warp; c < kTile; c += kWarps)
      if (col + c < cols && row + lane < rows) to[(col + c) * rows + row + lane] = tile[lane][c];
    __syncthreads(); // the next tile is written over this one
  }
}

template <class T>
void pad_as(const Queue& q, const Padding& spec, const void* x, void* y) {
  const std::int64_t size = spec.planes * spec.out[0] * spec.out[1] * spec.out[2] * spec.inner;
  launch("queue padding", pad_kernel<T>, blocks_for(q, size), q, size, spec,
         static_cast<const T*>(x), static_cast<T*>(y));
}

template <class T>
void transpose_as(const Queue& q, std::int64_t planes, std::int64_t rows, std::int64_t cols,
                  const void* x, void* y) {
  const std::int64_t tiles = ((rows + kTile - 1) / kTile) * ((cols + kTile - 1) / kTile);
  launch("queue a transposition", transpose_kernel<T>, blocks_for(q, planes * tiles * kBlock), q,
         planes, rows, cols, static_cast<const T*>(x), static_cast<T*>(y));
}

std::int64_t eights(std::int64_t size) {
  return (size + kEight - 1) / kEight;
}

} // namespace

void to_bf16(const Queue& q, std::int64_t size, const float* x, void* y) {
  auto* to = static_cast<Bf16*>(y);
  launch("queue a rounding to bf16", to_bf16_kernel, blocks_for(q, eights(size)), q, size,
         aligned16(x, to), x, to);
}

void from_bf16(const Queue& q, std::int64_t size, const void* x, float* y) {
  const auto* from = static_cast<const Bf16*>(x);
  launch("queue a widening of bf16", from_bf16_kernel, blocks_for(q, eights(size)), q, size,
         aligned16(from, y), from, y);
}

void pad(const Queue& q, const Padding& spec, const void* x, void* y) {
  if (spec.element == 2)
    pad_as<std::uint16_t>(q, spec, x, y);
  else
    pad_as<std::uint32_t>(q, spec, x, y);
}

void transpose(const Queue& q, std::int64_t planes, std::int64_t rows, std::int64_t cols,
               std::size_t element, const void* x, void* y) {
  if (element == 2)
    transpose_as<std::uint16_t>(q, planes, rows, cols, x, y);
  else
    transpose_as<std::uint32_t>(q, planes, rows, cols, x, y);
}

} // namespace mlp::kernels::cuda
