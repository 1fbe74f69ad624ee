// The shape that two operands broadcast to.
#include "backends/runtime/native/broadcast.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::native {

Dims broadcast_shape(const Dims& a, const Dims& b) {
  if (a == b) return a;
  const Dims& longer = a.size() >= b.size() ? a : b;
  const Dims& shorter = a.size() >= b.size() ? b : a;
  Dims shape = longer;
  const std::size_t shift = longer.size() - shorter.size();
  for (std::size_t i = 0; i < shorter.size(); ++i) {
    std::int64_t& dim = shape[i + shift];
    if (dim == shorter[i] || shorter[i] == 1) continue;
    if (dim != 1)
      throw Error(ErrorKind::failed, fmt::format("shapes {} and {} do not fit each other",
                                                 to_string(a), to_string(b)));
    dim = shorter[i];
  }
  return shape;
}

} // namespace mlp::native
