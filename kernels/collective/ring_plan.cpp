// The order of pieces of each operation, as functions of rank and size alone.
#include "kernels/collective/ring.hpp"

namespace mlp::kernels {

namespace {

using Piece = RingOperation::Piece;

// Rank r sends piece r first, then in falling order what it has received; `steps` of them.
void fill(RingOperation& operation, const std::vector<Piece>& pieces, int rank, int steps) {
  const auto size = static_cast<int>(pieces.size());
  const auto piece = [&](int index) {
    return pieces[static_cast<std::size_t>(((index % size) + size) % size)];
  };
  for (int step = 0; step < steps; ++step) {
    operation.sent.push_back(piece(rank - step));
    operation.received.push_back(piece(rank - step - 1));
  }
  operation.head = operation.sent.empty() ? 0 : operation.sent.front().bytes;
}

} // namespace

RingOperation plan_all_reduce(float* data, std::size_t count, float scale, int rank, int size) {
  RingOperation operation;
  operation.kind = RingOperation::all_reduce;
  operation.data = reinterpret_cast<std::byte*>(data);
  operation.total = count * sizeof(float);
  operation.scale = scale;
  std::vector<Piece> pieces;
  const auto parts = static_cast<std::size_t>(size);
  for (std::size_t i = 0; i < parts; ++i) {
    const std::size_t begin = count / parts * i + count % parts * i / parts;
    const std::size_t end = count / parts * (i + 1) + count % parts * (i + 1) / parts;
    pieces.push_back({begin * sizeof(float), (end - begin) * sizeof(float)});
  }
  // After size - 1 steps each rank has the sum of one piece; after as many again, all have all.
  fill(operation, pieces, rank, 2 * (size - 1));
  operation.added = parts - 1;
  return operation;
}

RingOperation plan_broadcast(std::byte* data, std::size_t bytes, int root, int rank, int size) {
  RingOperation operation;
  operation.kind = RingOperation::broadcast;
  operation.data = data;
  operation.total = bytes;
  if (rank == root) operation.head = bytes;
  if (rank != root) operation.received.push_back({0, bytes});
  if ((rank + 1) % size != root) operation.sent.push_back({0, bytes});
  return operation;
}

RingOperation plan_all_gather(std::byte* data, std::size_t bytes, int rank, int size) {
  RingOperation operation;
  operation.kind = RingOperation::all_gather;
  operation.data = data;
  operation.total = bytes;
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < static_cast<std::size_t>(size); ++i)
    pieces.push_back({i * bytes, bytes});
  fill(operation, pieces, rank, size - 1);
  return operation;
}

} // namespace mlp::kernels
