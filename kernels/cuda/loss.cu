// Losses with their gradients in one pass, and softmax; the reference is cpu/loss.cpp. A short row
// is held in the registers of a group of lanes, a long one is read by a whole block.
#include "kernels/cuda/reduce.cuh"

#include <cfloat>
#include <climits>

namespace mlp::kernels::cuda {

namespace {

struct CrossEntropy {
  std::int64_t rows = 0;
  int classes = 0;
  const float* logits = nullptr;
  const std::int32_t* labels = nullptr;
  const float* class_weights = nullptr; // null: all 1
  const double* total_weight = nullptr; // over the batch; null: rows
  float* gradient = nullptr;            // may be logits, or null
  LossStats* stats = nullptr;           // may be null
};

__device__ __forceinline__ float minus_infinity() {
  return -INFINITY;
}

// Adds the block's share to stats; the order of sums is fixed.
__device__ __forceinline__ void add_stats(const Scratch& scratch, double (&s)[4],
                                          LossStats* stats) {
  if (stats == nullptr) return;
  if (grid_sum(scratch, s)) {
    stats->loss += s[0];
    stats->weight += s[1];
    stats->correct += s[2];
    stats->rows += s[3];
  }
}

// What a row adds to the stats.
__device__ __forceinline__ void add_row(double (&s)[4], float weight, float sum, float shift,
                                        float own, bool correct) {
  const double loss =
      static_cast<double>(logf(sum)) + static_cast<double>(shift) - static_cast<double>(own);
  s[0] += static_cast<double>(weight) * loss;
  s[1] += static_cast<double>(weight);
  s[2] += correct ? 1.0 : 0.0;
  s[3] += 1.0;
}

__global__ void __launch_bounds__(kBlock)
    total_weight_kernel(std::int64_t rows, const std::int32_t* __restrict__ labels,
                        const float* __restrict__ class_weights, Scratch scratch, double* total) {
  double sum[1] = {0.0};
  for (std::int64_t r = thread_index(); r < rows; r += thread_count())
    sum[0] += static_cast<double>(class_weights[labels[r]]);
  if (grid_sum(scratch, sum)) *total = sum[0];
}

// classes <= lanes * each; lane l of a row's group holds columns l, l + lanes, ...
template <int lanes, int each>
__global__ void __launch_bounds__(kBlock) cross_entropy_short(CrossEntropy p, Scratch scratch) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const double total = p.total_weight != nullptr ? *p.total_weight : static_cast<double>(p.rows);
  double s[4] = {};
  // All lanes of a warp go round together, because they exchange values.
  for (std::int64_t base = static_cast<std::int64_t>(blockIdx.x) * (kBlock / lanes); base < p.rows;
       base += static_cast<std::int64_t>(gridDim.x) * (kBlock / lanes)) {
    const std::int64_t row = base + static_cast<int>(threadIdx.x) / lanes;
    const bool real = row < p.rows;
    const float* x = p.logits + row * p.classes;
    const int label = real ? p.labels[row] : 0;
    float v[each];
    float top = minus_infinity();
    float own = minus_infinity();
#pragma unroll
    for (int k = 0; k < each; ++k) {
      const int c = lane + k * lanes;
      v[k] = real && c < p.classes ? x[c] : minus_infinity();
      top = fmaxf(top, v[k]);
      if (c == label) own = v[k];
    }

    own = __shfl_sync(kAllLanes, own, label % lanes, lanes);
    top = group_max<lanes>(top);
    int at = INT_MAX; // the first of equal logits is the prediction
#pragma unroll
    for (int k = each - 1; k >= 0; --k)
      if (lane + k * lanes < p.classes && v[k] == top) at = lane + k * lanes;
    at = group_min<lanes>(at);
    float sum = 0.0F;
#pragma unroll
    for (int k = 0; k < each; ++k) {
      v[k] = lane + k * lanes < p.classes ? expf(v[k] - top) : 0.0F;
      sum += v[k];
    }
    sum = group_sum<lanes>(sum);
    if (!real) continue;
    const float weight = p.class_weights != nullptr ? p.class_weights[label] : 1.0F;
    if (p.gradient != nullptr) {
      const auto share = static_cast<float>(static_cast<double>(weight) / total);
      const float factor = share / sum;
      float* g = p.gradient + row * p.classes;
#pragma unroll
      for (int k = 0; k < each; ++k) {
        const int c = lane + k * lanes;
        if (c < p.classes) g[c] = v[k] * factor - (c == label ? share : 0.0F);
      }
    }
    if (lane == 0) add_row(s, weight, sum, top, own, at == label);
  }
  add_stats(scratch, s, p.stats);
}

__device__ __forceinline__ float block_max(float value) {
  return merge_warps(group_max<kWarp>(value), [](float a, float b) { return fmaxf(a, b); });
}
__device__ __forceinline__ int block_min(int value) {
  return merge_warps(group_min<kWarp>(value), [](int a, int b) { return a < b ? a : b; });
}

// A block a row; the row is read three times, the second and third time from cache.
__global__ void __launch_bounds__(kBlock) cross_entropy_long(CrossEntropy p, Scratch scratch) {
  const double total = p.total_weight != nullptr ? *p.total_weight : static_cast<double>(p.rows);
  double s[4] = {};
  for (std::int64_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
    const float* x = p.logits + row * p.classes;
    const int label = p.labels[row];
    const float own = x[label];
    float top = minus_infinity();
    int at = INT_MAX;
    for (int c = static_cast<int>(threadIdx.x); c < p.classes; c += kBlock)
      if (x[c] > top || at == INT_MAX) {
        top = fmaxf(top, x[c]);
        at = c;
      }
    const float highest = block_max(top);
    at = block_min(top == highest ? at : INT_MAX);
    float sum = 0.0F;
    for (int c = static_cast<int>(threadIdx.x); c < p.classes; c += kBlock)
      sum += expf(x[c] - highest);
    // Also keeps the writes below behind every thread's reading of own.
    sum = block_total(sum);
    const float weight = p.class_weights != nullptr ? p.class_weights[label] : 1.0F;
    if (p.gradient != nullptr) {
      const auto share = static_cast<float>(static_cast<double>(weight) / total);
      const float factor = share / sum;
      float* g = p.gradient + row * p.classes;
      for (int c = static_cast<int>(threadIdx.x); c < p.classes; c += kBlock)
        g[c] = expf(x[c] - highest) * factor - (c == label ? share : 0.0F);
    }
    if (threadIdx.x == 0) add_row(s, weight, sum, highest, own, at == label);
  }
  add_stats(scratch, s, p.stats);
}

// y may be x.
template <int lanes, int each>
__global__ void __launch_bounds__(kBlock)
    softmax_short(std::int64_t rows, int cols, const float* x, float* y) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  for (std::int64_t base = static_cast<std::int64_t>(blockIdx.x) * (kBlock / lanes); base < rows;
       base += static_cast<std::int64_t>(gridDim.x) * (kBlock / lanes)) {
    const std::int64_t row = base + static_cast<int>(threadIdx.x) / lanes;
    const bool real = row < rows;
    float v[each];
    float top = minus_infinity();
#pragma unroll
    for (int k = 0; k < each; ++k) {
      const int c = lane + k * lanes;
      v[k] = real && c < cols ? x[row * cols + c] : minus_infinity();
      top = fmaxf(top, v[k]);
    }
    top = group_max<lanes>(top);
    float sum = 0.0F;
#pragma unroll
    for (int k = 0; k < each; ++k) {
      v[k] = lane + k * lanes < cols ? expf(v[k] - top) : 0.0F;
      sum += v[k];
    }
    sum = group_sum<lanes>(sum);
    if (!real) continue;
    const float inverse = 1.0F / sum;
#pragma unroll
    for (int k = 0; k < each; ++k)
      if (lane + k * lanes < cols) y[row * cols + lane + k * lanes] = v[k] * inverse;
  }
}

