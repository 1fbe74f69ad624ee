// Reductions over the middle axis of x[outer, count, inner]; the reference is cpu/reduce.cpp. Along
// memory (inner 1), a warp or a block folds a row; across it, a warp holds 32 neighbouring columns
// and the warps of a block share the rows. Where that leaves the GPU idle, the axis is cut into
// parts, which a second kernel merges in order.
#include "kernels/cuda/reduce.cuh"

namespace mlp::kernels::cuda {

namespace {

// What is folded, in double; how it ends is finished() for all kinds.
struct Sum {
  static __device__ __forceinline__ double start() { return 0.0; }
  static __device__ __forceinline__ double of(float x) { return static_cast<double>(x); }
  static __device__ __forceinline__ double merge(double a, double b) { return a + b; }
};
struct AbsoluteSum : Sum {
  static __device__ __forceinline__ double of(float x) { return static_cast<double>(fabsf(x)); }
};
struct SquareSum : Sum {
  static __device__ __forceinline__ double of(float x) {
    return static_cast<double>(x) * static_cast<double>(x);
  }
};
struct Product {
  static __device__ __forceinline__ double start() { return 1.0; }
  static __device__ __forceinline__ double of(float x) { return static_cast<double>(x); }
  static __device__ __forceinline__ double merge(double a, double b) { return a * b; }
};
struct Largest {
  static __device__ __forceinline__ double start() { return -INFINITY; }
  static __device__ __forceinline__ double of(float x) { return static_cast<double>(x); }
  static __device__ __forceinline__ double merge(double a, double b) {
    return a > b || a != a ? a : b;
  }
};
struct Smallest {
  static __device__ __forceinline__ double start() { return INFINITY; }
  static __device__ __forceinline__ double of(float x) { return static_cast<double>(x); }
  static __device__ __forceinline__ double merge(double a, double b) {
    return a < b || a != a ? a : b;
  }
};

struct Reduction {
  Reduce kind = Reduce::sum;
  std::int64_t outer = 0, count = 0, inner = 0;
  std::int64_t part = 0;  // elements of the axis in a part
  std::int64_t parts = 1; // more than one: the states go to `partial`, [part][column]
  const float* x = nullptr;
  float* y = nullptr;
  double* partial = nullptr;
};

__device__ __forceinline__ float finished(const Reduction& p, double state) {
  if (p.kind == Reduce::mean) state /= static_cast<double>(p.count);
  if (p.kind == Reduce::norm) state = sqrt(state);
  if (p.kind == Reduce::log_sum) state = log(state);
  return static_cast<float>(state);
}

__device__ __forceinline__ void put(const Reduction& p, std::int64_t part, std::int64_t column,
                                    double state) {
  if (p.parts > 1)
    p.partial[part * p.outer * p.inner + column] = state;
  else
    p.y[column] = finished(p, state);
}

// Elements [first, last) of a row by `threads` threads, of which this one is `self`. Every thread
// has four sums, so that additions need not wait for one another.
template <class Op>
__device__ __forceinline__ double fold(const float* x, std::int64_t first, std::int64_t last,
                                       int self, int threads, bool vector) {
  double s[kPer];
#pragma unroll
  for (int j = 0; j < kPer; ++j)
    s[j] = Op::start();
  if (vector) { // first and last are multiples of four
    for (std::int64_t i = first + kPer * self; i < last; i += kPer * threads) {
      const Four f = load4(x, i, last, true);
#pragma unroll
      for (int j = 0; j < kPer; ++j)
        s[j] = Op::merge(s[j], Op::of(f.v[j]));
    }
  } else {
    int j = 0;
    for (std::int64_t i = first + self; i < last; i += threads, j = (j + 1) % kPer) {
      const double value = Op::of(x[i]);
#pragma unroll
      for (int k = 0; k < kPer; ++k)
        if (k == j) s[k] = Op::merge(s[k], value);
    }
  }
  return Op::merge(Op::merge(s[0], s[1]), Op::merge(s[2], s[3]));
}

// Over groups of neighbouring lanes; all lanes of the warp have to take part.
template <class Op, int lanes>
__device__ __forceinline__ double over_group(double state) {
#pragma unroll
  for (int distance = lanes / 2; distance > 0; distance /= 2)
    state = Op::merge(state, __shfl_xor_sync(kAllLanes, state, distance));
  return state;
}

// inner 1: a group of lanes a row.
template <class Op, int lanes>
__global__ void __launch_bounds__(kBlock) reduce_short(Reduction p, bool vector) {
  constexpr int kRows = kBlock / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  // All lanes of a warp go round together, because they exchange values.
  for (std::int64_t base = static_cast<std::int64_t>(blockIdx.x) * kRows; base < p.outer;
       base += static_cast<std::int64_t>(gridDim.x) * kRows) {
    const std::int64_t row = base + static_cast<int>(threadIdx.x) / lanes;
    const bool real = row < p.outer;
    const double own =
        real ? fold<Op>(p.x + row * p.count, 0, p.count, lane, lanes, vector) : Op::start();
    const double state = over_group<Op, lanes>(own);
    if (real && lane == 0) put(p, 0, row, state);
  }
}

// inner 1: a block a part of a row.
template <class Op>
__global__ void __launch_bounds__(kBlock) reduce_long(Reduction p, bool vector) {
  __shared__ double of_warp[kWarps];
  for (std::int64_t job = blockIdx.x; job < p.outer * p.parts; job += gridDim.x) {
    const std::int64_t row = quotient(job, p.parts);
    const std::int64_t part = job - row * p.parts;
    const std::int64_t first = part * p.part;
    const std::int64_t last = first + p.part < p.count ? first + p.part : p.count;
    const double state = over_group<Op, kWarp>(
        fold<Op>(p.x + row * p.count, first, last, static_cast<int>(threadIdx.x), kBlock, vector));
    __syncthreads(); // of_warp may still be read from the row before
    if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = state;
    __syncthreads();
    if (threadIdx.x == 0) {
      double all = of_warp[0];
      for (int w = 1; w < kWarps; ++w)
        all = Op::merge(all, of_warp[w]);
      put(p, part, row, all);
    }
  }
}

// Any inner: a block a tile of 32 columns and a part of the axis. A column is (outer, inner).
template <class Op>
__global__ void __launch_bounds__(kBlock) reduce_columns(Reduction p) {
  __shared__ double of_warp[kWarps][kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const std::int64_t columns = p.outer * p.inner;
  const std::int64_t tiles = (columns + kWarp - 1) / kWarp;
  for (std::int64_t job = blockIdx.x; job < tiles * p.parts; job += gridDim.x) {
    const std::int64_t part = quotient(job, tiles);
    const std::int64_t column = (job - part * tiles) * kWarp + lane;
    const std::int64_t first = part * p.part;
    const std::int64_t last = first + p.part < p.count ? first + p.part : p.count;
    double state = Op::start();
    if (column < columns) {
      const std::int64_t o = quotient(column, p.inner);
      const float* x = p.x + (o * p.count) * p.inner + (column - o * p.inner);
      for (std::int64_t i = first + warp; i < last; i += kWarps)
        state = Op::merge(state, Op::of(x[i * p.inner]));
    }
    __syncthreads(); // of_warp may still be read from the tile before
    of_warp[warp][lane] = state;
    __syncthreads();
    if (warp == 0 && column < columns) {
      for (int w = 1; w < kWarps; ++w)
        state = Op::merge(state, of_warp[w][lane]);
      put(p, part, column, state);
    }
  }
}

template <class Op>
__global__ void __launch_bounds__(kBlock) merge_parts(Reduction p) {
  const std::int64_t columns = p.outer * p.inner;
  for (std::int64_t column = thread_index(); column < columns; column += thread_count()) {
    double state = p.partial[column];
    for (std::int64_t part = 1; part < p.parts; ++part)
      state = Op::merge(state, p.partial[part * columns + column]);
    p.y[column] = finished(p, state);
  }
}

// Cuts the axis so that `jobs` blocks become enough for the GPU, each with at least `least`
// elements of it; parts are multiples of four elements.
void cut(const Queue& q, Reduction& p, std::int64_t jobs, std::int64_t least) {
  const std::int64_t columns = p.outer * p.inner;
  std::int64_t parts = (std::int64_t{4} * q.processors + jobs - 1) / jobs;
  const auto at_most = [&](std::int64_t most) { parts = parts < most ? parts : most; };
  at_most(p.count / least);
  at_most(kScratchSums / columns);
  p.part = p.count;
  if (parts < 2) return;
  p.part = ((p.count + parts - 1) / parts + kPer - 1) / kPer * kPer;
  p.parts = (p.count + p.part - 1) / p.part;
}

// body(lanes): few enough for a row of `count` that most of them have two elements or more.
template <class Body>
void with_group(std::int64_t count, const Body& body) {
  using std::integral_constant;
  if (count <= 4)
    body(integral_constant<int, 2>());
  else if (count <= 8)
    body(integral_constant<int, 4>());
  else if (count <= 16)
    body(integral_constant<int, 8>());
  else if (count <= 32)
    body(integral_constant<int, 16>());
  else
    body(integral_constant<int, kWarp>());
}

template <class Op>
void reduce_with(const Queue& q, Reduction p) {
  constexpr const char* kWhat = "queue a reduction";
  constexpr std::int64_t kShort = 1024;
  if (p.inner == 1 && p.count <= kShort) {
    const bool vector = p.count % kPer == 0 && aligned16(p.x);
    return with_group(p.count, [&](auto lanes) {
      launch(kWhat, reduce_short<Op, lanes()>, blocks_for(q, p.outer * lanes()), q, p, vector);
    });
  }
  if (p.inner == 1) {
    const bool vector = p.count % kPer == 0 && aligned16(p.x);
    cut(q, p, p.outer, 4 * kBlock * kPer);
    launch(kWhat, reduce_long<Op>, blocks_for(q, p.outer * p.parts * kBlock), q, p, vector);
  } else {
    const std::int64_t tiles = (p.outer * p.inner + kWarp - 1) / kWarp;
    cut(q, p, tiles, 8 * kWarps);
    launch(kWhat, reduce_columns<Op>, blocks_for(q, tiles * p.parts * kBlock), q, p);
  }
  if (p.parts > 1) launch(kWhat, merge_parts<Op>, blocks_for(q, p.outer * p.inner), q, p);
}

} // namespace

void reduce(const Queue& q, const ReduceSpec& spec, const float* x, float* y) {
  const Reduction p{.kind = spec.kind,
                    .outer = spec.outer,
                    .count = spec.count,
                    .inner = spec.inner,
                    .x = x,
                    .y = y,
                    .partial = q.scratch.sums};
  switch (spec.kind) {
  case Reduce::sum:
  case Reduce::mean:
  case Reduce::log_sum:
    return reduce_with<Sum>(q, p);
  case Reduce::absolute_sum:
    return reduce_with<AbsoluteSum>(q, p);
  case Reduce::square_sum:
  case Reduce::norm:
    return reduce_with<SquareSum>(q, p);
  case Reduce::product:
    return reduce_with<Product>(q, p);
  case Reduce::largest:
    return reduce_with<Largest>(q, p);
  case Reduce::smallest:
    return reduce_with<Smallest>(q, p);
  }
}

} // namespace mlp::kernels::cuda
