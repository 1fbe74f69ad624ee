// Parts of a tensor picked by index along an axis.
#include "kernels/cpu/ops.hpp"

#include <atomic>
#include <cstring>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeast = 1 << 16; // bytes that are worth a thread

// False if an index is out of range.
template <class Index>
bool take_parts(const TakeSpec& s, const char* source, const Index* indices, char* dst,
                std::int64_t begin, std::int64_t end) {
  bool good = true;
  for (std::int64_t part = begin; part < end; ++part) {
    const auto index = static_cast<std::int64_t>(indices[part % s.count]);
    const std::int64_t at = index < 0 ? index + s.size : index;
    char* to = dst + part * s.inner;
    if (at >= 0 && at < s.size) {
      std::memcpy(to, source + (part / s.count * s.size + at) * s.inner,
                  static_cast<std::size_t>(s.inner));
    } else {
      std::memset(to, 0, static_cast<std::size_t>(s.inner));
      good = false;
    }
  }
  return good;
}

} // namespace

void take(ThreadPool& pool, const TakeSpec& spec, const void* source, const void* indices,
          void* dst, std::int32_t* fault) {
  const auto* from = static_cast<const char*>(source);
  auto* to = static_cast<char*>(dst);
  std::atomic<bool> good = true;
  pool.split(
      spec.outer * spec.count, 1, kLeast / spec.inner + 1,
      [&](std::int64_t begin, std::int64_t end) {
        const bool inside =
            spec.index == DType::i64
                ? take_parts(spec, from, static_cast<const std::int64_t*>(indices), to, begin, end)
                : take_parts(spec, from, static_cast<const std::int32_t*>(indices), to, begin, end);
        if (!inside) good = false;
      });
  if (!good) *fault = 1;
}

} // namespace mlp::kernels::cpu
