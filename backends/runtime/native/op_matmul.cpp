// MatMul and Gemm: float on the device, with the bias and the activation that the optimiser fused
// into them; double and integers by a plain loop.
#include "backends/runtime/native/device_copy.hpp"
#include "backends/runtime/native/elementwise.hpp"
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/fused.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "backends/runtime/native/plan_cache.hpp"
#include "backends/runtime/native/strided.hpp"
#include "core/base/error.hpp"
#include "kernels/device.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::native {

namespace {

using kernels::MatmulPlan;
using kernels::MatmulSpec;

struct Key {
  std::int64_t m, n, k, batch, stride_a, stride_b;
  bool bias, beta;
  bool operator==(const Key&) const = default;
};
using Plans = PlanCache<Key, MatmulPlan>;

// y[m, n] += a[m, k] b[k, n], for the types that no device multiplies.
template <class T>
void multiply_plain(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, bool transpose_a,
                    const T* b, bool transpose_b, T* y) {
  using W = std::conditional_t<std::is_integral_v<T>, Wrapping<T>, T>;
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t p = 0; p < k; ++p) {
      const auto factor = static_cast<W>(transpose_a ? a[p * m + i] : a[i * k + p]);
      for (std::int64_t j = 0; j < n; ++j)
        y[i * n + j] =
            static_cast<T>(static_cast<W>(y[i * n + j]) +
                           factor * static_cast<W>(transpose_b ? b[j * k + p] : b[p * n + j]));
    }
}

template <class T>
T scaled(float factor, T x) {
  if (factor == 1.0F) return x;
  if constexpr (std::is_integral_v<T>)
    return convert<T>(static_cast<double>(factor) * static_cast<double>(x));
  else
    return static_cast<T>(factor) * x;
}

void run_plan(const MatmulPlan& plan, Call& call, const float* a, const float* b, const float* bias,
              float* y) {
  void* workspace = nullptr;
  StorageRef room;
  if (plan.workspace_bytes() > 0) room = call.memory().scratch(plan.workspace_bytes(), workspace);
  plan.run(call.stream(), a, b, bias, y, workspace);
}

// What MatMul's rules make of two shapes: matrices, and which ones go together.
struct Product {
  std::int64_t m, n, k;
  Dims batch; // of the result
  Dims a_batch, b_batch;
  Dims out;
};

Product product_of(const Value& a, const Value& b) {
  if (a.dims.empty() || b.dims.empty()) throw Error(ErrorKind::failed, "takes no scalars");
  Dims left = a.dims;
  Dims right = b.dims;
  if (left.size() == 1) left.insert(0, 1);
  if (right.size() == 1) right.push_back(1);
  Product p{left[left.size() - 2], right.back(), left.back(), {}, {}, {}, {}};
  if (right[right.size() - 2] != p.k)
    throw Error(ErrorKind::failed, fmt::format("shapes {} and {} do not fit a product",
                                               to_string(a.dims), to_string(b.dims)));
  for (std::size_t i = 0; i + 2 < left.size(); ++i)
    p.a_batch.push_back(left[i]);
  for (std::size_t i = 0; i + 2 < right.size(); ++i)
    p.b_batch.push_back(right[i]);
  p.batch = broadcast_shape(p.a_batch, p.b_batch);
  p.out = p.batch;
  if (a.dims.size() > 1) p.out.push_back(p.m);
  if (b.dims.size() > 1) p.out.push_back(p.n);
  return p;
}

class MatMul {
 public:
  MatMul(kernels::Device& device, FusedActivation activation)
      : device_(device), activation_(activation) {}

