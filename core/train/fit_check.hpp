// What fit() refuses before it starts, and the identity of a training for its checkpoints.
#pragma once

#include "core/base/digest.hpp"
#include "core/train/fit.hpp"

namespace mlp::train {

// The network that such a training is of.
[[nodiscard]] NetworkSpec network_spec(const FitSpec& spec, const Dataset& data);

// Throws mlp::Error{config} that names what is out of range or does not fit together.
void check(const FitSpec& spec, const Dataset& data);

// Of everything that decides the weights, but for the number of threads: a training may go on
// elsewhere. Features are sampled (4096 rows).
[[nodiscard]] Digest identity_of(const FitSpec& spec, const Dataset& data);

} // namespace mlp::train
