// Add, Sub, Mul, Div, Mod, Pow, Min, Max, Sum, Mean, PRelu: arithmetic with broadcasting.
#include "backends/runtime/native/elementwise.hpp"
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <cmath>

namespace mlp::native {

void expect_same_type(const Value& a, const Value& b) {
  if (a.type != b.type)
    throw Error(ErrorKind::failed, fmt::format("inputs are of different types, {} and {}",
                                               type_name(a.type), type_name(b.type)));
}

Value& out_in_place(Call& call, Type type, const Dims& dims) {
  for (std::size_t i = 0; i < call.input_count() && i < 2; ++i)
    if (call.reusable(i) && call.in(i).type == type && call.in(i).dims == dims) {
      Value shared = call.in(i);
      call.set(0, std::move(shared));
      return call.output(0);
    }
  return call.out(0, type, dims);
}

namespace {

struct Add {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
    else
      return a + b;
  }
};
struct Sub {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<Wrapping<T>>(a) - static_cast<Wrapping<T>>(b));
    else
      return a - b;
  }
};
struct Mul {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
    else
      return a * b;
  }
};
struct Div { // integers: towards zero
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0) throw Error(ErrorKind::failed, "an integer is divided by zero");
      if constexpr (std::is_signed_v<T>)
        if (b == T{-1}) return Sub{}(T{0}, a);
      return static_cast<T>(a / b);
    } else {
      return a / b;
    }
  }
};
struct Modulo { // the sign of the divisor, as Python's %
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0) throw Error(ErrorKind::failed, "an integer is divided by zero");
      if constexpr (std::is_signed_v<T>) {
        if (b == T{-1}) return T{0};
        const auto rest = static_cast<T>(a % b);
        return rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(rest + b) : rest;
      }
      return static_cast<T>(a % b);
    } else {
      const T rest = std::fmod(a, b);
      return rest != T{0} && (rest < T{0}) != (b < T{0}) ? rest + b : rest;
    }
  }
};
struct Remainder { // the sign of the dividend, as C's fmod
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0) throw Error(ErrorKind::failed, "an integer is divided by zero");
      if constexpr (std::is_signed_v<T>)
        if (b == T{-1}) return T{0};
      return static_cast<T>(a % b);
    } else {
      return std::fmod(a, b);
    }
  }
};
struct Least { // a NaN wins, as numpy.minimum
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>)
      return a < b || a != a ? a : b;
    else
      return a < b ? a : b;
  }
};
struct Greatest {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>)
      return a > b || a != a ? a : b;
    else
      return a > b ? a : b;
  }
};
struct Slope { // PRelu
  template <class T>
  T operator()(T x, T slope) const {
    return x < T{0} ? Mul{}(x, slope) : x;
  }
};

template <class Op>
void compute(const Value& a, const Value& b, Value& out, Op op) {
  expect_same_type(a, b);
  visit_number(a.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    binary_broadcast<T, T>(a, b, out, op);
  });
}

template <class Op>
void run_binary(Call& call) {
  const Value& a = call.in(0);
  const Value& b = call.in(1);
  expect_same_type(a, b);
  Value& out = out_in_place(call, a.type, broadcast_shape(a.dims, b.dims));
  compute(a, b, out, Op{});
}

template <class Op>
Kernel make_binary(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  return run_binary<Op>;
}

Kernel make_mod(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  return spec.flag("fmod", false) ? run_binary<Remainder> : run_binary<Modulo>;
}

// Any number of inputs, folded from the left.
template <class Op>
void run_variadic(Call& call) {
  Value sum = call.in(0);
  for (std::size_t i = 1; i < call.input_count(); ++i) {
    const Value& next = call.in(i);
    Value out = call.memory().allocate(sum.type, broadcast_shape(sum.dims, next.dims));
    compute(sum, next, out, Op{});
    sum = std::move(out);
  }
  call.set(0, std::move(sum));
}

template <class Op>
Kernel make_variadic(const NodeSpec& spec) {
  spec.expect_inputs(1, SIZE_MAX);
  return run_variadic<Op>;
}

Kernel make_mean(const NodeSpec& spec) {
  spec.expect_inputs(1, SIZE_MAX);
  return [](Call& call) {
    run_variadic<Add>(call);
    const Value sum = call.output(0);
    Value& out = call.out(0, sum.type, sum.dims);
    visit_float(sum.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const auto count = static_cast<T>(call.input_count());
      for (std::int64_t i = 0; i < sum.count; ++i)
        out.data<T>()[i] = sum.data<T>()[i] / count;
    });
  };
}

template <class T>
T power(T base, T exponent) {
  if constexpr (std::is_integral_v<T>) {
    if (exponent < 0)
      return base == 1                    ? T{1}
             : base == static_cast<T>(-1) ? static_cast<T>(exponent % 2 == 0 ? 1 : -1)
                                          : T{0};
    T result = 1;
    for (auto bits = static_cast<std::uint64_t>(exponent); bits != 0; bits >>= 1) {
      if ((bits & 1) != 0) result = Mul{}(result, base);
      base = Mul{}(base, base);
    }
    return result;
  } else {
    return exponent == T{2} ? base * base : std::pow(base, exponent);
  }
}

// The result has the base's type, whatever the exponent's.
void run_pow(Call& call) {
  const Value& base = call.in(0);
  const Value& given = call.in(1);
  const bool exact = number_is_integer(base.type) && number_is_integer(given.type);
  const Value exponent = given.type == base.type ? given
                         : exact || !number_is_integer(base.type)
                             ? cast_numbers(given, base.type, call.memory())
                             : given;
  Value& out = call.out(0, base.type, broadcast_shape(base.dims, exponent.dims));
  if (exponent.type == base.type) {
    visit_number(base.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      binary_broadcast<T, T>(base, exponent, out, power<T>);
    });
    return;
  }
  // An integer to a real power: in double, then cut to the integer.
  Value wide = call.memory().allocate(Type::f64, out.dims);
  binary_broadcast<double, double>(cast_numbers(base, Type::f64, call.memory()),
                                   cast_numbers(exponent, Type::f64, call.memory()), wide,
                                   power<double>);
  out = cast_numbers(wide, base.type, call.memory());
}

Kernel make_pow(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  return run_pow;
}

constexpr int kNewest = Operator::kNewest;
constexpr Operator table[] = {
    {"", "Add", 7, kNewest, make_binary<Add>, Half::via_float},
    {"", "Sub", 7, kNewest, make_binary<Sub>, Half::via_float},
    {"", "Mul", 7, kNewest, make_binary<Mul>, Half::via_float},
    {"", "Div", 7, kNewest, make_binary<Div>, Half::via_float},
    {"", "Mod", 10, kNewest, make_mod, Half::via_float},
    {"", "Pow", 7, kNewest, make_pow, Half::via_float},
    {"", "PRelu", 7, kNewest, make_binary<Slope>, Half::via_float},
    {"", "Min", 6, kNewest, make_variadic<Least>, Half::via_float},
    {"", "Max", 6, kNewest, make_variadic<Greatest>, Half::via_float},
    {"", "Sum", 6, kNewest, make_variadic<Add>, Half::via_float},
    {"", "Mean", 6, kNewest, make_mean, Half::via_float},
};

} // namespace

std::span<const Operator> arithmetic_operators() {
  return table;
}

} // namespace mlp::native
