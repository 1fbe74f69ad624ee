// Pooling that is trained, channels last; the reference is cpu/pool_training.cpp. A thread takes V
// neighbouring channels of a cell, so that a warp's loads follow one another. Backward gathers: a
// thread asks which windows hold its cell and writes it once, without atomics.
#include "kernels/cuda/reduce.cuh"
#include "kernels/window.hpp"

#include <algorithm>
#include <cfloat>
#include <limits>

namespace mlp::kernels::cuda {

namespace {

constexpr int kBlocks = 4; // a multiprocessor: leaves registers for what the loops hold

// Division by a number that is known before the launch: a multiplication and a shift (Granlund and
// Montgomery 1994). Both below 2^31.
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(std::int64_t value) {
    while ((std::int64_t{1} << shift_) < value)
      ++shift_;
    const auto rest = static_cast<std::uint64_t>((std::int64_t{1} << shift_) - value);
    multiplier_ = static_cast<std::uint32_t>((rest << 32) / static_cast<std::uint64_t>(value) + 1);
  }
  MLP_BOTH std::uint32_t divide(std::uint32_t n) const {
    const auto high =
        static_cast<std::uint32_t>((static_cast<std::uint64_t>(n) * multiplier_) >> 32);
    return (high + n) >> shift_;
  }