__global__ void __launch_bounds__(kBlock)
    softmax_long(std::int64_t rows, std::int64_t cols, const float* x, float* y) {
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const float* in = x + row * cols;
    float* out = y + row * cols;
    float top = minus_infinity();
    for (std::int64_t c = threadIdx.x; c < cols; c += kBlock)
      top = fmaxf(top, in[c]);
    top = block_max(top);
    float sum = 0.0F;
    for (std::int64_t c = threadIdx.x; c < cols; c += kBlock)
      sum += expf(in[c] - top);
    const float inverse = 1.0F / block_total(sum);
    for (std::int64_t c = threadIdx.x; c < cols; c += kBlock)
      out[c] = expf(in[c] - top) * inverse;
  }
}

// Loss and slope of d = prediction - target.
struct Square {
  __device__ __forceinline__ float loss(float d) const { return d * d; }
  __device__ __forceinline__ float slope(float d) const { return 2.0F * d; }
};
struct Huber {
  float delta;
  __device__ __forceinline__ float loss(float d) const {
    const float a = fabsf(d);
    return a > delta ? delta * (a - 0.5F * delta) : 0.5F * d * d; // a NaN stays one
  }
  __device__ __forceinline__ float slope(float d) const {
    return fabsf(d) > delta ? (d > 0.0F ? delta : -delta) : d;
  }
};

