// Functions of one number: activations, rounding, exponentials, and Clip with its two bounds.
// Those that a Device computes (relu, gelu, tanh, sigmoid) go there for float.
#include "backends/runtime/native/elementwise.hpp"
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "core/base/error.hpp"
#include "kernels/device.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

namespace mlp::native {

namespace {

template <class T, class Op>
void apply(const Value& in, Value& out, Op op) {
  const T* x = in.data<T>();
  T* y = out.data<T>();
  MLP_INDEPENDENT
  for (std::int64_t i = 0; i < in.count; ++i)
    y[i] = op(x[i]);
}

template <class Op>
Kernel over_floats(Op op) {
  return [op](Call& call) {
    const Value& in = call.in(0);
    Value& out = out_in_place(call, in.type, in.dims);
    visit_float(in.type, [&](auto tag) { apply<typename decltype(tag)::type>(in, out, op); });
  };
}

template <class Op>
Kernel over_numbers(Op op) {
  return [op](Call& call) {
    const Value& in = call.in(0);
    Value& out = out_in_place(call, in.type, in.dims);
    visit_number(in.type, [&](auto tag) { apply<typename decltype(tag)::type>(in, out, op); });
  };
}

template <auto Function>
Kernel make_function(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return over_floats(Function);
}

// float on the device, the rest by `otherwise`.
template <class Op>
Kernel on_device(const NodeSpec& spec, kernels::Activation kind, Op otherwise) {
  spec.expect_inputs(1, 1);
  kernels::Device* device = &spec.device();
  return [device, kind, otherwise](Call& call) {
    const Value& in = call.in(0);
    Value& out = out_in_place(call, in.type, in.dims);
    if (in.type == Type::f32) {
      if (in.count > 0) device->activation({}, kind, in.count, in.data<float>(), out.data<float>());
      return;
    }
    visit_number(in.type,
                 [&](auto tag) { apply<typename decltype(tag)::type>(in, out, otherwise); });
  };
}

constexpr auto absolute = [](auto x) {
  using T = decltype(x);
  if constexpr (std::is_floating_point_v<T>)
    return std::fabs(x);
  else if constexpr (std::is_signed_v<T>)
    return x < 0 ? static_cast<T>(Wrapping<T>{0} - static_cast<Wrapping<T>>(x)) : x;
  else
    return x;
};
constexpr auto negate = [](auto x) {
  using T = decltype(x);
  if constexpr (std::is_floating_point_v<T>)
    return -x;
  else
    return static_cast<T>(Wrapping<T>{0} - static_cast<Wrapping<T>>(x));
};
constexpr auto sign = [](auto x) {
  using T = decltype(x);
  if (x != x) return x;
  return static_cast<T>((x > T{0} ? 1 : 0) - (x < T{0} ? 1 : 0));
};
constexpr auto relu = [](auto x) { return x < decltype(x){0} ? decltype(x){0} : x; };
constexpr auto sigmoid = [](auto x) {
  if constexpr (std::is_floating_point_v<decltype(x)>)
    return decltype(x){1} / (decltype(x){1} + std::exp(-x));
  else
    return x;
};
constexpr auto hyperbolic_tangent = [](auto x) {
  if constexpr (std::is_floating_point_v<decltype(x)>)
    return std::tanh(x);
  else
    return x;
};
constexpr auto gelu = [](auto x) {
  using T = decltype(x);
  if constexpr (std::is_floating_point_v<T>)
    return T{0.5} * x * (T{1} + std::erf(x * std::numbers::sqrt2_v<T> / T{2}));
  else
    return x;
};
constexpr auto gelu_tanh = [](auto x) {
  using T = decltype(x);
  const T inner = std::sqrt(T{2} * std::numbers::inv_pi_v<T>) * (x + T(0.044715) * x * x * x);
  return T{0.5} * x * (T{1} + std::tanh(inner));
};
constexpr auto softplus = [](auto x) {
  using T = decltype(x);
  return x > T{20} ? x : std::log1p(std::exp(x));
};

Kernel make_abs(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return over_numbers(absolute);
}
Kernel make_neg(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return over_numbers(negate);
}
Kernel make_sign(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return over_numbers(sign);
}
Kernel make_relu(const NodeSpec& spec) {
  return on_device(spec, kernels::Activation::relu, relu);
}
Kernel make_sigmoid(const NodeSpec& spec) {
  return on_device(spec, kernels::Activation::sigmoid, sigmoid);
}
Kernel make_tanh(const NodeSpec& spec) {
  return on_device(spec, kernels::Activation::tanh, hyperbolic_tangent);
}
Kernel make_gelu(const NodeSpec& spec) {
  const std::string form = spec.text("approximate", "none");
  if (form == "none") return on_device(spec, kernels::Activation::gelu, gelu);
  if (form != "tanh")
    throw Error(ErrorKind::config, fmt::format("attribute 'approximate' is '{}'", form));
  spec.expect_inputs(1, 1);
  return over_floats(gelu_tanh);
}

constexpr auto erf_of = [](auto x) { return std::erf(x); };
constexpr auto sqrt_of = [](auto x) { return std::sqrt(x); };
constexpr auto exp_of = [](auto x) { return std::exp(x); };
constexpr auto log_of = [](auto x) { return std::log(x); };
constexpr auto floor_of = [](auto x) { return std::floor(x); };
constexpr auto ceil_of = [](auto x) { return std::ceil(x); };
constexpr auto round_of = [](auto x) { return std::nearbyint(x); }; // ties to even
constexpr auto reciprocal_of = [](auto x) { return decltype(x){1} / x; };
constexpr auto softsign_of = [](auto x) { return x / (decltype(x){1} + std::fabs(x)); };
constexpr auto mish_of = [](auto x) { return x * std::tanh(softplus(x)); };
constexpr auto hard_swish_of = [](auto x) {
  using T = decltype(x);
  return x * std::clamp(x / T{6} + T{0.5}, T{0}, T{1});
};
constexpr auto sin_of = [](auto x) { return std::sin(x); };
constexpr auto cos_of = [](auto x) { return std::cos(x); };
constexpr auto tan_of = [](auto x) { return std::tan(x); };
constexpr auto asin_of = [](auto x) { return std::asin(x); };
constexpr auto acos_of = [](auto x) { return std::acos(x); };
constexpr auto atan_of = [](auto x) { return std::atan(x); };
constexpr auto sinh_of = [](auto x) { return std::sinh(x); };
constexpr auto cosh_of = [](auto x) { return std::cosh(x); };
constexpr auto asinh_of = [](auto x) { return std::asinh(x); };
constexpr auto acosh_of = [](auto x) { return std::acosh(x); };
constexpr auto atanh_of = [](auto x) { return std::atanh(x); };

Kernel make_leaky_relu(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return over_floats([alpha = spec.real("alpha", 0.01F)](auto x) {
    return x < decltype(x){0} ? static_cast<decltype(x)>(alpha) * x : x;
  });
}
Kernel make_elu(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return over_floats([alpha = spec.real("alpha", 1.0F)](auto x) {
    return x < decltype(x){0} ? static_cast<decltype(x)>(alpha) * std::expm1(x) : x;
  });
}
Kernel make_celu(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return over_floats([alpha = spec.real("alpha", 1.0F)](auto x) {
    using T = decltype(x);
    const auto a = static_cast<T>(alpha);
    return std::max(T{0}, x) + std::min(T{0}, a * std::expm1(x / a));
  });
}
Kernel make_selu(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return over_floats([alpha = spec.real("alpha", 1.67326319217681884765625F),
                      gamma = spec.real("gamma", 1.05070102214813232421875F)](auto x) {
    using T = decltype(x);
    return static_cast<T>(gamma) * (x > T{0} ? x : static_cast<T>(alpha) * std::expm1(x));
  });
}
Kernel make_hard_sigmoid(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return over_floats([alpha = spec.real("alpha", 0.2F), beta = spec.real("beta", 0.5F)](auto x) {
    using T = decltype(x);
    return std::clamp(static_cast<T>(alpha) * x + static_cast<T>(beta), T{0}, T{1});
  });
}
Kernel make_thresholded_relu(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return over_floats([alpha = spec.real("alpha", 1.0F)](auto x) {
    return x > static_cast<decltype(x)>(alpha) ? x : decltype(x){0};
  });
}
Kernel make_swish(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return over_floats([alpha = spec.real("alpha", 1.0F)](auto x) {
    return x * sigmoid(static_cast<decltype(x)>(alpha) * x);
  });
}
Kernel make_shrink(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return over_numbers([bias = spec.real("bias", 0.0F), lambda = spec.real("lambd", 0.5F)](auto x) {
    using T = decltype(x);
    const auto wide = static_cast<double>(x);
    if (wide < -static_cast<double>(lambda)) return convert<T>(wide + static_cast<double>(bias));
    if (wide > static_cast<double>(lambda)) return convert<T>(wide - static_cast<double>(bias));
    return T{0};
  });
}

// Before opset 11 the bounds are attributes, then inputs that may be left out.
Kernel make_clip(const NodeSpec& spec) {
  const float infinity = std::numeric_limits<float>::infinity();
  float low = -infinity;
  float high = infinity;
  if (spec.opset() < 11) {
    low = spec.real("min", low);
    high = spec.real("max", high);
  }
  spec.expect_inputs(1, spec.opset() < 11 ? 1 : 3);
  return [low, high](Call& call) {
    const Value& in = call.in(0);
    for (std::size_t i = 1; i < 3; ++i)
      if (call.has(i)) {
        expect_same_type(in, call.in(i));
        if (call.in(i).count != 1)
          throw Error(ErrorKind::failed, fmt::format("bound {} is not a scalar", i));
      }
    Value& out = out_in_place(call, in.type, in.dims);
    visit_number(in.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      T least = convert<T>(low);
      T most = convert<T>(high);
      if (call.has(1)) least = *call.in(1).data<T>();
      if (call.has(2)) most = *call.in(2).data<T>();
      apply<T>(in, out, [least, most](T x) {
        const T raised = x < least ? least : x;
        return raised > most ? most : raised;
      });
    });
  };
}

template <bool (*Test)(double), bool Infinities>
Kernel make_float_test(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  bool negative = true;
  bool positive = true;
  if (Infinities) {
    negative = spec.flag("detect_negative", true);
    positive = spec.flag("detect_positive", true);
  }
  return [negative, positive](Call& call) {
    const Value& in = call.in(0);
    Value& out = call.out(0, Type::boolean, in.dims);
    visit_float(in.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* x = in.data<T>();
      for (std::int64_t i = 0; i < in.count; ++i)
        out.data<bool>()[i] =
            Test(static_cast<double>(x[i])) && (std::signbit(x[i]) ? negative : positive);
    });
  };
}
bool is_nan(double x) {
  return std::isnan(x);
}
bool is_infinite(double x) {
  return std::isinf(x);
}

