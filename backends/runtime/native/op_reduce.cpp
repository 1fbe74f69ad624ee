// ReduceSum and its kin, ArgMax, ArgMin. One pass over the input in memory order; axes that are
// reduced (or kept) together are merged, so that the inner loop either folds a row or adds rows up.
#include "backends/runtime/native/device_copy.hpp"
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "backends/runtime/native/strided.hpp"
#include "core/base/error.hpp"
#include "kernels/device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace mlp::native {

namespace {

// What a reduction keeps while it runs. Sums of floats are kept in double.
template <class T>
using Wide =
    std::conditional_t<std::is_floating_point_v<T>, double,
                       std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>;
template <class T>
using Bits = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>; // wraps

template <class T>
struct SumOf {
  using State = Bits<T>;
  static State start() { return 0; }
  static State add(State s, T x) { return s + static_cast<State>(x); }
  static State merge(State a, State b) { return a + b; }
  static T finish(State s, std::int64_t) { return static_cast<T>(s); }
};
template <class T>
struct MeanOf : SumOf<T> {
  static T finish(typename SumOf<T>::State s, std::int64_t n) {
    if constexpr (std::is_floating_point_v<T>)
      return static_cast<T>(s / static_cast<double>(n));
    else
      return n == 0 ? T{0} : static_cast<T>(static_cast<Wide<T>>(s) / static_cast<Wide<T>>(n));
  }
};
template <class T>
struct ProductOf {
  using State = Bits<T>;
  static State start() { return 1; }
  static State add(State s, T x) { return s * static_cast<State>(x); }
  static State merge(State a, State b) { return a * b; }
  static T finish(State s, std::int64_t) { return static_cast<T>(s); }
};
template <class T>
struct AbsoluteSumOf : SumOf<T> {
  using State = Bits<T>;
  static State add(State s, T x) {
    return x < T{0} ? s - static_cast<State>(x) : s + static_cast<State>(x);
  }
};
template <class T>
struct SquareSumOf : SumOf<T> {
  using State = Bits<T>;
  static State add(State s, T x) { return s + static_cast<State>(x) * static_cast<State>(x); }
};
template <class T>
struct NormOf : SquareSumOf<T> {
  static T finish(Bits<T> s, std::int64_t) { return convert<T>(std::sqrt(static_cast<double>(s))); }
};
template <class T>
struct LogSumOf : SumOf<T> {
  static T finish(Bits<T> s, std::int64_t) {
    return convert<T>(std::log(static_cast<double>(static_cast<Wide<T>>(s))));
  }
};
// The largest so far and the sum of exponentials relative to it (Milakov & Gimelshein 2018).
template <class T>
struct LogSumExpOf {
  struct State {
    double largest, sum;
  };
  static State start() { return {-std::numeric_limits<double>::infinity(), 0.0}; }
  static State add(State s, T x) { return merge(s, {static_cast<double>(x), 1.0}); }
  static State merge(State a, State b) {
    if (a.largest < b.largest) std::swap(a, b);
    if (b.sum == 0.0) return a;
    if (a.largest == b.largest) return {a.largest, a.sum + b.sum};
    return {a.largest, a.sum + b.sum * std::exp(b.largest - a.largest)};
  }
  static T finish(State s, std::int64_t) { return convert<T>(s.largest + std::log(s.sum)); }
};
template <class T>
struct MaximumOf {
  using State = T;
  static State start() {
    if constexpr (std::is_floating_point_v<T>)
      return -std::numeric_limits<T>::infinity();
    else
      return std::numeric_limits<T>::lowest();
  }
  static State add(State s, T x) { return s > x || s != s ? s : x; }
  static State merge(State a, State b) { return add(a, b); }
  static T finish(State s, std::int64_t) { return s; }
};
template <class T>
struct MinimumOf {
  using State = T;
  static State start() {
    if constexpr (std::is_floating_point_v<T>)
      return std::numeric_limits<T>::infinity();
    else
      return std::numeric_limits<T>::max();
  }
  static State add(State s, T x) { return s < x || s != s ? s : x; }
  static State merge(State a, State b) { return add(a, b); }
  static T finish(State s, std::int64_t) { return s; }
};

// Axes in runs that are all kept or all reduced.
struct Run {
  std::int64_t length = 1;
  std::int64_t out_stride = 0; // 0: reduced
};

std::vector<Run> runs_of(const Dims& dims, const std::array<bool, kMaxRank>& reduced) {
  std::vector<Run> runs;
  std::int64_t stride = 1;
  for (std::size_t axis = dims.size(); axis-- > 0;) {
    if (dims[axis] == 1) continue;
    const std::int64_t out_stride = reduced[axis] ? 0 : stride;
    if (!reduced[axis]) stride *= dims[axis];
    if (!runs.empty() && (runs.back().out_stride == 0) == reduced[axis])
      runs.back().length *= dims[axis];
    else
      runs.push_back({dims[axis], out_stride});
  }
  if (runs.empty()) runs.push_back({1, 1});
  std::reverse(runs.begin(), runs.end());
  return runs;
}

// Where in the output the rows of the input go, one after the other.
class Rows {
 public:
  explicit Rows(const std::vector<Run>& runs) : runs_(runs), position_(runs.size(), 0) {}
  [[nodiscard]] std::int64_t to() const { return to_; }
  void next() {
    for (std::size_t r = runs_.size() - 1; r-- > 0;) {
      to_ += runs_[r].out_stride;
      if (++position_[r] < runs_[r].length) break;
      to_ -= runs_[r].out_stride * runs_[r].length;
      position_[r] = 0;
    }
  }

