// Categories as rows of zeros with a one in them, or of any other two values.
#include "kernels/cpu/ops.hpp"

#include <algorithm>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 14; // elements that are worth a thread

// inner is 1: an index a row.
template <class T, class Index>
void fill_rows(const OneHotSpec& s, const Index* indices, T* dst, std::int64_t begin,
               std::int64_t end) {
  std::fill(dst + begin * s.depth, dst + end * s.depth, static_cast<T>(s.off));
  for (std::int64_t row = begin; row < end; ++row) {
    const auto index = static_cast<std::int64_t>(indices[row]);
    const std::int64_t at = index < 0 ? index + s.depth : index;
    if (at >= 0 && at < s.depth) dst[row * s.depth + at] = static_cast<T>(s.on);
  }
}

// Each row has as many indices as it has columns, and is one place of `depth`.
template <class T, class Index>
void compare_rows(const OneHotSpec& s, const Index* indices, T* dst, std::int64_t begin,
                  std::int64_t end) {
  const auto on = static_cast<T>(s.on);
  const auto off = static_cast<T>(s.off);
  for (std::int64_t row = begin; row < end; ++row) {
    const std::int64_t place = row % s.depth;
    const Index* from = indices + row / s.depth * s.inner;
    T* to = dst + row * s.inner;
    for (std::int64_t i = 0; i < s.inner; ++i) {
      const auto index = static_cast<std::int64_t>(from[i]);
      to[i] = index == place || index == place - s.depth ? on : off;
    }
  }
}

template <class T, class Index>
void one_hot_as(ThreadPool& pool, const OneHotSpec& s, const Index* indices, void* dst) {
  auto* to = static_cast<T*>(dst);
  if (s.inner == 1)
    pool.split(s.outer, 1, kLeast / s.depth + 1, [&](std::int64_t begin, std::int64_t end) {
      fill_rows(s, indices, to, begin, end);
    });
  else
    pool.split(
        s.outer * s.depth, 1, kLeast / s.inner + 1,
        [&](std::int64_t begin, std::int64_t end) { compare_rows(s, indices, to, begin, end); });
}

template <class T>
void one_hot_of(ThreadPool& pool, const OneHotSpec& s, const void* indices, void* dst) {
  if (s.index == DType::i64)
    one_hot_as<T>(pool, s, static_cast<const std::int64_t*>(indices), dst);
  else
    one_hot_as<T>(pool, s, static_cast<const std::int32_t*>(indices), dst);
}

} // namespace

void one_hot(ThreadPool& pool, const OneHotSpec& spec, const void* indices, void* dst) {
  switch (spec.element) {
  case 1:
    return one_hot_of<std::uint8_t>(pool, spec, indices, dst);
  case 2:
    return one_hot_of<std::uint16_t>(pool, spec, indices, dst);
  case 4:
    return one_hot_of<std::uint32_t>(pool, spec, indices, dst);
  default:
    return one_hot_of<std::uint64_t>(pool, spec, indices, dst);
  }
}

} // namespace mlp::kernels::cpu
