// Shape, Size, Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout: operators that look at a
// shape or change it and leave the elements where they are.
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace mlp::native {

namespace {

std::int64_t clamp_axis(std::int64_t axis, std::int64_t rank) {
  return std::clamp<std::int64_t>(axis < 0 ? axis + rank : axis, 0, rank);
}

Kernel make_shape(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  std::int64_t start = 0;
  std::int64_t end = INT64_MAX;
  if (spec.opset() >= 15) {
    start = spec.integer("start", start);
    end = spec.integer("end", end);
  }
  return [start, end](Call& call) {
    const Dims& dims = call.in(0).dims;
    const auto rank = static_cast<std::int64_t>(dims.size());
    const std::int64_t from = clamp_axis(start, rank);
    const std::int64_t to = std::max(from, clamp_axis(end, rank));
    Value& out = call.out(0, Type::i64, Dims{to - from});
    std::copy(dims.begin() + from, dims.begin() + to, out.data<std::int64_t>());
  };
}

Kernel make_size(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return
      [](Call& call) { *call.out(0, Type::i64, Dims{}).data<std::int64_t>() = call.in(0).count; };
}

// 0 keeps the input's dimension (unless allow_zero), one -1 takes what is left.
Dims reshaped_dims(const Value& in, std::span<const std::int64_t> wanted, bool allow_zero) {
  Dims dims(wanted);
  std::size_t open = kMaxRank;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && !allow_zero) {
      if (i >= in.dims.size())
        throw Error(ErrorKind::failed, fmt::format("shape {} keeps dimension {}, which {} lacks",
                                                   to_string(dims), i, to_string(in.dims)));
      dims[i] = in.dims[i];
    }
    if (dims[i] == -1 && open == kMaxRank) {
      open = i;
      dims[i] = 1;
    }
  }
  const auto count = model::element_count(dims.span());
  if (open != kMaxRank && count && *count > 0 && in.count % *count == 0)
    dims[open] = in.count / *count;
  const auto total = model::element_count(dims.span());
  if (!total || *total != in.count)
    throw Error(ErrorKind::failed,
                fmt::format("shape {} does not fit the {} elements of shape {}",
                            model::shape_text(wanted), in.count, to_string(in.dims)));
  return dims;
}

Kernel make_reshape(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  const bool allow_zero = spec.opset() >= 14 && spec.flag("allowzero", false);
  return [allow_zero](Call& call) {
    const Value& in = call.in(0);
    const auto wanted = read_integers(call.in(1), "the shape");
    call.set(0, in.reshaped(reshaped_dims(in, wanted, allow_zero)));
  };
}

Kernel make_flatten(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return [axis = spec.integer("axis", 1)](Call& call) {
    const Value& in = call.in(0);
    const auto rank = static_cast<std::int64_t>(in.dims.size());
    if (axis < -rank || axis > rank)
      throw Error(ErrorKind::failed,
                  fmt::format("axis {} is outside of {}", axis, to_string(in.dims)));
    const auto at = static_cast<std::size_t>(axis < 0 ? axis + rank : axis);
    call.set(0, in.reshaped(Dims{in.dims.product(0, at), in.dims.product(at, in.dims.size())}));
  };
}

using AxesOf = std::function<std::optional<std::vector<std::int64_t>>(const Call&)>;

// An attribute before opset 13, then input 1.
AxesOf axes_of(const NodeSpec& spec) {
  if (spec.opset() < 13) {
    spec.expect_inputs(1, 1);
    return [axes = spec.integers("axes")](const Call&) { return axes; };
  }
  spec.expect_inputs(1, 2);
  return [](const Call& call) -> std::optional<std::vector<std::int64_t>> {
    if (!call.has(1)) return std::nullopt;
    return read_integers(call.in(1), "the axes");
  };
}

Kernel make_squeeze(const NodeSpec& spec) {
  return [axes_in = axes_of(spec)](Call& call) {
    const Value& in = call.in(0);
    const auto axes = axes_in(call);
    std::array<bool, kMaxRank> drop{};
    for (std::size_t i = 0; i < in.dims.size() && !axes; ++i)
      drop[i] = in.dims[i] == 1;
    if (axes)
      for (const std::int64_t axis : *axes) {
        const std::size_t at = resolve_axis(axis, in.dims.size());
        if (in.dims[at] != 1)
          throw Error(ErrorKind::failed,
                      fmt::format("axis {} of shape {} is not 1", axis, to_string(in.dims)));
        drop[at] = true;
      }
    Dims dims;
    for (std::size_t i = 0; i < in.dims.size(); ++i)
      if (!drop[i]) dims.push_back(in.dims[i]);
    call.set(0, in.reshaped(dims));
  };
}

