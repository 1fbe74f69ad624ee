// Transpose, Concat, Split, Slice, Expand, Tile, DepthToSpace, SpaceToDepth: elements move, none
// changes. Works on every type by its width.
#include "backends/runtime/native/broadcast.hpp"
#include "backends/runtime/native/device_copy.hpp"
#include "backends/runtime/native/families.hpp"
#include "backends/runtime/native/numbers.hpp"
#include "backends/runtime/native/strided.hpp"
#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace mlp::native {

namespace {

// The view of input 0 as output i, on the host or on the device.
void take_view(kernels::Device& device, Call& call, std::int64_t first, const Strides& strides,
               std::size_t i, const Dims& dims) {
  const Value& in = call.in(0);
  Value& out = call.out(i, in.type, dims);
  if (call.on_accelerator())
    copy_on_device(device, call.stream(), dims, in, first, strides, out);
  else
    copy_strided(in, first, strides, out);
}

void transpose(kernels::Device& device, const Value& in, std::span<const std::size_t> order,
               Call& call) {
  const Strides dense = dense_strides(in.dims);
  Dims dims;
  Strides strides{};
  for (std::size_t i = 0; i < order.size(); ++i) {
    dims.push_back(in.dims[order[i]]);
    strides[i] = dense[order[i]];
  }
  take_view(device, call, 0, strides, 0, dims);
}

Kernel make_transpose(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  return [perm = spec.integers("perm"), device = &spec.device()](Call& call) {
    const Value& in = call.in(0);
    const std::size_t rank = in.dims.size();
    std::vector<std::size_t> order(rank);
    if (perm) {
      if (perm->size() != rank)
        throw Error(ErrorKind::failed,
                    fmt::format("perm has {} axes, the input {}", perm->size(), rank));
      std::array<bool, kMaxRank> seen{};
      for (std::size_t i = 0; i < rank; ++i) {
        order[i] = resolve_axis((*perm)[i], rank);
        if (std::exchange(seen[order[i]], true))
          throw Error(ErrorKind::failed, fmt::format("perm names axis {} twice", order[i]));
      }
    } else {
      std::iota(order.rbegin(), order.rend(), std::size_t{0});
    }
    transpose(*device, in, order, call);
  };
}

Kernel make_concat(const NodeSpec& spec) {
  spec.expect_inputs(1, SIZE_MAX);
  if (!spec.has("axis")) throw Error(ErrorKind::config, "attribute 'axis' is missing");
  return [axis_attribute = spec.integer("axis", 0), device = &spec.device()](Call& call) {
    const Value& first = call.in(0);
    const std::size_t axis = resolve_axis(axis_attribute, first.dims.size());
    Dims dims = first.dims;
    for (std::size_t i = 1; i < call.input_count(); ++i) {
      const Value& part = call.in(i);
      Dims same = part.dims;
      if (same.size() == dims.size()) same[axis] = dims[axis];
      if (part.type != first.type || !(same == dims))
        throw Error(ErrorKind::failed,
                    fmt::format("input {} is {} {}, which does not continue {} {} on axis {}", i,
                                type_name(part.type), to_string(part.dims), type_name(first.type),
                                to_string(first.dims), axis));
      if (__builtin_add_overflow(dims[axis], part.dims[axis], &dims[axis]))
        throw Error(ErrorKind::failed, "the result is too large");
    }
    Value& out = call.out(0, first.type, dims);
    const Strides strides = dense_strides(dims);
    std::int64_t at = 0;
    for (std::size_t i = 0; i < call.input_count(); ++i) {
      if (call.on_accelerator())
        place_on_device(*device, call.stream(), call.in(i), at * strides[axis], strides, out);
      else
        scatter_strided(call.in(i), at * strides[axis], strides, out);
      at += call.in(i).dims[axis];
    }
  };
}

std::vector<std::int64_t> even_split(std::int64_t size, std::int64_t parts) {
  const std::int64_t chunk = (size + parts - 1) / parts;
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = 0; i < parts; ++i)
    sizes.push_back(std::clamp<std::int64_t>(size - i * chunk, 0, chunk));
  return sizes;
}

