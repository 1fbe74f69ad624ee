// Elementwise expressions in one pass; the reference is cpu/elementwise.cpp. A thread takes four
// elements that follow one another through all steps, in registers: which step is next is the same
// for all threads, so that no warp diverges. Operands that are not float32 are converted on the way
// from and to memory, by kernels of their own, so that the others do not ask.
#include "kernels/convert.hpp"
#include "kernels/cuda/launch.cuh"

namespace mlp::kernels::cuda {

namespace {

// How an operand lies in memory, told once for all elements.
enum class Layout : std::uint8_t {
  dense,   // element i at i
  single,  // the same for all
  strided, // as its strides say
};

struct Operand {
  Layout layout = Layout::dense;
  // Four elements of a thread may be read at once (float32: 16 aligned bytes): at every fourth
  // element of a dense operand, and of a row of a strided one.
  bool vector = false;
};

struct Expression {
  std::int64_t size = 0;
  ElementwiseSpec spec;
  Operand out;
  Operand operand[kMaxInputs];
  const void* input[kMaxInputs] = {};
  void* y = nullptr;
};

struct FourIntegers {
  std::int64_t v[kPer];
};
// What a thread holds of the machine's numbers, which are float or int64.
template <class T>
using Lanes = std::conditional_t<std::is_same_v<T, float>, Four, FourIntegers>;

// Four elements in memory.
template <class S>
struct alignas(sizeof(S) * kPer < 16 ? sizeof(S) * kPer : 16) Pack {
  S v[kPer];
};

// The first element of the row that is `row` by number.
__device__ __forceinline__ std::int64_t row_offset(const Expression& e, const std::int64_t* strides,
                                                   std::int64_t row) {
  std::int64_t offset = 0;
  for (int axis = e.spec.rank - 2; axis >= 0; --axis) {
    const std::int64_t next = quotient(row, e.spec.shape[axis]);
    offset += (row - next * e.spec.shape[axis]) * strides[axis];
    row = next;
  }
  return offset;
}

// Calls body(j, offset) for elements i + j that exist, of which up to four lie in two rows or more.
template <class Body>
__device__ __forceinline__ void each_offset(const Expression& e, const std::int64_t* strides,
                                            std::int64_t i, const Body& body) {
  const std::int64_t inner = e.spec.shape[e.spec.rank - 1];
  const std::int64_t stride = strides[e.spec.rank - 1];
  std::int64_t row = quotient(i, inner);
  std::int64_t column = i - row * inner;
  std::int64_t base = row_offset(e, strides, row);
#pragma unroll
  for (int j = 0; j < kPer; ++j) {
    if (i + j < e.size) body(j, base + column * stride);
    if (++column == inner && j + 1 < kPer) {
      column = 0;
      base = row_offset(e, strides, ++row);
    }
  }
}

// Where the four elements from i on are in a strided operand whose rows are multiples of four.
__device__ __forceinline__ std::int64_t vector_offset(const Expression& e,
                                                      const std::int64_t* strides, std::int64_t i) {
  const std::int64_t inner = e.spec.shape[e.spec.rank - 1];
  const std::int64_t row = quotient(i, inner);
  return row_offset(e, strides, row) + (i - row * inner);
}

// As T from an operand of S.
template <class T, class S>
__device__ __forceinline__ Lanes<T> load_as(const Expression& e, int k, std::int64_t i) {
  const S* p = static_cast<const S*>(e.input[k]);
  const Operand operand = e.operand[k];
  const std::int64_t* strides = e.spec.input[k];
  Lanes<T> f{};
  if (operand.layout == Layout::single) {
    const T value = convert_element<T>(*p);
#pragma unroll
    for (int j = 0; j < kPer; ++j)
      f.v[j] = value;
  } else if (operand.vector && (operand.layout == Layout::strided || i + kPer <= e.size)) {
    const std::int64_t at = operand.layout == Layout::dense ? i : vector_offset(e, strides, i);
    const Pack<S> all = *reinterpret_cast<const Pack<S>*>(p + at);
#pragma unroll
    for (int j = 0; j < kPer; ++j)
      f.v[j] = convert_element<T>(all.v[j]);
  } else if (operand.layout == Layout::dense) {
#pragma unroll
    for (int j = 0; j < kPer; ++j)
      if (i + j < e.size) f.v[j] = convert_element<T>(p[i + j]);
  } else {
    each_offset(e, strides, i,
                [&](int j, std::int64_t offset) { f.v[j] = convert_element<T>(p[offset]); });
  }
  return f;
}

template <class T>
__device__ __forceinline__ Lanes<T> load_typed(const Expression& e, int k, std::int64_t i) {
  switch (e.spec.type[k]) {
  case DType::f32:
    if constexpr (std::is_same_v<T, float>) return load_as<T, float>(e, k, i);
    break;
  case DType::u8:
    return load_as<T, std::uint8_t>(e, k, i);
  case DType::i32:
    return load_as<T, std::int32_t>(e, k, i);
  case DType::i64:
    return load_as<T, std::int64_t>(e, k, i);
  case DType::boolean:
    return load_as<T, Boolean>(e, k, i);
  case DType::bf16:
    break;
  }
  return {};
}

template <class T, bool kStrided, bool kTyped>
__device__ __forceinline__ Lanes<T> load_input(const Expression& e, int k, std::int64_t i) {
  if constexpr (kTyped) {
    return load_typed<T>(e, k, i);
  } else {
    const float* p = static_cast<const float*>(e.input[k]);
    const Operand operand = e.operand[k];
    if (operand.layout == Layout::dense) return load4(p, i, e.size, operand.vector);
    if (kStrided && operand.layout == Layout::strided) return load_as<float, float>(e, k, i);
    Four f;
    const float value = *p;
#pragma unroll
    for (int j = 0; j < kPer; ++j)
      f.v[j] = value;
    return f;
  }
}

// To a result of S.
template <class S, class T>
__device__ __forceinline__ void store_as(const Expression& e, std::int64_t i, const Lanes<T>& f) {
  S* y = static_cast<S*>(e.y);
  if (e.out.vector && (e.out.layout == Layout::strided || i + kPer <= e.size)) {
    const std::int64_t at = e.out.layout == Layout::dense ? i : vector_offset(e, e.spec.out, i);
    Pack<S> all;
#pragma unroll
    for (int j = 0; j < kPer; ++j)
      all.v[j] = convert_element<S>(f.v[j]);
    *reinterpret_cast<Pack<S>*>(y + at) = all;
  } else if (e.out.layout == Layout::dense) {
#pragma unroll
    for (int j = 0; j < kPer; ++j)
      if (i + j < e.size) y[i + j] = convert_element<S>(f.v[j]);
  } else {
    each_offset(e, e.spec.out, i,
                [&](int j, std::int64_t offset) { y[offset] = convert_element<S>(f.v[j]); });
  }
}

template <class T, bool kStrided, bool kTyped>
__device__ __forceinline__ void store_result(const Expression& e, std::int64_t i,
                                             const Lanes<T>& f) {
  if constexpr (kTyped) {
    switch (e.spec.result) {
    case DType::f32:
      return store_as<float, T>(e, i, f);
    case DType::u8:
      return store_as<std::uint8_t, T>(e, i, f);
    case DType::i32:
      return store_as<std::int32_t, T>(e, i, f);
    case DType::i64:
      return store_as<std::int64_t, T>(e, i, f);
    case DType::boolean:
      return store_as<Boolean, T>(e, i, f);
    case DType::bf16:
      return;
    }
  } else if (!kStrided || e.out.layout == Layout::dense) {
    store4(static_cast<float*>(e.y), i, e.size, e.out.vector, f);
  } else {
    store_as<float, float>(e, i, f);
  }
}

// The registers, by a number that all threads share: selected, not addressed, so that they need no
// memory.
template <class T, bool kTemps>
struct Registers {
  Lanes<T> r[kTemps ? kTemporaries : 1];