// gradient may be the prediction.
template <class Element>
__global__ void __launch_bounds__(kBlock)
    elementwise(Element element, std::int64_t rows, std::int64_t cols, bool aligned,
                const float* prediction, const float* target, float* gradient, LossStats* stats,
                Scratch scratch) {
  const std::int64_t size = rows * cols;
  const float share = 1.0F / static_cast<float>(size);
  double s[4] = {};
  for (std::int64_t i = kPer * thread_index(); i < size; i += kPer * thread_count()) {
    const Four p = load4(prediction, i, size, aligned);
    const Four t = load4(target, i, size, aligned); // beyond the end both are 0, and so is the loss
    Four g;
#pragma unroll
    for (int j = 0; j < kPer; ++j) {
      const float d = p.v[j] - t.v[j];
      s[0] += static_cast<double>(element.loss(d));
      g.v[j] = element.slope(d) * share;
    }
    if (gradient != nullptr) store4(gradient, i, size, aligned, g);
  }
  if (thread_index() == 0) {
    s[3] = static_cast<double>(rows);
    s[1] = static_cast<double>(size);
  }
  add_stats(scratch, s, stats);
}

template <class Element>
void queue_elementwise(const Queue& q, const Element& element, std::int64_t rows, std::int64_t cols,
                       const float* prediction, const float* target, float* gradient,
                       LossStats* stats) {
  launch("queue a loss", elementwise<Element>, blocks_for(q, (rows * cols + kPer - 1) / kPer), q,
         element, rows, cols, aligned16(prediction, target, gradient), prediction, target, gradient,
         stats, q.scratch);
}

// Calls body(lanes, each) with the smallest group that holds a row of `cols`; false: none does.
template <class Body>
bool with_group(std::int64_t cols, const Body& body) {
  using std::integral_constant;
  if (cols <= 4)
    body(integral_constant<int, 4>(), integral_constant<int, 1>());
  else if (cols <= 16)
    body(integral_constant<int, 8>(), integral_constant<int, 2>());
  else if (cols <= 128)
    body(integral_constant<int, 32>(), integral_constant<int, 4>());
  else if (cols <= 1024)
    body(integral_constant<int, 32>(), integral_constant<int, 32>());
  else
    return false;
  return true;
}

// Blocks for a group of `lanes` threads a row.
unsigned blocks_for_rows(const Queue& q, std::int64_t rows, int lanes) {
  return blocks_for(q, rows * lanes);
}

} // namespace

void softmax_cross_entropy(const Queue& q, std::int64_t rows, std::int64_t classes,
                           const float* logits, const std::int32_t* labels,
                           const float* class_weights, float* gradient, LossStats* stats) {
  if (classes > INT_MAX - kBlock)
    throw Error(ErrorKind::unsupported, "a loss over more than 2^31 classes is not done on a GPU");
  double* total = nullptr;
  if (class_weights != nullptr) {
    total = q.scratch.sums + kScratchSums;
    launch("queue a loss", total_weight_kernel, blocks_for(q, rows), q, rows, labels, class_weights,
           q.scratch, total);
  }
  const CrossEntropy p{
      rows, static_cast<int>(classes), logits, labels, class_weights, total, gradient, stats};
  const bool is_short = with_group(classes, [&](auto lanes, auto each) {
    launch("queue a loss", cross_entropy_short<lanes(), each()>, blocks_for_rows(q, rows, lanes()),
           q, p, q.scratch);
  });
  if (!is_short)
    launch("queue a loss", cross_entropy_long, blocks_for_rows(q, rows, kBlock), q, p, q.scratch);
}

void softmax(const Queue& q, std::int64_t rows, std::int64_t cols, const float* x, float* y) {
  const bool is_short = with_group(cols, [&](auto lanes, auto each) {
    launch("queue a softmax", softmax_short<lanes(), each()>, blocks_for_rows(q, rows, lanes()), q,
           rows, static_cast<int>(cols), x, y);
  });
  if (!is_short)
    launch("queue a softmax", softmax_long, blocks_for_rows(q, rows, kBlock), q, rows, cols, x, y);
}

void squared_error(const Queue& q, std::int64_t rows, std::int64_t cols, const float* prediction,
                   const float* target, float* gradient, LossStats* stats) {
  queue_elementwise(q, Square{}, rows, cols, prediction, target, gradient, stats);
}

void huber(const Queue& q, std::int64_t rows, std::int64_t cols, float delta,
           const float* prediction, const float* target, float* gradient, LossStats* stats) {
  queue_elementwise(q, Huber{delta}, rows, cols, prediction, target, gradient, stats);
}

} // namespace mlp::kernels::cuda
