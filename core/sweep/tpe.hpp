// The tree-structured Parzen estimator. Trials are parted by their loss into a good few and the
// rest; each part gives a density over the space, a mixture of one kernel a trial and the prior;
// of points drawn from the good density the one with the largest ratio good / rest comes next,
// which is the one with the largest expected improvement.
//
// Sources: J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl, "Algorithms for hyper-parameter
// optimization", NIPS 2011 (the estimator, the tree of conditions, 24 candidates). Kernels are
// products over all dimensions, as in S. Falkner, A. Klein, F. Hutter, "BOHB", ICML 2018, so that
// dimensions that act together are searched together; their width follows D. W. Scott,
// "Multivariate density estimation", 1992: n^(-1/(d+4)). A kernel of a trial that lacks a dimension
// has the prior's density there. Trials under way count among the rest, so that several at a time
// spread out (the constant liar of D. Ginsbourger, R. Le Riche, L. Carraro, 2010).
#pragma once

#include "core/sweep/sampler.hpp"

#include <cstdint>
#include <memory>

namespace mlp::sweep {

struct TpeOptions {
  std::uint64_t seed = 0;
  std::size_t startup_trials = 10; // points of chance before the first estimate
  std::size_t candidates = 24;     // drawn for each trial
  double good_share = 0.25;        // of the trials with a loss; rounded up
  std::size_t most_good = 25;
  // Of a numeric kernel with one trial and no dimension, as a share of the range.
  double width = 0.12;
};

// Time for a suggestion grows with candidates × trials × dimensions: tens of ms for 10,000
// trials in six dimensions.
[[nodiscard]] std::unique_ptr<Sampler> make_tpe(const Space& space, const TpeOptions& options);

} // namespace mlp::sweep
