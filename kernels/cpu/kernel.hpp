// How a loop is compiled for more than one instruction set and chosen when it runs.
//
// A kernel is written once, as `name_body`, MLP_INLINE; MLP_KERNEL(name, (parameters), (arguments))
// makes `name`, which runs the body compiled for AVX2 and FMA where the CPU has them. Bodies are
// plain loops for the compiler to vectorise; they call only MLP_INLINE functions.
#pragma once

#define MLP_INLINE inline __attribute__((always_inline))

#if defined(__x86_64__)
#define MLP_KERNEL(name, parameters, arguments)                                                    \
  __attribute__((target("avx2,fma"))) static void name##_avx2 parameters {                         \
    name##_body arguments;                                                                         \
  }                                                                                                \
  static void name##_plain parameters {                                                            \
    name##_body arguments;                                                                         \
  }                                                                                                \
  static void name parameters {                                                                    \
    if (::mlp::kernels::cpu::has_avx2())                                                           \
      name##_avx2 arguments;                                                                       \
    else                                                                                           \
      name##_plain arguments;                                                                      \
  }
#else
#define MLP_KERNEL(name, parameters, arguments)                                                    \
  static void name parameters {                                                                    \
    name##_body arguments;                                                                         \
  }
#endif

namespace mlp::kernels::cpu {

inline bool has_avx2() noexcept {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

} // namespace mlp::kernels::cpu
