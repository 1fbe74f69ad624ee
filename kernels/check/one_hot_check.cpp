// Categories as one-hot rows: every width of element, both types of index, indices that count from
// the end and such as are no category.
#include "kernels/check/check.hpp"

#include <cstring>
#include <limits>

namespace mlp::kernels::check {

namespace {

using Bytes = std::vector<std::uint8_t>;

std::int64_t wanted_place(std::int64_t index, std::int64_t depth) {
  if (index >= depth || index < -depth) return -1;
  return index < 0 ? index + depth : index;
}

// The result begins `shift` bytes behind what is aligned; a byte beside it must stay.
template <class Index>
void run(Device& device, Report& report, OneHotSpec s, std::size_t shift) {
  s.index = sizeof(Index) == 8 ? DType::i64 : DType::i32;
  Draw draw(static_cast<std::uint64_t>(s.outer * s.depth + s.inner));
  s.off = draw.below(1U << 31) * std::uint64_t{0x10001};
  s.on = ~s.off;
  std::vector<Index> indices; // in [-depth - 2, depth + 2)
  for (std::int64_t i = 0; i < s.outer * s.inner; ++i)
    indices.push_back(static_cast<Index>(draw.below(static_cast<std::uint32_t>(2 * s.depth + 4))) -
                      static_cast<Index>(s.depth + 2));
  indices.front() = static_cast<Index>(-s.depth);
  indices.back() = std::numeric_limits<Index>::min();
  if (indices.size() > 2) indices[1] = std::numeric_limits<Index>::max();

  const auto size = static_cast<std::size_t>(s.outer * s.depth * s.inner) * s.element;
  Bytes want(shift + size + 1, 0xCD);
  for (std::int64_t o = 0; o < s.outer; ++o)
    for (std::int64_t d = 0; d < s.depth; ++d)
      for (std::int64_t i = 0; i < s.inner; ++i) {
        const auto index =
            static_cast<std::int64_t>(indices[static_cast<std::size_t>(o * s.inner + i)]);
        const std::uint64_t& value = wanted_place(index, s.depth) == d ? s.on : s.off;
        const auto at = static_cast<std::size_t>((o * s.depth + d) * s.inner + i);
        std::memcpy(want.data() + shift + at * s.element, &value, s.element); // little-endian
      }
  const OnDevice d_indices(device, indices);
  const OnDevice d_dst(device, Bytes(want.size(), 0xCD));
  device.one_hot({}, s, d_indices.get(), d_dst.get() + shift);
  device.synchronize({});
  report.expect("one-hot of " + std::to_string(s.outer) + " x " + std::to_string(s.depth) + " x " +
                    std::to_string(s.inner) + " elements of " + std::to_string(s.element) +
                    " bytes",
                d_dst.read() == want);
}

} // namespace

void check_one_hot(Device& device, Report& report) {
  const OneHotSpec shapes[] = {
      {.outer = 1, .depth = 1, .inner = 1},   {.outer = 300, .depth = 7, .inner = 1},
      {.outer = 64, .depth = 16, .inner = 1}, {.outer = 5, .depth = 1000, .inner = 1},
      {.outer = 4, .depth = 3, .inner = 5},   {.outer = 1, .depth = 9, .inner = 700},
      {.outer = 2, .depth = 4, .inner = 64},
  };
  for (OneHotSpec s : shapes)
    for (const std::size_t element : {1, 2, 4, 8})
      for (const std::size_t shift : {std::size_t{0}, element}) {
        s.element = element;
        run<std::int64_t>(device, report, s, shift);
        run<std::int32_t>(device, report, s, shift);
      }
  device.one_hot({}, {.outer = 3, .depth = 0}, nullptr, nullptr); // nothing to do
  device.one_hot({}, {.outer = 0, .depth = 3}, nullptr, nullptr);
  report.refuses("one-hot of float indices", ErrorKind::unsupported,
                 [&] { device.one_hot({}, {.depth = 1, .index = DType::f32}, nullptr, nullptr); });
  report.refuses("one-hot of three bytes", ErrorKind::invalid,
                 [&] { device.one_hot({}, {.depth = 1, .element = 3}, nullptr, nullptr); });
  report.refuses("one-hot of a negative depth", ErrorKind::invalid,
                 [&] { device.one_hot({}, {.depth = -1}, nullptr, nullptr); });
}

} // namespace mlp::kernels::check
