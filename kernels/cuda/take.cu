// Parts of a tensor picked by index along an axis; the reference is cpu/take.cpp. A thread moves
// one unit of a part, as wide as the part and the buffers allow.
#include "kernels/cuda/launch.cuh"

namespace mlp::kernels::cuda {

namespace {

struct alignas(16) Unit16 {
  std::uint64_t v[2];
};

// inner: in units of T.
template <class T, class Index>
__global__ void __launch_bounds__(kBlock)
    take_kernel(std::int64_t outer, std::int64_t size, std::int64_t count, std::int64_t inner,
                const T* __restrict__ source, const Index* __restrict__ indices,
                T* __restrict__ dst, std::int32_t* __restrict__ fault) {
  const std::int64_t units = outer * count * inner;
  for (std::int64_t i = thread_index(); i < units; i += thread_count()) {
    const std::int64_t part = quotient(i, inner);
    const std::int64_t o = quotient(part, count);
    const auto index = static_cast<std::int64_t>(indices[part - o * count]);
    const std::int64_t at = index < 0 ? index + size : index;
    if (at >= 0 && at < size) {
      dst[i] = source[(o * size + at) * inner + (i - part * inner)];
    } else {
      dst[i] = T{};
      atomicExch(fault, 1);
    }
  }
}

template <class T>
void take_as(const Queue& q, const TakeSpec& s, const void* source, const void* indices, void* dst,
             std::int32_t* fault) {
  const auto inner = s.inner / static_cast<std::int64_t>(sizeof(T));
  const unsigned blocks = blocks_for(q, s.outer * s.count * inner);
  const auto* from = static_cast<const T*>(source);
  if (s.index == DType::i64)
    launch("queue a choice by index", take_kernel<T, std::int64_t>, blocks, q, s.outer, s.size,
           s.count, inner, from, static_cast<const std::int64_t*>(indices), static_cast<T*>(dst),
           fault);
  else
    launch("queue a choice by index", take_kernel<T, std::int32_t>, blocks, q, s.outer, s.size,
           s.count, inner, from, static_cast<const std::int32_t*>(indices), static_cast<T*>(dst),
           fault);
}

} // namespace

void take(const Queue& q, const TakeSpec& spec, const void* source, const void* indices, void* dst,
          std::int32_t* fault) {
  const auto bits = reinterpret_cast<std::uintptr_t>(source) |
                    reinterpret_cast<std::uintptr_t>(dst) | static_cast<std::uintptr_t>(spec.inner);
  if (bits % 16 == 0) return take_as<Unit16>(q, spec, source, indices, dst, fault);
  if (bits % 8 == 0) return take_as<std::uint64_t>(q, spec, source, indices, dst, fault);
  if (bits % 4 == 0) return take_as<std::uint32_t>(q, spec, source, indices, dst, fault);
  if (bits % 2 == 0) return take_as<std::uint16_t>(q, spec, source, indices, dst, fault);
  take_as<std::uint8_t>(q, spec, source, indices, dst, fault);
}

} // namespace mlp::kernels::cuda