  void run(Call& call) {
    const Value& a = call.in(0);
    const Value& b = call.in(1);
    expect_same_type(a, b);
    Product p = product_of(a, b);
    Value& out = call.out(0, a.type, p.out);
    if (out.count == 0) return;
    std::int64_t batch = p.batch.product(0, p.batch.size());
    if (p.b_batch.product(0, p.b_batch.size()) == 1 &&
        batch == p.a_batch.product(0, p.a_batch.size())) {
      p.m *= batch; // one B for all: the rows of A's matrices follow each other
      batch = 1;
    }
    if (a.type != Type::f32) return run_plain(p, batch, a, b, out);
    const float* bias = call.has(2) ? call.in(2).data<float>() : nullptr;
    const bool repeat_a = p.a_batch.product(0, p.a_batch.size()) == 1;
    const bool repeat_b = p.b_batch.product(0, p.b_batch.size()) == 1;
    if (batch == 1 || ((repeat_a || p.a_batch == p.batch) && (repeat_b || p.b_batch == p.batch))) {
      const Key key{p.m,
                    p.n,
                    p.k,
                    batch,
                    repeat_a ? 0 : p.m * p.k,
                    repeat_b ? 0 : p.k * p.n,
                    bias != nullptr,
                    false};
      const auto product = plan(key);
      call.keep(product);
      return run_plan(*product, call, a.data<float>(), b.data<float>(), bias, out.data<float>());
    }
    const Key key{p.m, p.n, p.k, 1, 0, 0, bias != nullptr, false};
    const auto single = plan(key);
    call.keep(single);
    for_each_matrix(p, [&](std::int64_t at, std::int64_t from_a, std::int64_t from_b) {
      run_plan(*single, call, a.data<float>() + from_a * p.m * p.k,
               b.data<float>() + from_b * p.k * p.n, bias, out.data<float>() + at * p.m * p.n);
    });
  }

 private:
  std::shared_ptr<const MatmulPlan> plan(const Key& key) {
    return plans_.get(key, [&] {
      MatmulSpec spec;
      spec.m = key.m;
      spec.n = key.n;
      spec.k = key.k;
      spec.batch = key.batch;
      spec.stride_a = key.stride_a;
      spec.stride_b = key.stride_b;
      spec.stride_c = key.m * key.n;
      spec.bias = key.bias;
      spec.activation = to_device(activation_);
      return device_.plan(spec);
    });
  }

  template <class Body>
  static void for_each_matrix(const Product& p, Body&& body) {
    const Broadcast<2> matrices(p.batch, {&p.a_batch, &p.b_batch});
    matrices.for_each_row(
        [&](std::int64_t at, const auto& from, std::int64_t n, const auto& steps) {
          for (std::int64_t i = 0; i < n; ++i)
            body(at + i, from[0] + i * steps[0], from[1] + i * steps[1]);
        });
  }

  static void run_plain(const Product& p, std::int64_t batch, const Value& a, const Value& b,
                        Value& out) {
    visit_number(a.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      std::fill_n(out.data<T>(), out.count, T{0});
      if (batch == 1)
        return multiply_plain<T>(p.m, p.n, p.k, a.data<T>(), false, b.data<T>(), false,
                                 out.data<T>());
      for_each_matrix(p, [&](std::int64_t at, std::int64_t from_a, std::int64_t from_b) {
        multiply_plain<T>(p.m, p.n, p.k, a.data<T>() + from_a * p.m * p.k, false,
                          b.data<T>() + from_b * p.k * p.n, false, out.data<T>() + at * p.m * p.n);
      });
    });
  }

  kernels::Device& device_;
  FusedActivation activation_;
  Plans plans_;
};

Kernel make_matmul(const NodeSpec& spec) {
  // Input 2 is a bias of n elements that the optimiser put there.
  spec.expect_inputs(2, spec.is_fused() ? 3 : 2);
  return [op = std::make_shared<MatMul>(spec.device(), spec.activation())](Call& call) {
    op->run(call);
  };
}

struct GemmSpec {
  float alpha, beta;
  bool transpose_a, transpose_b;
  FusedActivation activation;
};

class Gemm {
 public:
  Gemm(kernels::Device& device, const GemmSpec& spec) : device_(device), spec_(spec) {}

