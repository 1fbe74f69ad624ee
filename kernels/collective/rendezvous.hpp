// How the ranks of a job find each other and become a ring: rank 0 listens, each other rank proves
// that it knows the token and is told where all listen, then each connects to the next one.
#pragma once

#include "kernels/collective/collective.hpp"
#include "kernels/collective/socket.hpp"

namespace mlp::kernels {

// Connections to the neighbours in the ring, non-blocking. Of two ranks both are to the other one.
struct RingLinks {
  Socket previous; // from which data come
  Socket next;     // to which data go
};

// Blocks until every rank is there and connected, at most join_seconds. size > 1. Throws
// kernels::Error{unavailable} that says which ranks are missing or what is wrong.
[[nodiscard]] RingLinks join_ring(const CollectiveOptions& options);

} // namespace mlp::kernels
