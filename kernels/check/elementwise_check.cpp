// Elementwise expressions: every step by itself over the whole range, then random programs over
// random shapes with operands that are dense, broadcast, permuted or padded, in float64.
#include "kernels/check/check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace mlp::kernels::check {

namespace {

using From = ElementOperand::From;

double reference_step(ElementOp op, double a, double b, double c) {
  switch (op) {
  case ElementOp::load:
    return b;
  case ElementOp::store:
    return a;
  case ElementOp::add:
    return a + b;
  case ElementOp::subtract:
    return a - b;
  case ElementOp::multiply:
    return a * b;
  case ElementOp::divide:
    return a / b;
  case ElementOp::minimum:
    return std::isnan(a) || std::isnan(b) ? std::nan("") : std::min(a, b);
  case ElementOp::maximum:
    return std::isnan(a) || std::isnan(b) ? std::nan("") : std::max(a, b);
  case ElementOp::power:
    return std::pow(a, b);
  case ElementOp::prelu:
    return a < 0.0 ? a * b : a;
  case ElementOp::elu:
    return a < 0.0 ? b * std::expm1(a) : a;
  case ElementOp::less:
    return a < b ? 1.0 : 0.0;
  case ElementOp::less_equal:
    return a <= b ? 1.0 : 0.0;
  case ElementOp::greater:
    return a > b ? 1.0 : 0.0;
  case ElementOp::greater_equal:
    return a >= b ? 1.0 : 0.0;
  case ElementOp::equal:
    return a == b ? 1.0 : 0.0;
  case ElementOp::select:
    return a != 0.0 ? b : c;
  case ElementOp::negate:
    return -a;
  case ElementOp::absolute:
    return std::fabs(a);
  case ElementOp::sign:
    return a > 0.0 ? 1.0 : (a < 0.0 ? -1.0 : a);
  case ElementOp::reciprocal:
    return 1.0 / a;
  case ElementOp::square_root:
    return std::sqrt(a);
  case ElementOp::exponential:
    return std::exp(a);
  case ElementOp::logarithm:
    return std::log(a);
  case ElementOp::error_function:
    return std::erf(a);
  case ElementOp::floor:
    return std::floor(a);
  case ElementOp::ceil:
    return std::ceil(a);
  case ElementOp::round:
    return std::nearbyint(a);
  case ElementOp::relu:
    return reference_activation(Activation::relu, a);
  case ElementOp::gelu:
    return reference_activation(Activation::gelu, a);
  case ElementOp::tanh:
    return reference_activation(Activation::tanh, a);
  case ElementOp::sigmoid:
    return reference_activation(Activation::sigmoid, a);
  case ElementOp::softplus:
    return a > 0.0 ? a + std::log1p(std::exp(-a)) : std::log1p(std::exp(a));
  }
  return 0.0;
}

ElementOperand number(float value) {
  return {.number = value};
}
ElementOperand input(int index) {
  return {.from = From::input, .index = static_cast<std::uint8_t>(index)};
}
ElementOperand temporary(int index) {
  return {.from = From::temporary, .index = static_cast<std::uint8_t>(index)};
}

std::int64_t size_of_shape(const ElementwiseSpec& s) {
  return std::accumulate(s.shape, s.shape + s.rank, std::int64_t{1}, std::multiplies<>());
}
std::int64_t offset_of(const ElementwiseSpec& s, const std::int64_t* strides, std::int64_t i) {
  std::int64_t offset = 0;
  for (int axis = s.rank - 1; axis >= 0; --axis) {
    offset += i % s.shape[axis] * strides[axis];
    i /= s.shape[axis];
  }
  return offset;
}
// The elements that an operand needs: one more than the largest offset.
std::int64_t extent(const ElementwiseSpec& s, const std::int64_t* strides) {
  std::int64_t last = 0;
  for (int axis = 0; axis < s.rank; ++axis)
    last += (s.shape[axis] - 1) * strides[axis];
  return last + 1;
}

double reference_element(const ElementwiseSpec& s, const std::vector<Floats>& inputs,
                         std::int64_t i) {
  double a = 0.0;
  std::array<double, kTemporaries> saved{};
  const auto value = [&](const ElementOperand& operand) {
    if (operand.from == From::number) return static_cast<double>(operand.number);
    if (operand.from == From::temporary) return saved[operand.index];
    const auto at = static_cast<std::size_t>(offset_of(s, s.input[operand.index], i));
    return static_cast<double>(inputs[operand.index][at]);
  };
  for (int step = 0; step < s.count; ++step) {
    const ElementStep& now = s.step[step];
    if (now.op == ElementOp::store)
      saved[now.b.index] = a;
    else
      a = reference_step(now.op, a, value(now.b), now.op == ElementOp::select ? value(now.c) : 0.0);
  }
  return a;
}

void compare(Device& device, Report& report, const std::string& what, const ElementwiseSpec& s,
             const std::vector<Floats>& inputs, double relative, double absolute) {
  std::vector<OnDevice<float>> held;
  held.reserve(inputs.size());
  std::vector<const void*> addresses;
  for (const Floats& values : inputs)
    addresses.push_back(held.emplace_back(device, values).get());
  const std::int64_t cells = extent(s, s.out);
  Doubles want(static_cast<std::size_t>(cells), std::nan("")); // cells between rows stay poisoned
  for (std::int64_t i = 0; i < size_of_shape(s); ++i)
    want[static_cast<std::size_t>(offset_of(s, s.out, i))] = reference_element(s, inputs, i);
  const auto y = poisoned(device, cells);
  device.elementwise({}, s, addresses.data(), y.get());
  device.synchronize({});
  report.close(what, y.read(), want, relative, absolute);
}

void check_steps(Device& device, Report& report) {
  for (auto op = ElementOp::load; op <= ElementOp::softplus;
       op = static_cast<ElementOp>(static_cast<int>(op) + 1)) {
    if (op == ElementOp::store) continue;
    constexpr std::int64_t kSize = 1003;
    Draw draw(static_cast<std::uint64_t>(op));
    const bool positive = op == ElementOp::square_root || op == ElementOp::logarithm ||
                          op == ElementOp::power || op == ElementOp::reciprocal ||
                          op == ElementOp::divide;
    const float reach = op == ElementOp::power ? 3.0F : 12.0F;
    std::vector<Floats> inputs;
    for (int k = 0; k < 3; ++k)
      inputs.push_back(draw.floats(kSize, positive ? 0.1F : -reach, reach));
    for (std::size_t i = 0; i < kSize; i += 5)
      inputs[1][i] = inputs[0][i]; // for the comparisons
    ElementwiseSpec s{.rank = 1, .shape = {kSize}, .out = {1}, .inputs = 3, .count = 2};
    s.input[0][0] = s.input[1][0] = s.input[2][0] = 1;
    s.step[0] = {.op = ElementOp::load, .b = input(0)};
    s.step[1] = {.op = op, .b = input(1), .c = input(2)};
    if (op == ElementOp::select) { // of a condition that is sometimes 0
      s.count = 3;
      s.step[1] = {.op = ElementOp::greater, .b = number(0.5F)};
      s.step[2] = {.op = op, .b = input(1), .c = input(2)};
    }
    compare(device, report, "elementwise step " + std::to_string(static_cast<int>(op)), s, inputs,
            op == ElementOp::power ? 2e-5 : 3e-6, 6e-7);
  }
  // What is no number stays none, and the least of a NaN is one.
  const float nan = __builtin_nanf("");
  for (const ElementOp op : {ElementOp::minimum, ElementOp::maximum, ElementOp::relu,
                             ElementOp::sign, ElementOp::prelu}) {
    ElementwiseSpec s{.rank = 1, .shape = {3}, .out = {1}, .inputs = 2, .count = 2};
    s.input[0][0] = s.input[1][0] = 1;
    s.step[0] = {.op = ElementOp::load, .b = input(0)};
    s.step[1] = {.op = op, .b = input(1)};
    compare(device, report, "elementwise NaN", s, {{nan, 1.0F, -2.0F}, {1.0F, 2.0F, -3.0F}}, 0.0,
            0.0);
  }
}

// Strides over a shape, as operands have them.
void lay_out(Draw& draw, const ElementwiseSpec& s, std::int64_t* strides) {
  switch (draw.below(6)) {
  case 0:
    return dense_strides(s.rank, s.shape, strides);
  case 1: // one element for all
    std::fill_n(strides, s.rank, 0);
    return;
  case 2: { // permuted
    std::array<int, kMaxAxes> order{};
    std::iota(order.begin(), order.begin() + s.rank, 0);
    for (int axis = s.rank - 1; axis > 0; --axis)
      std::swap(order[static_cast<std::size_t>(axis)],
                order[draw.below(static_cast<std::uint32_t>(axis + 1))]);
    std::int64_t stride = 1;
    for (int at = s.rank - 1; at >= 0; --at) {
      const int axis = order[static_cast<std::size_t>(at)];
      strides[axis] = stride;
      stride *= s.shape[axis];
    }
    return;
  }
  case 3: { // rows with something between them
    std::int64_t stride = 1;
    for (int axis = s.rank - 1; axis >= 0; --axis) {
      strides[axis] = stride;
      stride = stride * s.shape[axis] + (axis == s.rank - 1 ? 4 : 0);
    }
    return;
  }
  default: { // broadcast along some axes
    std::int64_t stride = 1;
    for (int axis = s.rank - 1; axis >= 0; --axis) {
      const bool repeats = draw.below(2) == 0;
      strides[axis] = repeats ? 0 : stride;
      if (!repeats) stride *= s.shape[axis];
    }
  }
  }
}

ElementOperand draw_operand(Draw& draw, const ElementwiseSpec& s, int stored) {
  const std::uint32_t kind = draw.below(stored > 0 ? 4 : 3);
  if (kind == 3) return temporary(static_cast<int>(draw.below(static_cast<std::uint32_t>(stored))));
  if (kind == 0) return number(static_cast<float>(draw.below(9)) / 4.0F - 1.0F);
  return input(static_cast<int>(draw.below(static_cast<std::uint32_t>(s.inputs))));
}

// Continuous steps of slopes near 1, so that rounding stays small; comparisons are of inputs as
// they are, and so have the same answer everywhere.
void draw_program(Draw& draw, ElementwiseSpec& s) {
  constexpr ElementOp kSmooth[] = {ElementOp::add,     ElementOp::subtract, ElementOp::multiply,
                                   ElementOp::minimum, ElementOp::prelu,    ElementOp::maximum,
                                   ElementOp::relu,    ElementOp::tanh,     ElementOp::gelu,
                                   ElementOp::sigmoid, ElementOp::absolute, ElementOp::negate};
  int stored = 0;
  const auto push = [&](ElementOp op, ElementOperand b = {}, ElementOperand c = {}) {
    s.step[s.count++] = {op, b, c};
  };
  push(ElementOp::load, draw_operand(draw, s, 0));
  const int length = 2 + static_cast<int>(draw.below(9));
  for (int i = 0; i < length; ++i) {
    const std::uint32_t kind = draw.below(10);
    if (kind == 0 && stored < kTemporaries) {
      push(ElementOp::store, temporary(stored++));
    } else if (kind == 1) {
      push(ElementOp::load, draw_operand(draw, s, 0));
      push(draw.below(2) == 0 ? ElementOp::less : ElementOp::greater_equal,
           draw_operand(draw, s, 0));
      push(ElementOp::select, draw_operand(draw, s, stored), draw_operand(draw, s, stored));
    } else {
      push(kSmooth[draw.below(std::size(kSmooth))], draw_operand(draw, s, stored));
    }
  }
}

void check_programs(Device& device, Report& report) {
  constexpr int kPrograms = 150;
  for (int program = 0; program < kPrograms; ++program) {
    Draw draw(1000 + static_cast<std::uint64_t>(program));
    ElementwiseSpec s;
    s.rank = 1 + static_cast<int>(draw.below(5));
    constexpr std::int64_t kSizes[] = {1, 2, 3, 4, 5, 8, 12};
    for (int axis = 0; axis < s.rank; ++axis)
      s.shape[axis] = kSizes[draw.below(std::size(kSizes))];
    if (s.rank == 1) s.shape[0] = 1 + draw.below(5000);
    s.inputs = 1 + static_cast<int>(draw.below(kMaxInputs));
    for (int k = 0; k < s.inputs; ++k)
      lay_out(draw, s, s.input[k]);
    dense_strides(s.rank, s.shape, s.out);
    if (draw.below(4) == 0 && s.rank > 1) { // into a part of a larger tensor
      const std::int64_t gap = draw.below(2) == 0 ? 4 : 3;
      for (int axis = 0; axis < s.rank - 1; ++axis)
        s.out[axis] = s.out[axis] / s.shape[s.rank - 1] * (s.shape[s.rank - 1] + gap);
    }
    draw_program(draw, s);
    std::vector<Floats> inputs;
    for (int k = 0; k < s.inputs; ++k)
      inputs.push_back(draw.floats(extent(s, s.input[k])));
    compare(device, report, "elementwise program " + std::to_string(program), s, inputs, 1e-4,
            2e-5);
  }
}

// Addresses that are not aligned, a walk backwards, a result in the place of an input.
void check_places(Device& device, Report& report) {
  Draw draw(5);
  const Floats x = draw.floats(4003);
  const OnDevice on_device(device, x);
  ElementwiseSpec s{.rank = 1, .shape = {4001}, .out = {1}, .inputs = 1, .count = 2};
  s.input[0][0] = 1;
  s.step[0] = {.op = ElementOp::load, .b = input(0)};
  s.step[1] = {.op = ElementOp::multiply, .b = number(3.0F)};
  const void* from = on_device.get() + 1;
  auto y = poisoned(device, 4003);
  device.elementwise({}, s, &from, y.get() + 2);
  s.input[0][0] = -1;
  const void* last = on_device.get() + 4000;
  const auto backwards = poisoned(device, 4001);
  device.elementwise({}, s, &last, backwards.get());
  s.input[0][0] = 1;
  const void* in_place = on_device.get();
  device.elementwise({}, s, &in_place, on_device.get());
  device.synchronize({});
  Doubles forward(4003, std::nan(""));
  Doubles reverse;
  Doubles same;
  for (std::size_t i = 0; i < 4001; ++i) {
    forward[i + 2] = 3.0 * static_cast<double>(x[i + 1]);
    reverse.push_back(3.0 * static_cast<double>(x[4000 - i]));
  }
  for (std::size_t i = 0; i < 4003; ++i)
    same.push_back((i < 4001 ? 3.0 : 1.0) * static_cast<double>(x[i]));
  report.close("elementwise without alignment", y.read(), forward, 1e-6, 0.0);
  report.close("elementwise backwards", backwards.read(), reverse, 1e-6, 0.0);
  report.close("elementwise in place", on_device.read(), same, 1e-6, 0.0);
}

void check_refusals(Device& device, Report& report) {
  const auto refuse = [&](const std::string& what, const ElementwiseSpec& s) {
    report.refuses("an expression " + what, ErrorKind::invalid,
                   [&] { device.elementwise({}, s, nullptr, nullptr); });
  };
  const ElementwiseSpec good{.rank = 1, .shape = {0}, .out = {1}, .inputs = 1, .count = 1};
  device.elementwise({}, good, nullptr, nullptr); // nothing to do
  ElementwiseSpec s = good;
  s.count = 0;
  refuse("without steps", s);
  s = good;
  s.shape[0] = -1;
  refuse("of a negative size", s);
  s = good;
  s.step[0].op = ElementOp::relu;
  refuse("that does not begin with a load", s);
  s = good;
  s.step[0].b = input(1);
  refuse("of an input that is not there", s);
  s.step[0].b = temporary(0);
  refuse("of a register that nothing has stored", s);
}

} // namespace

void check_elementwise(Device& device, Report& report) {
  check_steps(device, report);
  check_programs(device, report);
  check_places(device, report);
  check_refusals(device, report);
}

} // namespace mlp::kernels::check