 private:
  std::uint32_t multiplier_ = 1, shift_ = 0;
};

// An axis of a pooling, in 32 bits: validate::check_training() has seen to it that they suffice.
struct Axis {
  int in, out, kernel, stride, dilation, pad_begin, pad_end;
  Divisor by_stride;
  int cells; // of the tensor that is written
  Divisor by_cells;
};
// A kernel's work: a unit is V channels of a cell that is written.
struct Task {
  Axis axis[kMaxSpatial];
  std::uint32_t units = 0;
  int chunks = 1, channels = 1; // units of a cell
  Divisor by_chunks;
  std::int64_t in_image = 0, out_image = 0; // elements
  bool counts_padding = false;
};

// The cells [begin, end) of a window in steps of the dilation.
struct Reach {
  int begin, end, with_padding;
};
__device__ __forceinline__ int steps(int length, int step) {
  return step == 1 ? length : (length + step - 1) / step;
}
__device__ __forceinline__ Reach reach_of(const Axis& a, int at) {
  int begin = at * a.stride - a.pad_begin;
  const int end = begin + a.dilation * a.kernel;
  const int padded = std::min(end, a.in + a.pad_end);
  const int with_padding = padded > begin ? steps(padded - begin, a.dilation) : 0;
  if (begin < 0) begin += steps(-begin, a.dilation) * a.dilation;
  return {begin, std::min(end, a.in), with_padding};
}
// What a window adds to the number that an average is divided by.
__device__ __forceinline__ int cells_of(const Task& t, int axis, int at) {
  const Reach r = reach_of(t.axis[axis], at);
  return t.counts_padding ? r.with_padding
                          : steps(std::max(r.end - r.begin, 0), t.axis[axis].dilation);
}

// The windows [begin, end) that may hold a cell.
struct Windows {
  int begin, end;
};
__device__ __forceinline__ Windows windows_of(const Axis& a, int cell) {
  const int at = cell + a.pad_begin;
  const int before = at - a.dilation * (a.kernel - 1);
  const int begin = before <= 0 ? 0 : static_cast<int>(a.by_stride.divide(before + a.stride - 1));
  return {begin, std::min(a.out, static_cast<int>(a.by_stride.divide(at)) + 1)};
}
// A window with holes may not.
__device__ __forceinline__ bool holds(const Axis& a, int window, int cell) {
  return a.dilation == 1 || (cell + a.pad_begin - window * a.stride) % a.dilation == 0;
}

// Where a unit is.
struct Place {
  int image, z, y, x, channel;
};
__device__ __forceinline__ Place place_of(const Task& t, std::uint32_t unit, int per) {
  const std::uint32_t cell = t.by_chunks.divide(unit);
  const std::uint32_t line = t.axis[2].by_cells.divide(cell);
  const std::uint32_t sheet = t.axis[1].by_cells.divide(line);
  const std::uint32_t image = t.axis[0].by_cells.divide(sheet);
  const auto at = [](std::uint32_t value, std::uint32_t whole, int each) {
    return static_cast<int>(value - whole * static_cast<std::uint32_t>(each));
  };
  return {static_cast<int>(image), at(sheet, image, t.axis[0].cells),
          at(line, sheet, t.axis[1].cells), at(cell, line, t.axis[2].cells),
          at(unit, cell, t.chunks) * per};
}

template <int V>
__device__ __forceinline__ void store_row(float* p, const float (&f)[V]) {
  if constexpr (V == 4)
    *reinterpret_cast<float4*>(p) = make_float4(f[0], f[1], f[2], f[3]);
  else
    *p = f[0];
}
template <int V>
__device__ __forceinline__ void store_indices(std::int32_t* p, const std::int32_t (&f)[V]) {
  if constexpr (V == 4)
    *reinterpret_cast<int4*>(p) = make_int4(f[0], f[1], f[2], f[3]);
  else
    *p = f[0];
}
template <int V>
__device__ __forceinline__ void load_indices(const std::int32_t* p, std::int32_t (&f)[V]) {
  if constexpr (V == 4) {
    const int4 all = *reinterpret_cast<const int4*>(p);
    f[0] = all.x;
    f[1] = all.y;
    f[2] = all.z;
    f[3] = all.w;
  } else {
    f[0] = *p;
  }
}

template <int V, bool is_max>
__global__ void __launch_bounds__(kBlock, kBlocks)
    forward_kernel(const __grid_constant__ Task t, const float* __restrict__ x,
                   float* __restrict__ y, std::int32_t* __restrict__ index) {
  for (std::uint32_t unit = blockIdx.x * kBlock + threadIdx.x; unit < t.units;
       unit += gridDim.x * kBlock) {
    const Place at = place_of(t, unit, V);
    const Reach a = reach_of(t.axis[0], at.z);
    const Reach b = reach_of(t.axis[1], at.y);
    const Reach c = reach_of(t.axis[2], at.x);
    const float* image = x + at.image * t.in_image + at.channel;
    float result[V];
    std::int32_t where[V];
#pragma unroll
    for (int v = 0; v < V; ++v) {
      result[v] = is_max ? -FLT_MAX : 0.0F;
      where[v] = -1;
    }
    int count = 0;
    for (int i = a.begin; i < a.end; i += t.axis[0].dilation)
      for (int j = b.begin; j < b.end; j += t.axis[1].dilation)
        for (int k = c.begin; k < c.end; k += t.axis[2].dilation) {
          const int cell = (i * t.axis[1].in + j) * t.axis[2].in + k;
          float values[V];
          load_row(image, static_cast<std::int64_t>(cell) * t.channels, values);
#pragma unroll
          for (int v = 0; v < V; ++v) {
            if constexpr (is_max) {
              const bool is_nan = values[v] != values[v] && result[v] == result[v];
              if (where[v] < 0 || values[v] > result[v] || is_nan) {
                result[v] = values[v];
                where[v] = cell;
              }
            } else {
              result[v] += values[v];
            }
          }
          ++count;
        }
    if constexpr (!is_max) {
      if (t.counts_padding && count != 0) count = a.with_padding * b.with_padding * c.with_padding;
#pragma unroll
      for (int v = 0; v < V; ++v)
        result[v] = count == 0 ? 0.0F : result[v] / static_cast<float>(count);
    }
    store_row(y + static_cast<std::int64_t>(unit) * V, result);
    if constexpr (is_max) store_indices(index + static_cast<std::int64_t>(unit) * V, where);
  }
}

template <int V, bool is_max>
__global__ void __launch_bounds__(kBlock, kBlocks)
    backward_kernel(const __grid_constant__ Task t, const float* __restrict__ dy,
                    const std::int32_t* __restrict__ index, float* __restrict__ dx) {
  for (std::uint32_t unit = blockIdx.x * kBlock + threadIdx.x; unit < t.units;
       unit += gridDim.x * kBlock) {
    const Place at = place_of(t, unit, V);
    const Windows a = windows_of(t.axis[0], at.z);
    const Windows b = windows_of(t.axis[1], at.y);
    const Windows c = windows_of(t.axis[2], at.x);
    const std::int64_t first = at.image * t.out_image + at.channel;
    const int cell = (at.z * t.axis[1].in + at.y) * t.axis[2].in + at.x;
    float sum[V] = {};
    for (int i = a.begin; i < a.end; ++i) {
      if (!holds(t.axis[0], i, at.z)) continue;
      for (int j = b.begin; j < b.end; ++j) {
        if (!holds(t.axis[1], j, at.y)) continue;
        for (int k = c.begin; k < c.end; ++k) {
          if (!holds(t.axis[2], k, at.x)) continue;
          const int window = (i * t.axis[1].out + j) * t.axis[2].out + k;
          const std::int64_t from = first + static_cast<std::int64_t>(window) * t.channels;
          float values[V];
          load_row(dy, from, values);
          if constexpr (is_max) {
            std::int32_t where[V];
            load_indices(index + from, where);
#pragma unroll
            for (int v = 0; v < V; ++v)
              sum[v] += where[v] == cell ? values[v] : 0.0F;
          } else {
            const int count = cells_of(t, 0, i) * cells_of(t, 1, j) * cells_of(t, 2, k);
            const float part = 1.0F / static_cast<float>(count);
#pragma unroll
            for (int v = 0; v < V; ++v)
              sum[v] += values[v] * part;
          }
        }
      }
    }
    store_row(dx + static_cast<std::int64_t>(unit) * V, sum);
  }
}

Task task_of(const PoolSpec& s, const std::int64_t (&cells)[kMaxSpatial], int per) {
  Task t;
  t.in_image = t.out_image = s.channels;
  for (int i = 0; i < kMaxSpatial; ++i) {
    const auto number = [i](const std::int64_t(&of)[kMaxSpatial]) {
      return static_cast<int>(of[i]);
    };
    const Window& w = s.window;
    t.axis[i] = {.in = number(s.in),
                 .out = number(s.out),
                 .kernel = number(w.kernel),
                 .stride = number(w.stride),
                 .dilation = number(w.dilation),
                 .pad_begin = number(w.pad_begin),
                 .pad_end = number(w.pad_end),
                 .by_stride = Divisor(w.stride[i]),
                 .cells = number(cells),
                 .by_cells = Divisor(cells[i])};
    t.in_image *= s.in[i];
    t.out_image *= s.out[i];
  }
  t.channels = static_cast<int>(s.channels);
  t.chunks = t.channels / per;
  t.by_chunks = Divisor(t.chunks);
  t.counts_padding = s.kind == Pool::average_with_padding;
  return t;
}

// body(the task, the first image) for as many images at a time as 32 bits can count.
template <class Body>
void for_images(const PoolSpec& s, const std::int64_t (&cells)[kMaxSpatial], int per,
                const Body& body) {
  Task t = task_of(s, cells, per);
  const std::int64_t units = cells[0] * cells[1] * cells[2] * t.chunks; // of an image
  const std::int64_t most = std::numeric_limits<std::int32_t>::max() / units;
  for (std::int64_t image = 0; image < s.batch; image += most) {
    t.units = static_cast<std::uint32_t>(units * std::min(most, s.batch - image));
    body(t, image);
  }
}

// body(is it a max, V) as constants.
template <class Body>
void with_kind(Pool kind, bool vector, const Body& body) {
  const auto with_width = [&](auto is_max) {
    if (vector)
      body(is_max, std::integral_constant<int, 4>());
    else
      body(is_max, std::integral_constant<int, 1>());
  };
  if (kind == Pool::max)
    with_width(std::true_type());
  else
    with_width(std::false_type());
}

} // namespace

