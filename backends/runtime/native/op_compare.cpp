// Equal, Less, Greater and their kin, And, Or, Xor, Not, Where: results are bool or chosen by one.
#include "backends/runtime/native/elementwise.hpp"
#include "backends/runtime/native/families.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <functional>

namespace mlp::native {

namespace {

template <class Op>
void run_compare(Call& call) {
  const Value& a = call.in(0);
  const Value& b = call.in(1);
  expect_same_type(a, b);
  Value& out = call.out(0, Type::boolean, broadcast_shape(a.dims, b.dims));
  visit_number(a.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    binary_broadcast<T, bool>(a, b, out, Op{});
  });
}

template <class Op>
Kernel make_compare(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  return run_compare<Op>;
}

void run_equal(Call& call) {
  const Value& a = call.in(0);
  const Value& b = call.in(1);
  if (a.type != Type::string && a.type != Type::boolean) return run_compare<std::equal_to<>>(call);
  expect_same_type(a, b);
  Value& out = call.out(0, Type::boolean, broadcast_shape(a.dims, b.dims));
  if (a.type == Type::boolean) return binary_broadcast<bool, bool>(a, b, out, std::equal_to<>{});
  const Broadcast<2> plan(out.dims, {&a.dims, &b.dims});
  plan.for_each_row([&](std::int64_t at, const auto& offsets, std::int64_t n, const auto& steps) {
    for (std::int64_t i = 0; i < n; ++i)
      out.data<bool>()[at + i] = a.data<std::string>()[offsets[0] + i * steps[0]] ==
                                 b.data<std::string>()[offsets[1] + i * steps[1]];
  });
}

Kernel make_equal(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  return run_equal;
}

void expect_bool(const Value& value) {
  if (value.type != Type::boolean)
    throw Error(ErrorKind::failed, fmt::format("takes bool, not {}", type_name(value.type)));
}

template <class Op>
void run_logical(Call& call) {
  const Value& a = call.in(0);
  const Value& b = call.in(1);
  expect_bool(a);
  expect_bool(b);
  Value& out = out_in_place(call, Type::boolean, broadcast_shape(a.dims, b.dims));
  binary_broadcast<std::uint8_t, std::uint8_t>(a, b, out, Op{});
}

template <class Op>
Kernel make_logical(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  return run_logical<Op>;
}

Kernel make_not(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return [](Call& call) {
    const Value& in = call.in(0);
    expect_bool(in);
    Value& out = out_in_place(call, Type::boolean, in.dims);
    for (std::int64_t i = 0; i < in.count; ++i)
      out.data<std::uint8_t>()[i] = in.data<std::uint8_t>()[i] ^ 1U;
  };
}

void run_where(Call& call) {
  const Value& condition = call.in(0);
  const Value& a = call.in(1);
  const Value& b = call.in(2);
  expect_bool(condition);
  expect_same_type(a, b);
  Value& out =
      call.out(0, a.type, broadcast_shape(broadcast_shape(condition.dims, a.dims), b.dims));
  const Broadcast<3> plan(out.dims, {&condition.dims, &a.dims, &b.dims});
  visit_width(a.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    plan.for_each_row([&](std::int64_t at, const auto& from, std::int64_t n, const auto& steps) {
      const bool* c = condition.data<bool>() + from[0];
      const T* yes = a.data<T>() + from[1];
      const T* no = b.data<T>() + from[2];
      T* result = out.data<T>() + at;
      for (std::int64_t i = 0; i < n; ++i)
        result[i] = c[i * steps[0]] ? yes[i * steps[1]] : no[i * steps[2]];
    });
  });
}

Kernel make_where(const NodeSpec& spec) {
  spec.expect_inputs(3, 3);
  return run_where;
}

constexpr int kNewest = Operator::kNewest;
constexpr Operator table[] = {
    {"", "Equal", 7, kNewest, make_equal, Half::via_float},
    {"", "Less", 7, kNewest, make_compare<std::less<>>, Half::via_float},
    {"", "LessOrEqual", 12, kNewest, make_compare<std::less_equal<>>, Half::via_float},
    {"", "Greater", 7, kNewest, make_compare<std::greater<>>, Half::via_float},
    {"", "GreaterOrEqual", 12, kNewest, make_compare<std::greater_equal<>>, Half::via_float},
    {"", "And", 7, kNewest, make_logical<std::bit_and<std::uint8_t>>},
    {"", "Or", 7, kNewest, make_logical<std::bit_or<std::uint8_t>>},
    {"", "Xor", 7, kNewest, make_logical<std::bit_xor<std::uint8_t>>},
    {"", "Not", 1, kNewest, make_not},
    {"", "Where", 9, kNewest, make_where},
};

} // namespace

std::span<const Operator> compare_operators() {
  return table;
}

} // namespace mlp::native
