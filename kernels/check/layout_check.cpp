// Elements that move (copies by strides, of every width) and parts that are picked by index.
#include "kernels/check/check.hpp"

#include <algorithm>
#include <numeric>

namespace mlp::kernels::check {

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes random_bytes(Draw& draw, std::size_t count) {
  Bytes bytes(count);
  for (std::uint8_t& byte : bytes)
    byte = static_cast<std::uint8_t>(draw.below(256));
  return bytes;
}

// The offset of element i of the walk, and the least and the largest one.
std::int64_t offset_of(const CopySpec& s, const std::int64_t* strides, std::int64_t i) {
  std::int64_t offset = 0;
  for (int axis = s.rank - 1; axis >= 0; --axis) {
    offset += i % s.shape[axis] * strides[axis];
    i /= s.shape[axis];
  }
  return offset;
}
std::pair<std::int64_t, std::int64_t> extent(const CopySpec& s, const std::int64_t* strides) {
  std::int64_t low = 0, high = 0;
  for (int axis = 0; axis < s.rank; ++axis)
    (strides[axis] < 0 ? low : high) += (s.shape[axis] - 1) * strides[axis];
  return {low, high};
}

// `shift`: elements that the buffers begin later, so that wide accesses do not fit.
void run_copy(Device& device, Report& report, const std::string& what, const CopySpec& s,
              std::size_t shift) {
  Draw draw(s.element * 100 + shift);
  const auto count =
      std::accumulate(s.shape, s.shape + s.rank, std::int64_t{1}, std::multiplies<>());
  const auto [low, high] = extent(s, s.in);
  const auto before = static_cast<std::int64_t>(shift);
  const auto at = [&](std::int64_t element) {
    return static_cast<std::size_t>(element) * s.element;
  };
  const Bytes from = random_bytes(draw, at(high - low + 1 + before));
  Bytes want(at(extent(s, s.out).second + 1 + before) + 64, 0xCD);
  const OnDevice<std::uint8_t> d_from(device, from), d_to(device, want);
  for (std::int64_t i = 0; i < count; ++i)
    std::copy_n(from.data() + at(before - low + offset_of(s, s.in, i)), s.element,
                want.data() + at(before + offset_of(s, s.out, i)));
  device.copy({}, s, d_from.get() + at(before - low), d_to.get() + at(before));
  device.synchronize({});
  report.expect("copy of " + std::to_string(s.element) + " bytes, " + what, d_to.read() == want);
}

// The axes of a dense source in another order.
CopySpec transposed(std::initializer_list<std::int64_t> shape, std::initializer_list<int> order) {
  CopySpec s{.rank = static_cast<int>(shape.size())};
  std::int64_t strides[kMaxAxes];
  dense_strides(s.rank, shape.begin(), strides);
  std::transform(order.begin(), order.end(), s.shape,
                 [&](int axis) { return shape.begin()[axis]; });
  std::transform(order.begin(), order.end(), s.in, [&](int axis) { return strides[axis]; });
  dense_strides(s.rank, s.shape, s.out);
  return s;
}

void copies(Device& device, Report& report) {
  CopySpec part{.rank = 2, .shape = {7, 12}, .in = {40, 1}, .out = {16, 1}};
  CopySpec repeated{.rank = 3, .shape = {3, 5, 8}, .in = {0, 8, 1}, .out = {40, 8, 1}};
  CopySpec backwards{.rank = 2, .shape = {9, 10}, .in = {-10, -1}, .out = {10, 1}};
  CopySpec single{.rank = 1, .shape = {33}, .in = {0}, .out = {1}};
  CopySpec apart{.rank = 2, .shape = {5, 6}, .in = {6, 1}, .out = {24, 4}};
  const std::pair<const char*, CopySpec> walks[] = {
      {"dense", {.rank = 1, .shape = {1003}, .in = {1}, .out = {1}}},
      {"a scalar", {.rank = 0}},
      {"a part", part},
      {"repeated", repeated},
      {"backwards", backwards},
      {"one element", single},
      {"apart", apart},
      {"a matrix transposed", transposed({45, 70}, {1, 0})},
      {"a small matrix transposed", transposed({5, 64}, {1, 0})},
      {"heads", transposed({2, 9, 4, 8}, {0, 2, 1, 3})},
      {"keys", transposed({2, 33, 3, 16}, {0, 2, 3, 1})},
      {"channels last", transposed({2, 12, 7, 9}, {0, 2, 3, 1})},
      {"all axes", transposed({3, 10, 4, 11}, {3, 1, 2, 0})},
  };
  for (const std::size_t element : {1, 2, 4, 8})
    for (auto [what, s] : walks)
      for (const std::size_t shift : {0, 1, 4}) {
        s.element = element;
        run_copy(device, report, what, s, shift);
      }
  report.refuses("a copy of three bytes", ErrorKind::invalid,
                 [&] { device.copy({}, {.element = 3}, nullptr, nullptr); });
  report.refuses("a copy of a negative size", ErrorKind::invalid,
                 [&] { device.copy({}, {.rank = 1, .shape = {-1}}, nullptr, nullptr); });
  device.copy({}, {.rank = 2, .shape = {3, 0}}, nullptr, nullptr); // nothing to do
}

template <class Index>
void take(Device& device, Report& report, TakeSpec s, bool wrong) {
  s.index = sizeof(Index) == 8 ? DType::i64 : DType::i32;
  Draw draw(static_cast<std::uint64_t>(s.inner * s.count));
  const Bytes source = random_bytes(draw, static_cast<std::size_t>(s.outer * s.size * s.inner));
  std::vector<Index> indices;
  for (std::int64_t i = 0; i < s.count; ++i)
    indices.push_back(static_cast<Index>(draw.below(static_cast<std::uint32_t>(2 * s.size))) -
                      static_cast<Index>(s.size));
  if (wrong) {
    indices.front() = static_cast<Index>(s.size);
    indices.back() = std::numeric_limits<Index>::min();
  }
  Bytes want(static_cast<std::size_t>(s.outer * s.count * s.inner));
  for (std::int64_t part = 0; part < s.outer * s.count; ++part) {
    const auto index = static_cast<std::int64_t>(indices[static_cast<std::size_t>(part % s.count)]);
    const std::int64_t at = index < 0 ? index + s.size : index;
    if (at >= 0 && at < s.size)
      std::copy_n(source.begin() + (part / s.count * s.size + at) * s.inner, s.inner,
                  want.begin() + part * s.inner);
  }
  const OnDevice d_source(device, source), d_dst(device, Bytes(want.size(), 0xCD));
  const OnDevice d_indices(device, indices);
  const OnDevice fault(device, std::vector<std::int32_t>{0});
  device.take({}, s, d_source.get(), d_indices.get(), d_dst.get(), fault.get());
  device.synchronize({});
  const std::string what = "taking parts of " + std::to_string(s.inner) + " bytes";
  report.expect(what, d_dst.read() == want);
  report.expect(what + ": the fault", fault.read()[0] == (wrong ? 1 : 0));
}

} // namespace

void check_layout(Device& device, Report& report) {
  copies(device, report);
  for (const std::int64_t inner : {1, 2, 12, 24, 48, 3072})
    for (const bool wrong : {false, true}) {
      take<std::int64_t>(device, report, {.size = 50, .count = 37, .inner = inner}, wrong);
      take<std::int32_t>(device, report, {.outer = 3, .size = 7, .count = 5, .inner = inner},
                         wrong);
    }
  take<std::int64_t>(device, report, {.outer = 4, .size = 9, .count = 1, .inner = 64}, false);
  report.refuses("indices that are bytes", ErrorKind::unsupported, [&] {
    std::int32_t fault = 0;
    device.take({}, {.size = 1, .count = 1, .index = DType::u8}, nullptr, nullptr, nullptr, &fault);
  });
  report.refuses("no place for a fault", ErrorKind::invalid, [&] {
    device.take({}, {.size = 1, .count = 1}, nullptr, nullptr, nullptr, nullptr);
  });
}

} // namespace mlp::kernels::check