 private:
  const std::vector<Run>& runs_;
  std::vector<std::int64_t> position_;
  std::int64_t to_ = 0;
};

template <class T, class Op>
typename Op::State fold(const T* x, std::int64_t n) {
  std::array<typename Op::State, 4> states{Op::start(), Op::start(), Op::start(), Op::start()};
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (std::size_t k = 0; k < 4; ++k)
      states[k] = Op::add(states[k], x[i + static_cast<std::int64_t>(k)]);
  for (; i < n; ++i)
    states[0] = Op::add(states[0], x[i]);
  return Op::merge(Op::merge(states[0], states[1]), Op::merge(states[2], states[3]));
}

template <class T, class Op>
void reduce(const Value& in, const std::vector<Run>& runs, Value& out, std::int64_t folded,
            Memory& memory) {
  using State = typename Op::State;
  void* address = nullptr;
  const StorageRef block =
      memory.scratch(static_cast<std::size_t>(out.count) * sizeof(State), address);
  auto* states = static_cast<State*>(address);
  std::uninitialized_fill_n(states, out.count, Op::start());
  const Run& row = runs.back();
  const T* x = in.data<T>();
  Rows rows(runs);
  for (std::int64_t at = 0; at < in.count; at += row.length, x += row.length, rows.next()) {
    State* to = states + rows.to();
    if (row.out_stride == 0)
      *to = Op::merge(*to, fold<T, Op>(x, row.length));
    else
      for (std::int64_t i = 0; i < row.length; ++i)
        to[i] = Op::add(to[i], x[i]);
  }
  for (std::int64_t i = 0; i < out.count; ++i)
    out.data<T>()[i] = Op::finish(states[i], folded);
}

using AxesOf = std::function<std::optional<std::vector<std::int64_t>>(const Call&)>;

AxesOf axes_of(const NodeSpec& spec, int input_since) {
  if (spec.opset() < input_since) {
    spec.expect_inputs(1, 1);
    return [axes = spec.integers("axes")](const Call&) { return axes; };
  }
  spec.expect_inputs(1, 2);
  return [](const Call& call) -> std::optional<std::vector<std::int64_t>> {
    if (!call.has(1)) return std::nullopt;
    return read_integers(call.in(1), "the axes");
  };
}

struct Reduction {
  std::array<bool, kMaxRank> reduced{};
  Dims kept;               // the result's shape
  std::int64_t folded = 1; // elements that become one
};

Reduction plan_reduction(const Value& in, const std::optional<std::vector<std::int64_t>>& axes,
                         bool keep_dims) {
  Reduction plan;
  const bool all = !axes || axes->empty();
  for (std::size_t i = 0; i < in.dims.size() && all; ++i)
    plan.reduced[i] = true;
  if (!all)
    for (const std::int64_t axis : *axes)
      plan.reduced[resolve_axis(axis, in.dims.size())] = true;
  for (std::size_t i = 0; i < in.dims.size(); ++i) {
    if (plan.reduced[i]) plan.folded *= in.dims[i];
    if (!plan.reduced[i])
      plan.kept.push_back(in.dims[i]);
    else if (keep_dims)
      plan.kept.push_back(1);
  }
  return plan;
}

// `reduce` with one Op, for whatever type of number `in` holds.
using ReduceNumbers = void (*)(const Value& in, const std::vector<Run>& runs, Value& out,
                               std::int64_t folded, Memory& memory);

template <template <class> class Op>
void reduce_numbers(const Value& in, const std::vector<Run>& runs, Value& out, std::int64_t folded,
                    Memory& memory) {
  visit_number(in.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    reduce<T, Op<T>>(in, runs, out, folded, memory);
  });
}

