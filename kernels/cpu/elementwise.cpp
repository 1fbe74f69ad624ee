// Elementwise expressions: a step at a time over a few hundred elements, so that what is between
// two steps stays in the first cache.
#include "kernels/convert.hpp"
#include "kernels/cpu/math.hpp"
#include "kernels/cpu/ops.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kChunk = 256;
constexpr std::int64_t kLeast = 1 << 13; // elements that are worth a thread

using From = ElementOperand::From;

// Elements [i, i + n) of the walk over `shape`: body(offset, stride, at, length) for each row of
// them.
template <class Body>
void for_each_row(const ElementwiseSpec& spec, const std::int64_t* strides, std::int64_t i,
                  std::int64_t n, const Body& body) {
  const std::int64_t inner = spec.shape[spec.rank - 1];
  for (std::int64_t at = 0; at < n;) {
    const std::int64_t column = (i + at) % inner;
    std::int64_t rest = (i + at) / inner;
    std::int64_t offset = column * strides[spec.rank - 1];
    for (int axis = spec.rank - 2; axis >= 0; --axis) {
      offset += rest % spec.shape[axis] * strides[axis];
      rest /= spec.shape[axis];
    }
    const std::int64_t length = std::min(n - at, inner - column);
    body(offset, strides[spec.rank - 1], at, length);
    at += length;
  }
}

MLP_INLINE void apply_body(ElementOp op, std::int64_t n, float* a, const float* b, const float* c) {
  const auto each = [&](auto f) __attribute__((always_inline)) {
    for (std::int64_t i = 0; i < n; ++i)
      a[i] = f(a[i], b[i], c[i]);
  };
  using F = float;
  switch (op) {
  case ElementOp::load:
    return each([](F, F y, F) { return y; });
  case ElementOp::store:
    return;
  case ElementOp::add:
    return each([](F x, F y, F) { return x + y; });
  case ElementOp::subtract:
    return each([](F x, F y, F) { return x - y; });
  case ElementOp::multiply:
    return each([](F x, F y, F) { return x * y; });
  case ElementOp::divide:
    return each([](F x, F y, F) { return x / y; });
  case ElementOp::minimum:
    return each([](F x, F y, F) { return x < y || x != x ? x : y; });
  case ElementOp::maximum:
    return each([](F x, F y, F) { return x > y || x != x ? x : y; });
  case ElementOp::power:
    return each([](F x, F y, F) { return y == 2.0F ? x * x : std::pow(x, y); });
  case ElementOp::prelu:
    return each([](F x, F y, F) { return x < 0.0F ? x * y : x; });
  case ElementOp::elu:
    return each([](F x, F y, F) { return x < 0.0F ? y * std::expm1(x) : x; });
  case ElementOp::less:
    return each([](F x, F y, F) { return x < y ? 1.0F : 0.0F; });
  case ElementOp::less_equal:
    return each([](F x, F y, F) { return x <= y ? 1.0F : 0.0F; });
  case ElementOp::greater:
    return each([](F x, F y, F) { return x > y ? 1.0F : 0.0F; });
  case ElementOp::greater_equal:
    return each([](F x, F y, F) { return x >= y ? 1.0F : 0.0F; });
  case ElementOp::equal:
    return each([](F x, F y, F) { return x == y ? 1.0F : 0.0F; });
  case ElementOp::select:
    return each([](F x, F y, F z) { return x != 0.0F ? y : z; });
  case ElementOp::negate:
    return each([](F x, F, F) { return -x; });
  case ElementOp::absolute:
    return each([](F x, F, F) { return std::fabs(x); });
  case ElementOp::sign:
    return each([](F x, F, F) { return x > 0.0F ? 1.0F : (x < 0.0F ? -1.0F : x); });
  case ElementOp::reciprocal:
    return each([](F x, F, F) { return 1.0F / x; });
  case ElementOp::square_root:
    return each([](F x, F, F) { return std::sqrt(x); });
  case ElementOp::exponential:
    return each([](F x, F, F) { return std::exp(x); });
  case ElementOp::logarithm:
    return each([](F x, F, F) { return std::log(x); });
  case ElementOp::error_function:
    return each([](F x, F, F) { return std::erf(x); });
  case ElementOp::floor:
    return each([](F x, F, F) { return std::floor(x); });
  case ElementOp::ceil:
    return each([](F x, F, F) { return std::ceil(x); });
  case ElementOp::round:
    return each([](F x, F, F) { return std::nearbyint(x); });
  case ElementOp::relu:
    return each([](F x, F, F) { return x < 0.0F ? 0.0F : x; });
  case ElementOp::gelu:
    return each([](F x, F, F) { return gelu_f32(x); });
  case ElementOp::tanh:
    return each([](F x, F, F) { return tanh_f32(x); });
  case ElementOp::sigmoid:
    return each([](F x, F, F) { return sigmoid_f32(x); });
  case ElementOp::softplus:
    return each([](F x, F, F) { return x > 20.0F ? x : std::log1p(std::exp(x)); });
  }
}