  void run(Call& call) {
    const Value& a = call.in(0);
    const Value& b = call.in(1);
    expect_same_type(a, b);
    if (a.dims.size() != 2 || b.dims.size() != 2)
      throw Error(ErrorKind::failed, fmt::format("takes matrices, not {} and {}", to_string(a.dims),
                                                 to_string(b.dims)));
    const std::int64_t m = a.dims[spec_.transpose_a ? 1 : 0];
    const std::int64_t k = a.dims[spec_.transpose_a ? 0 : 1];
    const std::int64_t n = b.dims[spec_.transpose_b ? 0 : 1];
    if (b.dims[spec_.transpose_b ? 1 : 0] != k)
      throw Error(ErrorKind::failed, fmt::format("shapes {} and {} do not fit a product",
                                                 to_string(a.dims), to_string(b.dims)));
    const Dims dims{m, n};
    Value& out = call.out(0, a.type, dims);
    const Value* c = call.has(2) ? &call.in(2) : nullptr;
    if (c != nullptr) expect_same_type(a, *c);
    if (out.count == 0) return;
    if (a.type != Type::f32) return run_plain(call, m, n, k, out);

    // C of one row is the device's bias; any other C is laid into the result first.
    const bool is_row = c != nullptr && spec_.beta == 1.0F && c->count == n &&
                        (c->dims.size() == 1 || (c->dims.size() == 2 && c->dims[0] == 1));
    if (c != nullptr && !is_row) add_first(*c, call, out);
    const Key key{m, n, k, 1, 0, 0, is_row, c != nullptr && !is_row};
    const auto product = plan(key);
    call.keep(product);
    run_plan(*product, call, a.data<float>(), b.data<float>(), is_row ? c->data<float>() : nullptr,
             out.data<float>());
  }

 private:
  void add_first(const Value& c, Call& call, Value& out) {
    if (call.on_accelerator()) return expand_on_device(device_, call.stream(), c, out);
    const Value full = broadcast_to(c, out.dims, call.memory());
    std::copy_n(full.data<float>(), out.count, out.data<float>());
  }

  std::shared_ptr<const MatmulPlan> plan(const Key& key) {
    return plans_.get(key, [&] {
      MatmulSpec spec;
      spec.m = key.m;
      spec.n = key.n;
      spec.k = key.k;
      spec.transpose_a = spec_.transpose_a;
      spec.transpose_b = spec_.transpose_b;
      spec.alpha = spec_.alpha;
      spec.beta = key.beta ? spec_.beta : 0.0F;
      spec.bias = key.bias;
      spec.activation = to_device(spec_.activation);
      return device_.plan(spec);
    });
  }

  void run_plain(Call& call, std::int64_t m, std::int64_t n, std::int64_t k, Value& out) const {
    visit_number(out.type, [&](auto tag) {
      using T = typename decltype(tag)::type;
      std::fill_n(out.data<T>(), out.count, T{0});
      multiply_plain<T>(m, n, k, call.in(0).data<T>(), spec_.transpose_a, call.in(1).data<T>(),
                        spec_.transpose_b, out.data<T>());
      for (std::int64_t i = 0; i < out.count; ++i)
        out.data<T>()[i] = scaled(spec_.alpha, out.data<T>()[i]);
      if (!call.has(2)) return;
      const Value c = broadcast_to(call.in(2), out.dims, call.memory());
      using W = std::conditional_t<std::is_integral_v<T>, Wrapping<T>, T>;
      for (std::int64_t i = 0; i < out.count; ++i)
        out.data<T>()[i] = static_cast<T>(static_cast<W>(out.data<T>()[i]) +
                                          static_cast<W>(scaled(spec_.beta, c.data<T>()[i])));
    });
  }

  kernels::Device& device_;
  GemmSpec spec_;
  Plans plans_;
};

Kernel make_gemm(const NodeSpec& spec) {
  spec.expect_inputs(2, 3);
  const GemmSpec gemm{spec.real("alpha", 1.0F), spec.real("beta", 1.0F), spec.flag("transA", false),
                      spec.flag("transB", false), spec.activation()};
  return [op = std::make_shared<Gemm>(spec.device(), gemm)](Call& call) { op->run(call); };
}

constexpr int kNewest = Operator::kNewest;
constexpr Operator table[] = {
    {"", "MatMul", 1, kNewest, make_matmul, Half::via_float, Place::device},
    {"", "Gemm", 7, kNewest, make_gemm, Half::via_float, Place::device},
};

} // namespace

std::span<const Operator> matmul_operators() {
  return table;
}

} // namespace mlp::native
