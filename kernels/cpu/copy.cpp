// Strided copies, a row of the last axis at a time.
#include "kernels/cpu/ops.hpp"

#include <cstring>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 14; // elements that are worth a thread

template <class T>
void copy_rows(const CopySpec& s, const T* from, T* to, std::int64_t begin, std::int64_t end) {
  const int last = s.rank - 1;
  const std::int64_t inner = s.shape[last];
  for (std::int64_t row = begin; row < end; ++row) {
    std::int64_t rest = row;
    const T* x = from;
    T* y = to;
    for (int axis = last - 1; axis >= 0; --axis) {
      x += rest % s.shape[axis] * s.in[axis];
      y += rest % s.shape[axis] * s.out[axis];
      rest /= s.shape[axis];
    }
    if (s.in[last] == 1 && s.out[last] == 1)
      std::memcpy(y, x, static_cast<std::size_t>(inner) * sizeof(T));
    else
      for (std::int64_t i = 0; i < inner; ++i)
        y[i * s.out[last]] = x[i * s.in[last]];
  }
}

template <class T>
void copy_as(ThreadPool& pool, const CopySpec& s, const void* from, void* to) {
  std::int64_t rows = 1;
  for (int axis = 0; axis < s.rank - 1; ++axis)
    rows *= s.shape[axis];
  pool.split(rows, 1, kLeast / s.shape[s.rank - 1] + 1, [&](std::int64_t begin, std::int64_t end) {
    copy_rows(s, static_cast<const T*>(from), static_cast<T*>(to), begin, end);
  });
}

} // namespace

void copy(ThreadPool& pool, const CopySpec& spec, const void* from, void* to) {
  switch (spec.element) {
  case 1:
    return copy_as<std::uint8_t>(pool, spec, from, to);
  case 2:
    return copy_as<std::uint16_t>(pool, spec, from, to);
  case 4:
    return copy_as<std::uint32_t>(pool, spec, from, to);
  default:
    return copy_as<std::uint64_t>(pool, spec, from, to);
  }
}

} // namespace mlp::kernels::cpu