// The reduced axes last, as an accelerator wants them where they are not neighbours.
Value reduced_last(kernels::Device& device, const Value& in, const Reduction& plan, Call& call) {
  const Strides dense = dense_strides(in.dims);
  Dims dims;
  Strides strides{};
  for (const bool reduced : {false, true})
    for (std::size_t axis = 0; axis < in.dims.size(); ++axis)
      if (plan.reduced[axis] == reduced) {
        strides[dims.size()] = dense[axis];
        dims.push_back(in.dims[axis]);
      }
  Value moved = call.memory().allocate(in.type, dims);
  copy_on_device(device, call.stream(), dims, in, 0, strides, moved);
  return moved;
}

void reduce_on_device(kernels::Device& device, kernels::Reduce kind, const Reduction& plan,
                      Call& call) {
  const Value& in = call.in(0);
  Value& out = call.out(0, in.type, plan.kept);
  const std::vector<Run> runs = runs_of(in.dims, plan.reduced);
  const auto folds = [&](std::size_t i) { return i < runs.size() && runs[i].out_stride == 0; };
  const std::size_t first = folds(0) ? 0 : 1;
  kernels::ReduceSpec spec{.kind = kind};
  if (runs.size() > first + 2) { // another run of reduced axes
    spec.outer = out.count;
    spec.count = plan.folded;
    const Value moved = reduced_last(device, in, plan, call);
    return device.reduce(call.stream(), spec, moved.data<float>(), out.data<float>());
  }
  if (first == 1) spec.outer = runs[0].length;
  if (folds(first)) spec.count = runs[first].length;
  if (first + 1 < runs.size()) spec.inner = runs[first + 1].length;
  device.reduce(call.stream(), spec, in.data<float>(), out.data<float>());
}

// `takes_bool`: flags are reduced as the numbers 0 and 1. `kind`: what an accelerator calls it.
Kernel reduction(const NodeSpec& spec, ReduceNumbers run, bool takes_bool, kernels::Reduce kind) {
  const int input_since = spec.op() == "ReduceSum" ? 13 : 18;
  const AxesOf axes_in = axes_of(spec, input_since);
  const bool keep_dims = spec.flag("keepdims", true);
  const bool noop = spec.opset() >= input_since && spec.flag("noop_with_empty_axes", false);
  return [axes_in, keep_dims, noop, run, takes_bool, kind, device = &spec.device()](Call& call) {
    const Value& given = call.in(0);
    const auto axes = axes_in(call);
    const bool flags = takes_bool && given.type == Type::boolean;
    Value in = given;
    if (flags) in.type = Type::u8;
    Reduction plan = plan_reduction(in, axes, keep_dims);
    if (noop && (!axes || axes->empty())) {
      plan = Reduction{{}, in.dims, 1};
    }
    if (call.on_accelerator()) return reduce_on_device(*device, kind, plan, call);
    Value& out = call.out(0, in.type, plan.kept);
    run(in, runs_of(in.dims, plan.reduced), out, plan.folded, call.memory());
    if (flags) out.type = Type::boolean;
  };
}