Kernel make_unsqueeze(const NodeSpec& spec) {
  return [axes_in = axes_of(spec)](Call& call) {
    const Value& in = call.in(0);
    const auto axes = axes_in(call);
    if (!axes) throw Error(ErrorKind::failed, "axes are missing");
    const std::size_t rank = in.dims.size() + axes->size();
    if (rank > kMaxRank)
      throw Error(ErrorKind::failed, fmt::format("the result has {} dimensions", rank));
    std::array<bool, kMaxRank> added{};
    for (const std::int64_t axis : *axes) {
      const std::size_t at = resolve_axis(axis, rank);
      if (added[at]) throw Error(ErrorKind::failed, fmt::format("axis {} is given twice", axis));
      added[at] = true;
    }
    Dims dims;
    for (std::size_t i = 0, from = 0; i < rank; ++i)
      dims.push_back(added[i] ? 1 : in.dims[from++]);
    call.set(0, in.reshaped(dims));
  };
}

Kernel make_identity(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return [](Call& call) { call.set(0, call.in(0)); };
}

// numpy's legacy generator: ONNX's definition of Dropout in training draws its mask with it.
class LegacyUniform {
 public:
  explicit LegacyUniform(std::uint32_t seed) : engine_(seed) {}
  double next() {
    const std::uint32_t high = engine_() >> 5;
    const std::uint32_t low = engine_() >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
  }

 private:
  std::mt19937 engine_;
};

void train_dropout(Call& call, double ratio, std::int64_t seed) {
  const Value& in = call.in(0);
  Value& out = call.out(0, in.type, in.dims);
  Value mask = call.memory().allocate(Type::boolean, in.dims);
  LegacyUniform uniform(static_cast<std::uint32_t>(seed));
  for (std::int64_t i = 0; i < in.count; ++i)
    mask.data<bool>()[i] = uniform.next() >= ratio;
  visit_float(in.type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto scale = static_cast<T>(1.0 / (1.0 - ratio));
    for (std::int64_t i = 0; i < in.count; ++i)
      out.data<T>()[i] = mask.data<bool>()[i] ? in.data<T>()[i] * scale : T{0};
  });
  if (call.wants(1)) call.set(1, mask);
}

// Before opset 12 it does nothing but pass on; then input 2 can ask for training.
Kernel make_dropout(const NodeSpec& spec) {
  if (spec.opset() < 12) spec.ignore("ratio");
  const std::int64_t seed = spec.opset() < 12 ? 0 : spec.integer("seed", 0);
  spec.expect_inputs(1, spec.opset() < 12 ? 1 : 3);
  const Type mask_type = spec.opset() < 10 ? Type::undefined : Type::boolean;
  return [seed, mask_type](Call& call) {
    const Value& in = call.in(0);
    if (call.has(2) && read_number(call.in(2), "training_mode") != 0.0) {
      const double ratio = call.has(1) ? read_number(call.in(1), "the ratio") : 0.5;
      if (!(ratio >= 0.0 && ratio < 1.0))
        throw Error(ErrorKind::failed, fmt::format("the ratio is {}", ratio));
      return train_dropout(call, ratio, seed);
    }
    call.set(0, in);
    if (!call.wants(1)) return;
    Value ones = call.memory().allocate(Type::boolean, in.dims);
    std::fill_n(ones.data<bool>(), ones.count, true);
    call.set(1,
             cast_numbers(ones, mask_type == Type::undefined ? in.type : mask_type, call.memory()));
  };
}

constexpr int kNewest = Operator::kNewest;
constexpr Operator table[] = {
    {"", "Shape", 1, kNewest, make_shape, Half::as_is, Place::shape},
    {"", "Size", 1, kNewest, make_size, Half::as_is, Place::shape},
    {"", "Reshape", 5, kNewest, make_reshape, Half::as_is, Place::view},
    {"", "Flatten", 1, kNewest, make_flatten, Half::as_is, Place::view},
    {"", "Squeeze", 1, kNewest, make_squeeze, Half::as_is, Place::view},
    {"", "Unsqueeze", 1, kNewest, make_unsqueeze, Half::as_is, Place::view},
    {"", "Identity", 1, kNewest, make_identity, Half::as_is, Place::view},
    {"", "Dropout", 7, kNewest, make_dropout, Half::via_float, Place::view},
};

} // namespace

std::span<const Operator> shape_operators() {
  return table;
}

} // namespace mlp::native