// Sizes: an attribute before opset 13, then input 1; without: equal parts, of which the last may be
// smaller (num_outputs, since opset 18).
Kernel make_split(const NodeSpec& spec) {
  spec.expect_inputs(1, spec.opset() < 13 ? 1 : 2);
  const auto fixed = spec.opset() < 13 ? spec.integers("split") : std::nullopt;
  const std::int64_t axis_attribute = spec.integer("axis", 0);
  if (spec.opset() >= 18) spec.ignore("num_outputs"); // must equal the outputs there are
  return [fixed, axis_attribute, device = &spec.device()](Call& call) {
    const Value& in = call.in(0);
    const std::size_t axis = resolve_axis(axis_attribute, in.dims.size());
    const auto parts = static_cast<std::int64_t>(call.output_count());
    const std::vector<std::int64_t> sizes = call.has(1) ? read_integers(call.in(1), "split")
                                            : fixed     ? *fixed
                                                        : even_split(in.dims[axis], parts);
    std::int64_t total = 0;
    for (const std::int64_t size : sizes)
      if (size < 0 || size > in.dims[axis] || (total += size) > in.dims[axis]) total = -1;
    if (total != in.dims[axis] || static_cast<std::int64_t>(sizes.size()) != parts)
      throw Error(ErrorKind::failed, fmt::format("the parts do not add up to axis {} of {}", axis,
                                                 to_string(in.dims)));
    const Strides strides = dense_strides(in.dims);
    std::int64_t at = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      Dims dims = in.dims;
      dims[axis] = sizes[i];
      if (call.wants(i)) take_view(*device, call, at * strides[axis], strides, i, dims);
      at += sizes[i];
    }
  };
}

struct SliceSpec {
  std::vector<std::int64_t> starts, ends, axes, steps;
};

void slice(kernels::Device& device, const SliceSpec& spec, Call& call) {
  const Value& in = call.in(0);
  const std::size_t count = spec.starts.size();
  if (spec.ends.size() != count || (!spec.axes.empty() && spec.axes.size() != count) ||
      (!spec.steps.empty() && spec.steps.size() != count) || count > in.dims.size())
    throw Error(ErrorKind::failed, "starts, ends, axes and steps do not match");
  Dims dims = in.dims;
  Strides strides = dense_strides(in.dims);
  std::int64_t first = 0;
  std::array<bool, kMaxRank> seen{};
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t axis = resolve_axis(
        spec.axes.empty() ? static_cast<std::int64_t>(i) : spec.axes[i], in.dims.size());
    if (std::exchange(seen[axis], true))
      throw Error(ErrorKind::failed, fmt::format("axis {} is given twice", axis));
    const std::int64_t size = in.dims[axis];
    const std::int64_t step = spec.steps.empty() ? 1 : spec.steps[i];
    if (step == 0) throw Error(ErrorKind::failed, "a step is 0");
    const auto place = [&](std::int64_t index) {
      if (index < 0) index = index < -size ? -1 : index + size;
      return step > 0 ? std::clamp<std::int64_t>(index, 0, size)
                      : std::clamp<std::int64_t>(index, -1, size - 1);
    };
    // A start before the first element is the first one when going backwards too.
    const std::int64_t start =
        step < 0 && spec.starts[i] < -size && size > 0 ? 0 : place(spec.starts[i]);
    const std::int64_t end = place(spec.ends[i]);
    const std::int64_t span = step > 0 ? end - start : start - end;
    const std::uint64_t stride =
        step > 0 ? static_cast<std::uint64_t>(step) : 0 - static_cast<std::uint64_t>(step);
    dims[axis] =
        span <= 0 ? 0
                  : static_cast<std::int64_t>((static_cast<std::uint64_t>(span) - 1) / stride + 1);
    first += start * strides[axis];
    strides[axis] = dims[axis] > 1 ? strides[axis] * step : strides[axis];
  }
  take_view(device, call, first, strides, 0, dims);
}

// Attributes before opset 10, then inputs.
Kernel make_slice(const NodeSpec& spec) {
  if (spec.opset() < 10) {
    spec.expect_inputs(1, 1);
    const SliceSpec fixed{spec.integers("starts").value_or(std::vector<std::int64_t>()),
                          spec.integers("ends").value_or(std::vector<std::int64_t>()),
                          spec.integers("axes").value_or(std::vector<std::int64_t>()),
                          {}};
    return [fixed, device = &spec.device()](Call& call) { slice(*device, fixed, call); };
  }
  spec.expect_inputs(3, 5);
  return [device = &spec.device()](Call& call) {
    SliceSpec given{read_integers(call.in(1), "starts"), read_integers(call.in(2), "ends"), {}, {}};
    if (call.has(3)) given.axes = read_integers(call.in(3), "axes");
    if (call.has(4)) given.steps = read_integers(call.in(4), "steps");
    slice(*device, given, call);
  };
}

