// Elementwise expressions whose operands are not float32, and those of integers: conversions on the
// way from and to memory over the whole range of a type, and the steps that integers have.
#include "kernels/check/check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace mlp::kernels::check {

namespace {

using From = ElementOperand::From;
using Integers = std::vector<std::int64_t>;
using Bytes = std::vector<std::uint8_t>;

constexpr std::int64_t kLow = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kHigh = std::numeric_limits<std::int64_t>::max();

ElementOperand input(int index) {
  return {.from = From::input, .index = static_cast<std::uint8_t>(index)};
}

// Numbers as a type's elements, and back.
template <class T>
Bytes bytes_of(const Integers& numbers) {
  Bytes bytes(numbers.size() * sizeof(T));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto element = static_cast<T>(numbers[i]);
    std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
  }
  return bytes;
}
Bytes bytes_of(DType type, const Integers& numbers) {
  switch (type) {
  case DType::u8:
  case DType::boolean:
    return bytes_of<std::uint8_t>(numbers);
  case DType::i32:
    return bytes_of<std::int32_t>(numbers);
  case DType::i64:
    return bytes_of<std::int64_t>(numbers);
  default:
    return bytes_of<float>(numbers);
  }
}
template <class T>
Integers integers_of(const Bytes& bytes) {
  Integers numbers(bytes.size() / sizeof(T));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    T element;
    std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
    numbers[i] = static_cast<std::int64_t>(element);
  }
  return numbers;
}
Integers integers_of(DType type, const Bytes& bytes) {
  switch (type) {
  case DType::u8:
  case DType::boolean:
    return integers_of<std::uint8_t>(bytes);
  case DType::i32:
    return integers_of<std::int32_t>(bytes);
  default:
    return integers_of<std::int64_t>(bytes);
  }
}

// An integer as an element of the type holds it.
std::int64_t wrapped(DType type, std::int64_t value) {
  switch (type) {
  case DType::boolean:
    return value != 0 ? 1 : 0;
  case DType::u8:
    return static_cast<std::uint8_t>(value);
  case DType::i32:
    return static_cast<std::int32_t>(value);
  default:
    return value;
  }
}
// A real as an integer type's element.
std::int64_t truncated(DType type, double value) {
  const auto between = [&](double low, double high) {
    return static_cast<std::int64_t>(std::clamp(std::trunc(value), low, high));
  };
  if (type == DType::boolean) return value != 0.0 ? 1 : 0; // NaN is not 0
  if (std::isnan(value)) return 0;
  if (type == DType::u8) return between(0.0, 255.0);
  if (type == DType::i32) return between(-2147483648.0, 2147483647.0);
  if (value >= 0x1p63) return kHigh;
  return value <= -0x1p63 ? kLow : static_cast<std::int64_t>(value);
}

Integers random_integers(Draw& draw, DType type, std::int64_t count) {
  Integers numbers{0, 1};
  if (type != DType::boolean) numbers.insert(numbers.end(), {2, 255, 127, 128});
  if (type == DType::i32 || type == DType::i64)
    numbers.insert(numbers.end(), {-1, -7, 2147483647, -2147483648LL, 16777217, 33554435});
  if (type == DType::i64)
    numbers.insert(numbers.end(), {kLow, kHigh, (1LL << 53) + 1, -(1LL << 40)});
  while (static_cast<std::int64_t>(numbers.size()) < count) {
    const auto high = static_cast<std::uint64_t>(draw.below(0xFFFFFFFFU)) << 32;
    numbers.push_back(wrapped(type, static_cast<std::int64_t>(high | draw.below(0xFFFFFFFFU))));
  }
  numbers.resize(static_cast<std::size_t>(count));
  return numbers;
}

ElementwiseSpec dense(std::int64_t count, DType from, DType to, bool integers) {
  ElementwiseSpec s{.rank = 1, .shape = {count}, .out = {1}, .inputs = 1};
  s.input[0][0] = 1;
  s.type[0] = from;
  s.result = to;
  s.integers = integers;
  s.count = 1;
  s.step[0].b = input(0);
  return s;
}