// Of integers, which wrap; what has no meaning for them has been refused.
MLP_INLINE void apply_integers_body(ElementOp op, std::int64_t n, std::int64_t* a,
                                    const std::int64_t* b, const std::int64_t* c) {
  const auto each = [&](auto f) __attribute__((always_inline)) {
    for (std::int64_t i = 0; i < n; ++i)
      a[i] = f(a[i], b[i], c[i]);
  };
  using I = std::int64_t;
  const auto wrapped = [](std::uint64_t x) { return static_cast<I>(x); };
  const auto bits = [](I x) { return static_cast<std::uint64_t>(x); };
  switch (op) {
  case ElementOp::load:
    return each([](I, I y, I) { return y; });
  case ElementOp::add:
    return each([&](I x, I y, I) { return wrapped(bits(x) + bits(y)); });
  case ElementOp::subtract:
    return each([&](I x, I y, I) { return wrapped(bits(x) - bits(y)); });
  case ElementOp::multiply:
    return each([&](I x, I y, I) { return wrapped(bits(x) * bits(y)); });
  case ElementOp::minimum:
    return each([](I x, I y, I) { return x < y ? x : y; });
  case ElementOp::maximum:
    return each([](I x, I y, I) { return x > y ? x : y; });
  case ElementOp::less:
    return each([](I x, I y, I) { return I{x < y}; });
  case ElementOp::less_equal:
    return each([](I x, I y, I) { return I{x <= y}; });
  case ElementOp::greater:
    return each([](I x, I y, I) { return I{x > y}; });
  case ElementOp::greater_equal:
    return each([](I x, I y, I) { return I{x >= y}; });
  case ElementOp::equal:
    return each([](I x, I y, I) { return I{x == y}; });
  case ElementOp::select:
    return each([](I x, I y, I z) { return x != 0 ? y : z; });
  case ElementOp::negate:
    return each([&](I x, I, I) { return wrapped(0 - bits(x)); });
  case ElementOp::absolute:
    return each([&](I x, I, I) { return x < 0 ? wrapped(0 - bits(x)) : x; });
  case ElementOp::sign:
    return each([](I x, I, I) { return I{x > 0} - I{x < 0}; });
  default:
    return;
  }
}
MLP_KERNEL(apply, (ElementOp op, std::int64_t n, float* a, const float* b, const float* c),
           (op, n, a, b, c))
MLP_KERNEL(apply_integers,
           (ElementOp op, std::int64_t n, std::int64_t* a, const std::int64_t* b,
            const std::int64_t* c),
           (op, n, a, b, c))

// T: the machine's numbers, float or int64.
template <class T>
class Chunk {
 public:
  Chunk(const ElementwiseSpec& spec, const void* const* inputs) : spec_(spec), inputs_(inputs) {
    std::int64_t dense[kMaxAxes];
    dense_strides(spec.rank, spec.shape, dense);
    const auto is_dense = [&](const std::int64_t* strides) {
      return std::equal(strides, strides + spec.rank, dense);
    };
    for (int k = 0; k < spec.inputs; ++k)
      dense_[k] = is_dense(spec.input[k]);
    dense_out_ = is_dense(spec.out);
  }