void pool_training(const Queue& q, const PoolSpec& spec, const float* x, float* y,
                   std::int32_t* index) {
  const PoolSpec s = as_three_axes(spec);
  with_kind(s.kind, s.channels % 4 == 0 && aligned16(x, y, index), [&](auto is_max, auto width) {
    for_images(s, s.out, width(), [&](const Task& t, std::int64_t image) {
      launch("queue a pooling", forward_kernel<width(), is_max()>, blocks_for(q, t.units), q, t,
             x + image * t.in_image, y + image * t.out_image,
             is_max() ? index + image * t.out_image : nullptr);
    });
  });
}

void pool_backward(const Queue& q, const PoolSpec& spec, const float* dy, const std::int32_t* index,
                   float* dx) {
  const PoolSpec s = as_three_axes(spec);
  with_kind(s.kind, s.channels % 4 == 0 && aligned16(dy, index, dx), [&](auto is_max, auto width) {
    for_images(s, s.in, width(), [&](const Task& t, std::int64_t image) {
      launch("queue a pooling's gradient", backward_kernel<width(), is_max()>,
             blocks_for(q, t.units), q, t, dy + image * t.out_image,
             is_max() ? index + image * t.out_image : nullptr, dx + image * t.in_image);
    });
  });
}

} // namespace mlp::kernels::cuda