Bytes run(Device& device, const ElementwiseSpec& s, const std::vector<Bytes>& inputs,
          std::int64_t elements, std::size_t shift = 0) {
  std::vector<OnDevice<std::uint8_t>> on_device;
  std::vector<const void*> addresses;
  for (const Bytes& bytes : inputs) {
    Bytes shifted(shift, 0xAA);
    shifted.insert(shifted.end(), bytes.begin(), bytes.end());
    on_device.emplace_back(device, shifted);
  }
  for (const auto& buffer : on_device)
    addresses.push_back(buffer.get() + shift);
  const std::size_t size = static_cast<std::size_t>(elements) * size_of(s.result);
  const OnDevice<std::uint8_t> y(device, Bytes(size + 32, 0xCD));
  device.elementwise({}, s, addresses.data(), y.get());
  device.synchronize({});
  Bytes out = y.read();
  const bool kept = std::all_of(out.begin() + static_cast<std::ptrdiff_t>(size), out.end(),
                                [](std::uint8_t byte) { return byte == 0xCD; });
  out.resize(kept ? size : 0); // a size that is not wanted fails the check
  return out;
}

void conversions(Device& device, Report& report) {
  Draw draw(31);
  const DType integers[] = {DType::boolean, DType::u8, DType::i32, DType::i64};
  for (const DType from : integers)
    for (const std::int64_t count : {1, 63, 1000})
      for (const std::size_t shift : {std::size_t{0}, size_of(from)}) {
        const std::string what = std::string(name_of(from)) + " as ";
        const Integers numbers = random_integers(draw, from, count);
        const Bytes bytes = bytes_of(from, numbers);
        for (const DType to : integers) {
          Integers want;
          for (const std::int64_t number : numbers)
            want.push_back(wrapped(to, number));
          const auto s = dense(count, from, to, true);
          report.expect(what + name_of(to),
                        integers_of(to, run(device, s, {bytes}, count, shift)) == want);
        }
        for (const bool exact : {false, true}) {
          const Bytes got =
              run(device, dense(count, from, DType::f32, exact), {bytes}, count, shift);
          report.expect(what + "f32", got == bytes_of(DType::f32, numbers));
        }
      }
  Floats reals = draw.floats(400, -300.0F, 300.0F);
  reals.insert(reals.end(),
               {0.0F, -0.0F, 0.4F, 0.99F, -0.99F, 1e10F, -1e10F, 3e38F, -3e38F, 0x1p31F, 0x1p63F,
                -0x1p63F, 2147483520.0F, 255.9F, 1e-40F, INFINITY, -INFINITY, NAN});
  Bytes bytes(reals.size() * sizeof(float));
  std::memcpy(bytes.data(), reals.data(), bytes.size());
  const auto count = static_cast<std::int64_t>(reals.size());
  for (const DType to : integers) {
    Integers want;
    for (const float real : reals)
      want.push_back(truncated(to, static_cast<double>(real)));
    const auto s = dense(count, DType::f32, to, false);
    report.expect(std::string("f32 as ") + name_of(to),
                  integers_of(to, run(device, s, {bytes}, count)) == want);
  }
}

std::int64_t reference(ElementOp op, std::int64_t a, std::int64_t b) {
  const auto bits = [](std::int64_t x) { return static_cast<std::uint64_t>(x); };
  const auto number = [](std::uint64_t x) { return static_cast<std::int64_t>(x); };
  switch (op) {
  case ElementOp::add:
    return number(bits(a) + bits(b));
  case ElementOp::subtract:
    return number(bits(a) - bits(b));
  case ElementOp::multiply:
    return number(bits(a) * bits(b));
  case ElementOp::minimum:
    return std::min(a, b);
  case ElementOp::maximum:
    return std::max(a, b);
  case ElementOp::less:
    return a < b ? 1 : 0;
  case ElementOp::less_equal:
    return a <= b ? 1 : 0;
  case ElementOp::greater:
    return a > b ? 1 : 0;
  case ElementOp::greater_equal:
    return a >= b ? 1 : 0;
  case ElementOp::equal:
    return a == b ? 1 : 0;
  case ElementOp::negate:
    return number(0 - bits(a));
  case ElementOp::absolute:
    return a < 0 ? number(0 - bits(a)) : a;
  default: // sign
    return a > 0 ? 1 : a < 0 ? -1 : 0;
  }
}