  // Elements [i, i + n), n <= kChunk.
  void run(std::int64_t i, std::int64_t n, void* y) {
    for (int s = 0; s < spec_.count; ++s) {
      const ElementStep& step = spec_.step[s];
      if (step.op == ElementOp::store) {
        std::memcpy(saved_[step.b.index], a_, static_cast<std::size_t>(n) * sizeof(T));
        continue;
      }
      const T* b = fetch(step.b, i, n, b_);
      const T* c = step.op == ElementOp::select ? fetch(step.c, i, n, c_) : b;
      if constexpr (std::is_same_v<T, float>)
        apply(step.op, n, a_, b, c);
      else
        apply_integers(step.op, n, a_, b, c);
    }
    with_element(spec_.result, [&](auto element) {
      using S = typename decltype(element)::type;
      write(i, n, static_cast<S*>(y));
    });
  }

 private:
  template <class S>
  void write(std::int64_t i, std::int64_t n, S* y) const {
    if (dense_out_) {
      for (std::int64_t j = 0; j < n; ++j)
        y[i + j] = convert_element<S>(a_[j]);
      return;
    }
    for_each_row(spec_, spec_.out, i, n,
                 [&](std::int64_t offset, std::int64_t stride, std::int64_t at, std::int64_t m) {
                   for (std::int64_t j = 0; j < m; ++j)
                     y[offset + j * stride] = convert_element<S>(a_[at + j]);
                 });
  }

  template <class S>
  void read(const std::int64_t* strides, bool dense, const S* x, std::int64_t i, std::int64_t n,
            T* room) const {
    if (dense) {
      for (std::int64_t j = 0; j < n; ++j)
        room[j] = convert_element<T>(x[i + j]);
      return;
    }
    for_each_row(spec_, strides, i, n,
                 [&](std::int64_t offset, std::int64_t stride, std::int64_t at, std::int64_t m) {
                   for (std::int64_t j = 0; j < m; ++j)
                     room[at + j] = convert_element<T>(x[offset + j * stride]);
                 });
  }

  const T* fetch(const ElementOperand& operand, std::int64_t i, std::int64_t n, T* room) {
    if (operand.from == From::temporary) return saved_[operand.index];
    if (operand.from == From::number) {
      std::fill_n(room, n, static_cast<T>(operand.number));
      return room;
    }
    const int k = operand.index;
    if (std::is_same_v<T, float> && spec_.type[k] == DType::f32 && dense_[k])
      return static_cast<const T*>(inputs_[k]) + i;
    with_element(spec_.type[k], [&](auto element) {
      using S = typename decltype(element)::type;
      read(spec_.input[k], dense_[k], static_cast<const S*>(inputs_[k]), i, n, room);
    });
    return room;
  }

  const ElementwiseSpec& spec_;
  const void* const* inputs_;
  bool dense_[kMaxInputs] = {};
  bool dense_out_ = false;
  alignas(64) T a_[kChunk] = {};
  alignas(64) T b_[kChunk];
  alignas(64) T c_[kChunk];
  alignas(64) T saved_[kTemporaries][kChunk];
};

template <class T>
void run(ThreadPool& pool, const ElementwiseSpec& spec, const void* const* inputs, void* y) {
  std::int64_t size = 1;
  for (int axis = 0; axis < spec.rank; ++axis)
    size *= spec.shape[axis];
  pool.split(size, kChunk, kLeast, [&](std::int64_t begin, std::int64_t end) {
    Chunk<T> chunk(spec, inputs);
    for (std::int64_t i = begin; i < end; i += kChunk)
      chunk.run(i, std::min(kChunk, end - i), y);
  });
}

} // namespace

void elementwise(ThreadPool& pool, const ElementwiseSpec& spec, const void* const* inputs,
                 void* y) {
  if (spec.integers)
    run<std::int64_t>(pool, spec, inputs, y);
  else
    run<float>(pool, spec, inputs, y);
}

} // namespace mlp::kernels::cpu