template <template <class> class Op, kernels::Reduce Kind, bool TakesBool = false>
Kernel make_reduce(const NodeSpec& spec) {
  return reduction(spec, reduce_numbers<Op>, TakesBool, Kind);
}

template <class T, bool Largest>
std::int64_t best(const T* x, std::int64_t n, std::int64_t stride, bool last) {
  std::int64_t at = 0;
  for (std::int64_t i = 1; i < n; ++i) {
    const T now = x[i * stride];
    const T before = x[at * stride];
    if (before != before) break; // the first NaN wins, as in numpy
    const bool better = Largest ? now > before : now < before;
    if (better || now != now || (last && now == before)) at = i;
  }
  return at;
}

template <bool Largest>
Kernel make_arg(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  const std::int64_t axis_attribute = spec.integer("axis", 0);
  const bool keep_dims = spec.flag("keepdims", true);
  const bool last = spec.opset() >= 12 && spec.flag("select_last_index", false);
  return [axis_attribute, keep_dims, last](Call& call) {
    const Value& in = call.in(0);
    const std::size_t axis = resolve_axis(axis_attribute, in.dims.size());
    const std::int64_t size = in.dims[axis];
    const std::int64_t inner = in.dims.product(axis + 1, in.dims.size());
    Dims dims = in.dims;
    dims[axis] = 1;
    if (!keep_dims) dims.erase(axis);
    Value& out = call.out(0, Type::i64, dims);
    if (size == 0 && out.count > 0)
      throw Error(ErrorKind::failed,
                  fmt::format("axis {} of shape {} is empty", axis_attribute, to_string(in.dims)));
    visit_number(in.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (std::int64_t i = 0; i < out.count; ++i)
        out.data<std::int64_t>()[i] = best<T, Largest>(
            in.data<T>() + i / inner * size * inner + i % inner, size, inner, last);
    });
  };
}

using Kind = kernels::Reduce;
constexpr int kNewest = Operator::kNewest;
constexpr Operator table[] = {
    {"", "ReduceSum", 1, kNewest, make_reduce<SumOf, Kind::sum>, Half::via_float, Place::moves},
    {"", "ReduceMean", 1, kNewest, make_reduce<MeanOf, Kind::mean>, Half::via_float, Place::moves},
    {"", "ReduceProd", 1, kNewest, make_reduce<ProductOf, Kind::product>, Half::via_float,
     Place::moves},
    {"", "ReduceMax", 1, kNewest, make_reduce<MaximumOf, Kind::largest, true>, Half::via_float,
     Place::moves},
    {"", "ReduceMin", 1, kNewest, make_reduce<MinimumOf, Kind::smallest, true>, Half::via_float,
     Place::moves},
    {"", "ReduceL1", 1, kNewest, make_reduce<AbsoluteSumOf, Kind::absolute_sum>, Half::via_float,
     Place::moves},
    {"", "ReduceL2", 1, kNewest, make_reduce<NormOf, Kind::norm>, Half::via_float, Place::moves},
    {"", "ReduceSumSquare", 1, kNewest, make_reduce<SquareSumOf, Kind::square_sum>, Half::via_float,
     Place::moves},
    {"", "ReduceLogSum", 1, kNewest, make_reduce<LogSumOf, Kind::log_sum>, Half::via_float,
     Place::moves},
    // On the host alone: its kind is never asked for.
    {"", "ReduceLogSumExp", 1, kNewest, make_reduce<LogSumExpOf, Kind::log_sum>, Half::via_float},
    {"", "ArgMax", 1, kNewest, make_arg<true>, Half::via_float},
    {"", "ArgMin", 1, kNewest, make_arg<false>, Half::via_float},
};

} // namespace

std::span<const Operator> reduce_operators() {
  return table;
}

} // namespace mlp::native
