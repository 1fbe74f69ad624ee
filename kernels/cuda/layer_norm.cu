// Layer normalisation; the reference is cpu/layer_norm.cpp. A row of up to 1024 columns is held in
// the registers of a warp, a longer one is read three times by a block, the second and third time
// from cache.
#include "kernels/cuda/reduce.cuh"

namespace mlp::kernels::cuda {

namespace {

struct LayerNorm {
  std::int64_t rows = 0, cols = 0;
  float epsilon = 0.0F;
  const float* x = nullptr;
  const float* gamma = nullptr; // null: 1
  const float* beta = nullptr;  // null: 0
  float* y = nullptr;           // may be x
};

// V columns from c on, of which those beyond the row are 0.
template <int V>
__device__ __forceinline__ void load_columns(const float* p, std::int64_t c, std::int64_t cols,
                                             float (&f)[V]) {
  if (c < cols) {
    load_row<V>(p, c, f);
  } else {
#pragma unroll
    for (int v = 0; v < V; ++v)
      f[v] = 0.0F;
  }
}

template <int V>
__device__ __forceinline__ void store_columns(const LayerNorm& p, std::int64_t row, std::int64_t c,
                                              float mean, float inverse, const float (&x)[V]) {
  float gamma[V], beta[V], y[V];
#pragma unroll
  for (int v = 0; v < V; ++v) {
    gamma[v] = 1.0F;
    beta[v] = 0.0F;
  }
  if (p.gamma != nullptr) load_row<V>(p.gamma, c, gamma);
  if (p.beta != nullptr) load_row<V>(p.beta, c, beta);
#pragma unroll
  for (int v = 0; v < V; ++v)
    y[v] = (x[v] - mean) * inverse * gamma[v] + beta[v];
  float* out = p.y + row * p.cols + c;
  if constexpr (V == 4)
    *reinterpret_cast<float4*>(out) = make_float4(y[0], y[1], y[2], y[3]);
  else
    *out = y[0];
}

// cols <= kWarp * V * each; lane l of a row's warp holds V columns from l * V on, then from
// (kWarp + l) * V on, ... V is 4 where cols is a multiple of it and the buffers are aligned.
template <int V, int each>
__global__ void __launch_bounds__(kBlock) layer_norm_short(LayerNorm p) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t first =
      static_cast<std::int64_t>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / kWarp;
  const auto cols = static_cast<float>(p.cols);
  for (std::int64_t row = first; row < p.rows;
       row += static_cast<std::int64_t>(gridDim.x) * kWarps) {
    float x[each][V];
    float sum = 0.0F;
#pragma unroll
    for (int k = 0; k < each; ++k) {
      load_columns<V>(p.x + row * p.cols, (k * kWarp + lane) * V, p.cols, x[k]);
#pragma unroll
      for (int v = 0; v < V; ++v)
        sum += x[k][v];
    }
    const float mean = group_sum<kWarp>(sum) / cols;
    float squares = 0.0F;
#pragma unroll
    for (int k = 0; k < each; ++k)
      if ((k * kWarp + lane) * V < p.cols)
#pragma unroll
        for (int v = 0; v < V; ++v)
          squares += (x[k][v] - mean) * (x[k][v] - mean);
    const float inverse = 1.0F / sqrtf(group_sum<kWarp>(squares) / cols + p.epsilon);
#pragma unroll
    for (int k = 0; k < each; ++k)
      if ((k * kWarp + lane) * V < p.cols)
        store_columns<V>(p, row, (k * kWarp + lane) * V, mean, inverse, x[k]);
  }
}

// A block a row.
template <int V>
__global__ void __launch_bounds__(kBlock) layer_norm_long(LayerNorm p) {
  const auto cols = static_cast<float>(p.cols);
  const std::int64_t mine = static_cast<std::int64_t>(threadIdx.x) * V;
  for (std::int64_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
    const float* in = p.x + row * p.cols;
    float x[V];
    float sum = 0.0F;
    for (std::int64_t c = mine; c < p.cols; c += kBlock * V) {
      load_row<V>(in, c, x);
#pragma unroll
      for (int v = 0; v < V; ++v)
        sum += x[v];
    }
    const float mean = block_total(sum) / cols;
    float squares = 0.0F;
    for (std::int64_t c = mine; c < p.cols; c += kBlock * V) {
      load_row<V>(in, c, x);
#pragma unroll
      for (int v = 0; v < V; ++v)
        squares += (x[v] - mean) * (x[v] - mean);
    }
    const float inverse = 1.0F / sqrtf(block_total(squares) / cols + p.epsilon);
    for (std::int64_t c = mine; c < p.cols; c += kBlock * V) {
      load_row<V>(in, c, x);
      store_columns<V>(p, row, c, mean, inverse, x);
    }
  }
}

template <int V>
void queue_rows(const Queue& q, const LayerNorm& p) {
  const auto queue = [&](auto kernel, std::int64_t threads) {
    launch("queue a layer normalisation", kernel, blocks_for(q, p.rows * threads), q, p);
  };
  if (p.cols <= 128)
    queue(layer_norm_short<V, 4 / V>, kWarp);
  else if (p.cols <= 256)
    queue(layer_norm_short<V, 8 / V>, kWarp);
  else if (p.cols <= 512)
    queue(layer_norm_short<V, 16 / V>, kWarp);
  else if (p.cols <= 1024)
    queue(layer_norm_short<V, 32 / V>, kWarp);
  else
    queue(layer_norm_long<V>, kBlock);
}

} // namespace

void layer_norm(const Queue& q, std::int64_t rows, std::int64_t cols, float epsilon, const float* x,
                const float* gamma, const float* beta, float* y) {
  const LayerNorm p{rows, cols, epsilon, x, gamma, beta, y};
  if (cols % kPer == 0 && aligned16(x, gamma, beta, y))
    queue_rows<4>(q, p);
  else
    queue_rows<1>(q, p);
}

} // namespace mlp::kernels::cuda