  __device__ __forceinline__ void store(int index, const Lanes<T>& f) {
#pragma unroll
    for (int k = 0; k < (kTemps ? kTemporaries : 0); ++k)
      if (k == index) r[k] = f;
  }
  __device__ __forceinline__ Lanes<T> load(int index) const {
    Lanes<T> f = r[0];
#pragma unroll
    for (int k = 1; k < (kTemps ? kTemporaries : 0); ++k)
      if (k == index) f = r[k];
    return f;
  }
};

template <class T, bool kStrided, bool kTemps, bool kTyped>
__device__ __forceinline__ Lanes<T> operand_of(const Expression& e, const ElementOperand& operand,
                                               const Registers<T, kTemps>& registers,
                                               std::int64_t i) {
  if (operand.from == ElementOperand::From::input)
    return load_input<T, kStrided, kTyped>(e, operand.index, i);
  if (kTemps && operand.from == ElementOperand::From::temporary)
    return registers.load(operand.index);
  Lanes<T> f;
#pragma unroll
  for (int j = 0; j < kPer; ++j)
    f.v[j] = static_cast<T>(operand.number);
  return f;
}

template <class L, class F>
__device__ __forceinline__ void each(L& a, const L& b, const F& f) {
#pragma unroll
  for (int j = 0; j < kPer; ++j)
    a.v[j] = f(a.v[j], b.v[j]);
}

// All but load, store and select.
__device__ __forceinline__ void apply(ElementOp op, Four& a, const Four& b) {
  switch (op) {
  case ElementOp::load:
  case ElementOp::store:
  case ElementOp::select:
    return;
  case ElementOp::add:
    return each(a, b, [](float x, float y) { return x + y; });
  case ElementOp::subtract:
    return each(a, b, [](float x, float y) { return x - y; });
  case ElementOp::multiply:
    return each(a, b, [](float x, float y) { return x * y; });
  case ElementOp::divide:
    return each(a, b, [](float x, float y) { return x / y; });
  case ElementOp::minimum:
    return each(a, b, [](float x, float y) { return x < y || x != x ? x : y; });
  case ElementOp::maximum:
    return each(a, b, [](float x, float y) { return x > y || x != x ? x : y; });
  case ElementOp::power:
    return each(a, b, [](float x, float y) { return y == 2.0F ? x * x : powf(x, y); });
  case ElementOp::prelu:
    return each(a, b, [](float x, float y) { return x < 0.0F ? x * y : x; });
  case ElementOp::elu:
    return each(a, b, [](float x, float y) { return x < 0.0F ? y * expm1f(x) : x; });
  case ElementOp::less:
    return each(a, b, [](float x, float y) { return x < y ? 1.0F : 0.0F; });
  case ElementOp::less_equal:
    return each(a, b, [](float x, float y) { return x <= y ? 1.0F : 0.0F; });
  case ElementOp::greater:
    return each(a, b, [](float x, float y) { return x > y ? 1.0F : 0.0F; });
  case ElementOp::greater_equal:
    return each(a, b, [](float x, float y) { return x >= y ? 1.0F : 0.0F; });
  case ElementOp::equal:
    return each(a, b, [](float x, float y) { return x == y ? 1.0F : 0.0F; });
  case ElementOp::negate:
    return each(a, b, [](float x, float) { return -x; });
  case ElementOp::absolute:
    return each(a, b, [](float x, float) { return fabsf(x); });
  case ElementOp::sign:
    return each(a, b, [](float x, float) { return x > 0.0F ? 1.0F : (x < 0.0F ? -1.0F : x); });
  case ElementOp::reciprocal:
    return each(a, b, [](float x, float) { return 1.0F / x; });
  case ElementOp::square_root:
    return each(a, b, [](float x, float) { return sqrtf(x); });
  case ElementOp::exponential:
    return each(a, b, [](float x, float) { return expf(x); });
  case ElementOp::logarithm:
    return each(a, b, [](float x, float) { return logf(x); });
  case ElementOp::error_function:
    return each(a, b, [](float x, float) { return erff(x); });
  case ElementOp::floor:
    return each(a, b, [](float x, float) { return floorf(x); });
  case ElementOp::ceil:
    return each(a, b, [](float x, float) { return ceilf(x); });
  case ElementOp::round:
    return each(a, b, [](float x, float) { return rintf(x); });
  case ElementOp::relu:
    return each(a, b, [](float x, float) { return activate<Activation::relu>(x); });
  case ElementOp::gelu:
    return each(a, b, [](float x, float) { return activate<Activation::gelu>(x); });
  case ElementOp::tanh:
    return each(a, b, [](float x, float) { return activate<Activation::tanh>(x); });
  case ElementOp::sigmoid:
    return each(a, b, [](float x, float) { return activate<Activation::sigmoid>(x); });
  case ElementOp::softplus:
    return each(a, b, [](float x, float) { return x > 20.0F ? x : log1pf(expf(x)); });
  }
}

// Signed overflow is not defined in C++; this wraps.
__device__ __forceinline__ std::int64_t wrapped(std::uint64_t x) {
  return static_cast<std::int64_t>(x);
}

// Of integers; what has no meaning for them has been refused.
__device__ __forceinline__ void apply(ElementOp op, FourIntegers& a, const FourIntegers& b) {
  using I = std::int64_t;
  using U = std::uint64_t;
  switch (op) {
  case ElementOp::add:
    return each(a, b, [](I x, I y) { return wrapped(static_cast<U>(x) + static_cast<U>(y)); });
  case ElementOp::subtract:
    return each(a, b, [](I x, I y) { return wrapped(static_cast<U>(x) - static_cast<U>(y)); });
  case ElementOp::multiply:
    return each(a, b, [](I x, I y) { return wrapped(static_cast<U>(x) * static_cast<U>(y)); });
  case ElementOp::minimum:
    return each(a, b, [](I x, I y) { return x < y ? x : y; });
  case ElementOp::maximum:
    return each(a, b, [](I x, I y) { return x > y ? x : y; });
  case ElementOp::less:
    return each(a, b, [](I x, I y) { return I{x < y}; });
  case ElementOp::less_equal:
    return each(a, b, [](I x, I y) { return I{x <= y}; });
  case ElementOp::greater:
    return each(a, b, [](I x, I y) { return I{x > y}; });
  case ElementOp::greater_equal:
    return each(a, b, [](I x, I y) { return I{x >= y}; });
  case ElementOp::equal:
    return each(a, b, [](I x, I y) { return I{x == y}; });
  case ElementOp::negate:
    return each(a, b, [](I x, I) { return wrapped(U{0} - static_cast<U>(x)); });
  case ElementOp::absolute:
    return each(a, b, [](I x, I) { return x < 0 ? wrapped(U{0} - static_cast<U>(x)) : x; });
  case ElementOp::sign:
    return each(a, b, [](I x, I) { return I{x > 0} - I{x < 0}; });
  default:
    return;
  }
}

// T: the machine's numbers. kStrided: an operand is neither dense nor single. kTemps: registers are
// used. kTyped: an operand is not of T. y may be an input: no __restrict__.
template <class T, bool kStrided, bool kTemps, bool kTyped>
__global__ void __launch_bounds__(kBlock) run(const __grid_constant__ Expression e) {
  for (std::int64_t i = kPer * thread_index(); i < e.size; i += kPer * thread_count()) {
    Lanes<T> a{};
    Registers<T, kTemps> registers{};
#pragma unroll 1
    for (int s = 0; s < e.spec.count; ++s) {
      const ElementStep& step = e.spec.step[s];
      if (kTemps && step.op == ElementOp::store) {
        registers.store(step.b.index, a);
        continue;
      }
      const Lanes<T> b = operand_of<T, kStrided, kTemps, kTyped>(e, step.b, registers, i);
      if (step.op == ElementOp::load) {
        a = b;
      } else if (step.op == ElementOp::select) {
        const Lanes<T> c = operand_of<T, kStrided, kTemps, kTyped>(e, step.c, registers, i);
#pragma unroll
        for (int j = 0; j < kPer; ++j)
          a.v[j] = a.v[j] != T{} ? b.v[j] : c.v[j];
      } else {
        apply(step.op, a, b);
      }
    }
    store_result<T, kStrided, kTyped>(e, i, a);
  }
}

Operand operand_layout(const ElementwiseSpec& spec, const std::int64_t* strides,
                       const void* address) {
  std::int64_t dense[kMaxAxes];
  dense_strides(spec.rank, spec.shape, dense);
  bool is_dense = true;
  bool is_single = true;
  for (int axis = 0; axis < spec.rank; ++axis) {
    is_dense = is_dense && strides[axis] == dense[axis];
    is_single = is_single && strides[axis] == 0;
  }
  if (is_dense) return {Layout::dense, aligned16(address)};
  if (is_single) return {Layout::single, false};
  const int last = spec.rank - 1;
  bool vector = aligned16(address) && strides[last] == 1 && spec.shape[last] % kPer == 0;
  for (int axis = 0; axis < last; ++axis)
    vector = vector && strides[axis] % kPer == 0;
  return {Layout::strided, vector};
}

} // namespace

void elementwise(const Queue& q, const ElementwiseSpec& spec, const void* const* inputs, void* y) {
  Expression e;
  e.spec = spec;
  e.size = 1;
  for (int axis = 0; axis < spec.rank; ++axis)
    e.size *= spec.shape[axis];
  e.y = y;
  e.out = operand_layout(spec, spec.out, y);
  bool strided = e.out.layout == Layout::strided;
  bool typed = spec.result != DType::f32;
  for (int k = 0; k < spec.inputs; ++k) {
    e.input[k] = inputs[k];
    e.operand[k] = operand_layout(spec, spec.input[k], inputs[k]);
    strided = strided || e.operand[k].layout == Layout::strided;
    typed = typed || spec.type[k] != DType::f32;
  }
  bool temps = false;
  for (int s = 0; s < spec.count; ++s)
    temps = temps || spec.step[s].op == ElementOp::store;
  auto kernel = strided
                    ? (temps ? run<float, true, true, false> : run<float, true, false, false>)
                    : (temps ? run<float, false, true, false> : run<float, false, false, false>);
  if (typed) kernel = run<float, true, true, true>;
  if (spec.integers) kernel = run<std::int64_t, true, true, true>;
  launch("queue an elementwise expression", kernel, blocks_for(q, (e.size + kPer - 1) / kPer), q,
         e);
}

} // namespace mlp::kernels::cuda