Kernel make_expand(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  return [device = &spec.device()](Call& call) {
    const Value& in = call.in(0);
    const Dims dims = broadcast_shape(in.dims, Dims(read_integers(call.in(1), "the shape")));
    if (call.on_accelerator())
      return expand_on_device(*device, call.stream(), in, call.out(0, in.type, dims));
    call.set(0, broadcast_to(in, dims, call.memory()));
  };
}

// As an expansion: each axis becomes (repeats, size), with a stride of 0 on the first.
Kernel make_tile(const NodeSpec& spec) {
  spec.expect_inputs(2, 2);
  return [device = &spec.device()](Call& call) {
    const Value& in = call.in(0);
    const auto repeats = read_integers(call.in(1), "repeats");
    if (repeats.size() != in.dims.size())
      throw Error(ErrorKind::failed, fmt::format("{} repeats for a tensor of {} dimensions",
                                                 repeats.size(), in.dims.size()));
    const Strides dense = dense_strides(in.dims);
    Dims view;
    Dims dims = in.dims;
    Strides strides{};
    for (std::size_t i = 0; i < repeats.size(); ++i) {
      if (repeats[i] != 1) view.push_back(repeats[i]);
      strides[view.size()] = dense[i];
      view.push_back(in.dims[i]);
      if (__builtin_mul_overflow(dims[i], repeats[i], &dims[i]))
        throw Error(ErrorKind::failed, "the result is too large");
    }
    take_view(*device, call, 0, strides, 0, view);
    call.output(0).dims = dims;
  };
}

// The 4-D tensor seen as 6-D, its axes reordered.
Kernel make_depth_to_space(const NodeSpec& spec) {
  spec.expect_inputs(1, 1);
  const std::int64_t block = spec.integer("blocksize", 0);
  const std::string mode = spec.opset() >= 11 ? spec.text("mode", "DCR") : "DCR";
  const bool to_space = spec.op() == "DepthToSpace";
  return [block, mode, to_space, device = &spec.device()](Call& call) {
    const Value& in = call.in(0);
    if (in.dims.size() != 4 || block < 1 || block > 4096 || in.dims[1] > (std::int64_t{1} << 38) ||
        (to_space ? in.dims[1] % (block * block) != 0
                  : in.dims[2] % block != 0 || in.dims[3] % block != 0))
      throw Error(ErrorKind::failed,
                  fmt::format("blocks of {} do not fit shape {}", block, to_string(in.dims)));
    const std::int64_t n = in.dims[0], c = in.dims[1], h = in.dims[2], w = in.dims[3];
    Dims view;
    std::vector<std::size_t> order;
    Dims dims;
    if (to_space) {
      const std::int64_t depth = c / (block * block);
      const bool columns_first = mode == "CRD";
      view =
          columns_first ? Dims{n, depth, block, block, h, w} : Dims{n, block, block, depth, h, w};
      order = columns_first ? std::vector<std::size_t>{0, 1, 4, 2, 5, 3}
                            : std::vector<std::size_t>{0, 3, 4, 1, 5, 2};
      dims = Dims{n, depth, h * block, w * block};
    } else {
      view = Dims{n, c, h / block, block, w / block, block};
      order = {0, 3, 5, 1, 2, 4};
      dims = Dims{n, c * block * block, h / block, w / block};
    }
    transpose(*device, in.reshaped(view), order, call);
    call.output(0).dims = dims;
  };
}

constexpr int kNewest = Operator::kNewest;
constexpr Operator table[] = {
    {"", "Transpose", 1, kNewest, make_transpose, Half::as_is, Place::moves, Moves::any},
    {"", "Concat", 4, kNewest, make_concat, Half::as_is, Place::device, Moves::any},
    {"", "Split", 2, kNewest, make_split, Half::as_is, Place::moves, Moves::any},
    {"", "Slice", 1, kNewest, make_slice, Half::as_is, Place::moves, Moves::any},
    {"", "Expand", 8, kNewest, make_expand, Half::as_is, Place::moves, Moves::any},
    {"", "Tile", 6, kNewest, make_tile, Half::as_is, Place::moves, Moves::any},
    {"", "DepthToSpace", 1, kNewest, make_depth_to_space, Half::as_is, Place::moves, Moves::any},
    {"", "SpaceToDepth", 1, kNewest, make_depth_to_space, Half::as_is, Place::moves, Moves::any},
};

} // namespace

std::span<const Operator> layout_operators() {
  return table;
}

} // namespace mlp::native
