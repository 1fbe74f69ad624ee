// Elementwise expressions in one pass; the reference is cpu/elementwise.cpp. A thread takes four
// elements that follow one another through all steps, in registers: which step is next is the same
// for all threads, so that no warp diverges.
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
  // Four elements of a thread are 16 aligned bytes: at every fourth element of a dense operand, and
  // of a row of a strided one.
  bool vector = false;
};

struct Expression {
  std::int64_t size = 0;
  ElementwiseSpec spec;
  Operand out;
  Operand operand[kMaxInputs];
  const float* input[kMaxInputs] = {};
  float* y = nullptr;
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

template <bool kStrided>
__device__ __forceinline__ Four load_input(const Expression& e, int k, std::int64_t i) {
  const float* p = e.input[k];
  const Operand operand = e.operand[k];
  if (operand.layout == Layout::dense) return load4(p, i, e.size, operand.vector);
  Four f;
  if (!kStrided || operand.layout == Layout::single) {
    const float value = *p;
#pragma unroll
    for (int j = 0; j < kPer; ++j)
      f.v[j] = value;
    return f;
  }
  const std::int64_t* strides = e.spec.input[k];
  if (operand.vector) { // rows are multiples of four elements
    const std::int64_t inner = e.spec.shape[e.spec.rank - 1];
    const std::int64_t row = quotient(i, inner);
    const std::int64_t column = i - row * inner;
    const float4 all = *reinterpret_cast<const float4*>(p + row_offset(e, strides, row) + column);
    f.v[0] = all.x;
    f.v[1] = all.y;
    f.v[2] = all.z;
    f.v[3] = all.w;
    return f;
  }
#pragma unroll
  for (int j = 0; j < kPer; ++j)
    f.v[j] = 0.0F;
  each_offset(e, strides, i, [&](int j, std::int64_t offset) { f.v[j] = p[offset]; });
  return f;
}

template <bool kStrided>
__device__ __forceinline__ void store_result(const Expression& e, std::int64_t i, const Four& f) {
  if (!kStrided || e.out.layout == Layout::dense) return store4(e.y, i, e.size, e.out.vector, f);
  if (e.out.vector) {
    const std::int64_t inner = e.spec.shape[e.spec.rank - 1];
    const std::int64_t row = quotient(i, inner);
    const std::int64_t column = i - row * inner;
    *reinterpret_cast<float4*>(e.y + row_offset(e, e.spec.out, row) + column) =
        make_float4(f.v[0], f.v[1], f.v[2], f.v[3]);
    return;
  }
  each_offset(e, e.spec.out, i, [&](int j, std::int64_t offset) { e.y[offset] = f.v[j]; });
}

// The registers, by a number that all threads share: selected, not addressed, so that they need no
// memory.
template <bool kTemps>
struct Registers {
  Four r[kTemps ? kTemporaries : 1];

  __device__ __forceinline__ void store(int index, const Four& f) {
#pragma unroll
    for (int k = 0; k < (kTemps ? kTemporaries : 0); ++k)
      if (k == index) r[k] = f;
  }
  __device__ __forceinline__ Four load(int index) const {
    Four f = r[0];
#pragma unroll
    for (int k = 1; k < (kTemps ? kTemporaries : 0); ++k)
      if (k == index) f = r[k];
    return f;
  }
};

template <bool kStrided, bool kTemps>
__device__ __forceinline__ Four operand_of(const Expression& e, const ElementOperand& operand,
                                           const Registers<kTemps>& registers, std::int64_t i) {
  if (operand.from == ElementOperand::From::input) return load_input<kStrided>(e, operand.index, i);
  if (kTemps && operand.from == ElementOperand::From::temporary)
    return registers.load(operand.index);
  Four f;
#pragma unroll
  for (int j = 0; j < kPer; ++j)
    f.v[j] = operand.number;
  return f;
}

template <class F>
__device__ __forceinline__ void each(Four& a, const Four& b, const F& f) {
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

// kStrided: an operand is neither dense nor single. kTemps: registers are used. y may be an input:
// no __restrict__.
template <bool kStrided, bool kTemps>
__global__ void __launch_bounds__(kBlock) run(const __grid_constant__ Expression e) {
  for (std::int64_t i = kPer * thread_index(); i < e.size; i += kPer * thread_count()) {
    Four a{};
    Registers<kTemps> registers{};
#pragma unroll 1
    for (int s = 0; s < e.spec.count; ++s) {
      const ElementStep& step = e.spec.step[s];
      if (kTemps && step.op == ElementOp::store) {
        registers.store(step.b.index, a);
        continue;
      }
      const Four b = operand_of<kStrided>(e, step.b, registers, i);
      if (step.op == ElementOp::load) {
        a = b;
      } else if (step.op == ElementOp::select) {
        const Four c = operand_of<kStrided>(e, step.c, registers, i);
#pragma unroll
        for (int j = 0; j < kPer; ++j)
          a.v[j] = a.v[j] != 0.0F ? b.v[j] : c.v[j];
      } else {
        apply(step.op, a, b);
      }
    }
    store_result<kStrided>(e, i, a);
  }
}

Operand operand_layout(const ElementwiseSpec& spec, const std::int64_t* strides,
                       const float* address) {
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

void elementwise(const Queue& q, const ElementwiseSpec& spec, const float* const* inputs,
                 float* y) {
  Expression e;
  e.spec = spec;
  e.size = 1;
  for (int axis = 0; axis < spec.rank; ++axis)
    e.size *= spec.shape[axis];
  e.y = y;
  e.out = operand_layout(spec, spec.out, y);
  bool strided = e.out.layout == Layout::strided;
  for (int k = 0; k < spec.inputs; ++k) {
    e.input[k] = inputs[k];
    e.operand[k] = operand_layout(spec, spec.input[k], inputs[k]);
    strided = strided || e.operand[k].layout == Layout::strided;
  }
  bool temps = false;
  for (int s = 0; s < spec.count; ++s)
    temps = temps || spec.step[s].op == ElementOp::store;
  const auto kernel = strided ? (temps ? run<true, true> : run<true, false>)
                              : (temps ? run<false, true> : run<false, false>);
  launch("queue an elementwise expression", kernel, blocks_for(q, (e.size + kPer - 1) / kPer), q,
         e);
}

} // namespace mlp::kernels::cuda
