// Strided copies; the reference is cpu/copy.cpp. Rows that are dense on both sides move in the
// widest units that fit, up to 16 bytes. Where another axis is the dense one of the source (a
// transposition), a block moves tiles through shared memory, so that both sides are read and
// written in rows.
#include "kernels/cuda/launch.cuh"

namespace mlp::kernels::cuda {

namespace {

constexpr int kTile = 32;
constexpr int kTileRows = kBlock / kTile;

struct alignas(16) Unit16 {
  std::uint64_t v[2];
};

// A copy with strides in units of the kernel's T.
struct Walk {
  std::int64_t size = 0; // units, or for tiles their number
  int rank = 0;
  std::int64_t shape[kMaxAxes] = {};
  std::int64_t in[kMaxAxes] = {};
  std::int64_t out[kMaxAxes] = {};
  const void* from = nullptr;
  void* to = nullptr;
};

struct Offsets {
  std::int64_t in = 0, out = 0;
};
// Of the element that is `i` by number over axes [0, rank).
__device__ __forceinline__ Offsets offsets_of(const Walk& w, int rank, std::int64_t i) {
  Offsets at;
  for (int axis = rank - 1; axis >= 0; --axis) {
    const std::int64_t next = quotient(i, w.shape[axis]);
    const std::int64_t index = i - next * w.shape[axis];
    at.in += index * w.in[axis];
    at.out += index * w.out[axis];
    i = next;
  }
  return at;
}

template <class T>
__global__ void __launch_bounds__(kBlock) copy_units(const __grid_constant__ Walk w) {
  const T* from = static_cast<const T*>(w.from);
  T* to = static_cast<T*>(w.to);
  for (std::int64_t i = thread_index(); i < w.size; i += thread_count()) {
    const Offsets at = offsets_of(w, w.rank, i);
    to[at.out] = from[at.in];
  }
}

// The last two axes are a matrix: the last one is dense in the result, the other in the source. A
// block moves one tile of it at a time; the axes before number the matrices.
template <class T>
__global__ void __launch_bounds__(kBlock) copy_tiles(const __grid_constant__ Walk w) {
  __shared__ T tile[kTile][kTile + 1]; // a column more: no two threads meet in a bank
  const T* from = static_cast<const T*>(w.from);
  T* to = static_cast<T*>(w.to);
  const int lane = static_cast<int>(threadIdx.x) % kTile;
  const int first = static_cast<int>(threadIdx.x) / kTile;
  const int r = w.rank - 2;
  const int c = w.rank - 1;
  const std::int64_t down = (w.shape[r] + kTile - 1) / kTile;
  const std::int64_t across = (w.shape[c] + kTile - 1) / kTile;
  for (std::int64_t t = blockIdx.x; t < w.size; t += gridDim.x) {
    const std::int64_t line = quotient(t, across);
    const std::int64_t column = (t - line * across) * kTile;
    const std::int64_t matrix = quotient(line, down);
    const std::int64_t row = (line - matrix * down) * kTile;
    const Offsets at = offsets_of(w, r, matrix);
    for (int k = first; k < kTile; k += kTileRows)
      if (row + lane < w.shape[r] && column + k < w.shape[c])
        tile[k][lane] = from[at.in + (row + lane) * w.in[r] + (column + k) * w.in[c]];
    __syncthreads();
    for (int k = first; k < kTile; k += kTileRows)
      if (row + k < w.shape[r] && column + lane < w.shape[c])
        to[at.out + (row + k) * w.out[r] + (column + lane) * w.out[c]] = tile[lane][k];
    __syncthreads(); // the next tile is written once all have read this one
  }
}

// Rows that are dense on both sides, in units of twice the bytes as long as all of them fit.
std::size_t widen(Walk& w, std::size_t element) {
  const int last = w.rank - 1;
  const auto bits =
      reinterpret_cast<std::uintptr_t>(w.from) | reinterpret_cast<std::uintptr_t>(w.to);
  while (element < 16 && bits % (2 * element) == 0 && w.shape[last] % 2 == 0) {
    for (int axis = 0; axis < last; ++axis)
      if (w.in[axis] % 2 != 0 || w.out[axis] % 2 != 0) return element;
    for (int axis = 0; axis < last; ++axis) {
      w.in[axis] /= 2;
      w.out[axis] /= 2;
    }
    w.shape[last] /= 2;
    w.size /= 2;
    element *= 2;
  }
  return element;
}

// The axis along which the source is dense, where that makes tiles worth it; -1: none.
int tiled_axis(const Walk& w) {
  constexpr std::int64_t kWorth = 8;
  const int last = w.rank - 1;
  if (w.out[last] != 1 || w.in[last] == 1 || w.shape[last] < kWorth) return -1;
  for (int axis = 0; axis < last; ++axis)
    if (w.in[axis] == 1 && w.shape[axis] >= kWorth) return axis;
  return -1;
}

template <class T>
void queue_units(const Queue& q, const Walk& w) {
  launch("queue a copy", copy_units<T>, blocks_for(q, w.size), q, w);
}

// `axis`, along which the source is dense, comes last but one.
template <class T>
void queue_tiles(const Queue& q, const Walk& w, int axis) {
  Walk tiled{.size = 1, .from = w.from, .to = w.to};
  const auto add = [&](int from) {
    tiled.shape[tiled.rank] = w.shape[from];
    tiled.in[tiled.rank] = w.in[from];
    tiled.out[tiled.rank] = w.out[from];
    ++tiled.rank;
    const bool in_tiles = from == axis || from == w.rank - 1;
    tiled.size *= in_tiles ? (w.shape[from] + kTile - 1) / kTile : w.shape[from];
  };
  for (int i = 0; i < w.rank - 1; ++i)
    if (i != axis) add(i);
  add(axis);
  add(w.rank - 1);
  launch("queue a copy", copy_tiles<T>, blocks_for(q, tiled.size * kBlock), q, tiled);
}

template <class T>
void queue_copy(const Queue& q, const Walk& w) {
  const int axis = tiled_axis(w);
  if (axis >= 0)
    queue_tiles<T>(q, w, axis);
  else
    queue_units<T>(q, w);
}

} // namespace

void copy(const Queue& q, const CopySpec& spec, const void* from, void* to) {
  Walk w{.size = 1, .rank = spec.rank, .from = from, .to = to};
  for (int axis = 0; axis < spec.rank; ++axis) {
    w.size *= spec.shape[axis];
    w.shape[axis] = spec.shape[axis];
    w.in[axis] = spec.in[axis];
    w.out[axis] = spec.out[axis];
  }
  std::size_t element = spec.element;
  const int last = w.rank - 1;
  if (w.in[last] == 1 && w.out[last] == 1) element = widen(w, element);
  switch (element) {
  case 1:
    return queue_copy<std::uint8_t>(q, w);
  case 2:
    return queue_copy<std::uint16_t>(q, w);
  case 4:
    return queue_copy<std::uint32_t>(q, w);
  case 8:
    return queue_copy<std::uint64_t>(q, w);
  default:
    return queue_units<Unit16>(q, w);
  }
}

} // namespace mlp::kernels::cuda
