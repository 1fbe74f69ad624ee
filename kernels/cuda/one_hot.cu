// Categories as rows of zeros with a one in them, or of any other two values; the reference is
// cpu/one_hot.cpp. A thread writes 16 bytes of the result: that is nearly all that moves, and the
// few indices come from the cache.
#include "kernels/cuda/launch.cuh"

namespace mlp::kernels::cuda {

namespace {

template <class T, int N>
struct alignas(N * sizeof(T)) Pack {
  T v[N];
};

// N: elements that a thread writes at once.
template <class T, class Index, int N>
__global__ void __launch_bounds__(kBlock)
    one_hot_kernel(std::int64_t packs, std::int64_t depth, std::int64_t inner, T off, T on,
                   const Index* __restrict__ indices, T* __restrict__ dst) {
  for (std::int64_t i = thread_index(); i < packs; i += thread_count()) {
    const std::int64_t row = quotient(i * N, inner);
    std::int64_t column = i * N - row * inner;
    std::int64_t outer = quotient(row, depth);
    std::int64_t place = row - outer * depth;
    Pack<T, N> pack;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const auto index = static_cast<std::int64_t>(indices[outer * inner + column]);
      pack.v[j] = index == place || index == place - depth ? on : off;
      if (j + 1 == N || ++column < inner) continue;
      column = 0;
      if (++place < depth) continue;
      place = 0;
      ++outer;
    }
    *reinterpret_cast<Pack<T, N>*>(dst + i * N) = pack;
  }
}

template <class T, class Index, int N>
void queue_packs(const Queue& q, const OneHotSpec& s, const Index* indices, T* dst) {
  const std::int64_t packs = s.outer * s.depth * s.inner / N;
  launch("queue a one-hot", one_hot_kernel<T, Index, N>, blocks_for(q, packs), q, packs, s.depth,
         s.inner, static_cast<T>(s.off), static_cast<T>(s.on), indices, dst);
}

template <class T, class Index>
void one_hot_as(const Queue& q, const OneHotSpec& s, const Index* indices, T* dst) {
  constexpr int kMost = 16 / static_cast<int>(sizeof(T));
  if (aligned16(dst) && s.outer * s.depth * s.inner % kMost == 0)
    queue_packs<T, Index, kMost>(q, s, indices, dst);
  else
    queue_packs<T, Index, 1>(q, s, indices, dst);
}

template <class T>
void one_hot_of(const Queue& q, const OneHotSpec& s, const void* indices, void* dst) {
  if (s.index == DType::i64)
    one_hot_as(q, s, static_cast<const std::int64_t*>(indices), static_cast<T*>(dst));
  else
    one_hot_as(q, s, static_cast<const std::int32_t*>(indices), static_cast<T*>(dst));
}

} // namespace

void one_hot(const Queue& q, const OneHotSpec& spec, const void* indices, void* dst) {
  switch (spec.element) {
  case 1:
    return one_hot_of<std::uint8_t>(q, spec, indices, dst);
  case 2:
    return one_hot_of<std::uint16_t>(q, spec, indices, dst);
  case 4:
    return one_hot_of<std::uint32_t>(q, spec, indices, dst);
  default:
    return one_hot_of<std::uint64_t>(q, spec, indices, dst);
  }
}

} // namespace mlp::kernels::cuda