void steps(Device& device, Report& report) {
  Draw draw(32);
  constexpr std::int64_t kCount = 301;
  const Integers a = random_integers(draw, DType::i64, kCount);
  Integers b = random_integers(draw, DType::i32, kCount);
  for (std::size_t i = 0; i < b.size(); i += 3)
    b[i] = wrapped(DType::i32, a[i]);
  const std::vector<Bytes> inputs{bytes_of(DType::i64, a), bytes_of(DType::i32, b)};
  for (const ElementOp op :
       {ElementOp::add, ElementOp::subtract, ElementOp::multiply, ElementOp::minimum,
        ElementOp::maximum, ElementOp::less, ElementOp::less_equal, ElementOp::greater,
        ElementOp::greater_equal, ElementOp::equal, ElementOp::negate, ElementOp::absolute,
        ElementOp::sign}) {
    auto s = dense(kCount, DType::i64, DType::i64, true);
    s.inputs = 2;
    s.input[1][0] = 1;
    s.type[1] = DType::i32;
    s.step[s.count++] = {.op = op, .b = input(1)};
    Integers want;
    for (std::size_t i = 0; i < a.size(); ++i)
      want.push_back(reference(op, a[i], b[i]));
    report.expect("step " + std::to_string(static_cast<int>(op)) + " of integers",
                  integers_of(DType::i64, run(device, s, inputs, kCount)) == want);
  }
}

// y[r, c] = mask[c] ? x[r, c] : 7 with the mask a byte an element, stored transposed; and the same
// of integers, through a register.
void masks(Device& device, Report& report) {
  Draw draw(33);
  constexpr std::int64_t kRows = 13, kCols = 36;
  Integers mask, x, want(kRows * kCols);
  for (std::int64_t c = 0; c < kCols; ++c)
    mask.push_back(draw.below(2));
  for (std::int64_t i = 0; i < kRows * kCols; ++i)
    x.push_back(static_cast<std::int64_t>(draw.below(1 << 20)) - (1 << 19));
  for (std::int64_t r = 0; r < kRows; ++r)
    for (std::int64_t c = 0; c < kCols; ++c)
      want[static_cast<std::size_t>(c * kRows + r)] =
          mask[static_cast<std::size_t>(c)] != 0 ? x[static_cast<std::size_t>(r * kCols + c)] : 7;
  for (const DType type : {DType::f32, DType::i32, DType::i64}) {
    ElementwiseSpec s{.rank = 2, .shape = {kRows, kCols}, .out = {1, kRows}, .inputs = 2};
    s.input[0][1] = 1;
    s.type[0] = DType::boolean;
    dense_strides(2, s.shape, s.input[1]);
    s.type[1] = s.result = type;
    s.integers = type != DType::f32;
    const ElementOperand saved{.from = From::temporary, .index = 2};
    for (const ElementStep& step :
         {ElementStep{ElementOp::load, input(1)}, ElementStep{ElementOp::store, saved},
          ElementStep{ElementOp::load, input(0)},
          ElementStep{ElementOp::select, saved, {.number = 7.0F}}})
      s.step[s.count++] = step;
    const Bytes got =
        run(device, s, {bytes_of(DType::boolean, mask), bytes_of(type, x)}, kRows * kCols);
    report.expect(std::string("a mask over ") + name_of(type), got == bytes_of(type, want));
  }
}

void refusals(Device& device, Report& report) {
  const auto refused = [&](const char* what, const ElementwiseSpec& s) {
    report.refuses(what, ErrorKind::unsupported,
                   [&] { device.elementwise({}, s, nullptr, nullptr); });
  };
  refused("a bfloat16 input", dense(3, DType::bf16, DType::f32, false));
  refused("a bfloat16 result", dense(3, DType::f32, DType::bf16, false));
  refused("a type that is none", dense(3, static_cast<DType>(77), DType::f32, false));
  refused("floats among integers", dense(3, DType::f32, DType::i64, true));
  auto s = dense(3, DType::i64, DType::i64, true);
  s.step[s.count++].op = ElementOp::exponential;
  refused("an exponential of integers", s);
}

} // namespace

void check_typed(Device& device, Report& report) {
  conversions(device, report);
  steps(device, report);
  masks(device, report);
  refusals(device, report);
}

} // namespace mlp::kernels::check