constexpr int kNewest = Operator::kNewest;
constexpr Operator table[] = {
    {"", "Abs", 6, kNewest, make_abs, Half::via_float},
    {"", "Neg", 6, kNewest, make_neg, Half::via_float},
    {"", "Sign", 9, kNewest, make_sign, Half::via_float},
    {"", "Relu", 6, kNewest, make_relu, Half::via_float},
    {"", "Sigmoid", 6, kNewest, make_sigmoid, Half::via_float},
    {"", "Tanh", 6, kNewest, make_tanh, Half::via_float},
    {"", "Gelu", 20, kNewest, make_gelu, Half::via_float},
    {"", "Erf", 9, kNewest, make_function<erf_of>, Half::via_float},
    {"", "Sqrt", 6, kNewest, make_function<sqrt_of>, Half::via_float},
    {"", "Exp", 6, kNewest, make_function<exp_of>, Half::via_float},
    {"", "Log", 6, kNewest, make_function<log_of>, Half::via_float},
    {"", "Floor", 6, kNewest, make_function<floor_of>, Half::via_float},
    {"", "Ceil", 6, kNewest, make_function<ceil_of>, Half::via_float},
    {"", "Round", 11, kNewest, make_function<round_of>, Half::via_float},
    {"", "Reciprocal", 6, kNewest, make_function<reciprocal_of>, Half::via_float},
    {"", "Softplus", 1, kNewest, make_function<softplus>, Half::via_float},
    {"", "Softsign", 1, kNewest, make_function<softsign_of>, Half::via_float},
    {"", "Mish", 18, kNewest, make_function<mish_of>, Half::via_float},
    {"", "HardSwish", 14, kNewest, make_function<hard_swish_of>, Half::via_float},
    {"", "Sin", 7, kNewest, make_function<sin_of>, Half::via_float},
    {"", "Cos", 7, kNewest, make_function<cos_of>, Half::via_float},
    {"", "Tan", 7, kNewest, make_function<tan_of>, Half::via_float},
    {"", "Asin", 7, kNewest, make_function<asin_of>, Half::via_float},
    {"", "Acos", 7, kNewest, make_function<acos_of>, Half::via_float},
    {"", "Atan", 7, kNewest, make_function<atan_of>, Half::via_float},
    {"", "Sinh", 9, kNewest, make_function<sinh_of>, Half::via_float},
    {"", "Cosh", 9, kNewest, make_function<cosh_of>, Half::via_float},
    {"", "Asinh", 9, kNewest, make_function<asinh_of>, Half::via_float},
    {"", "Acosh", 9, kNewest, make_function<acosh_of>, Half::via_float},
    {"", "Atanh", 9, kNewest, make_function<atanh_of>, Half::via_float},
    {"", "LeakyRelu", 6, kNewest, make_leaky_relu, Half::via_float},
    {"", "Elu", 6, kNewest, make_elu, Half::via_float},
    {"", "Celu", 12, kNewest, make_celu, Half::via_float},
    {"", "Selu", 6, kNewest, make_selu, Half::via_float},
    {"", "HardSigmoid", 6, kNewest, make_hard_sigmoid, Half::via_float},
    {"", "ThresholdedRelu", 10, kNewest, make_thresholded_relu, Half::via_float},
    {"", "Swish", 24, kNewest, make_swish, Half::via_float},
    {"", "Shrink", 9, kNewest, make_shrink, Half::via_float},
    {"", "Clip", 6, kNewest, make_clip, Half::via_float},
    {"", "IsNaN", 9, kNewest, make_float_test<is_nan, false>, Half::via_float},
    {"", "IsInf", 10, kNewest, make_float_test<is_infinite, true>, Half::via_float},
};

} // namespace

std::span<const Operator> unary_operators() {
  return table;
}

} // namespace mlp::native
