// The way of an operand from the caller's buffer to where the library reads it, and of a result
// back: rounded to bf16, padded where pads differ between the ends of an axis, channels first. Each
// step has its own room in the plan's workspace; an operand that needs none is used where it is.
#pragma once

#include "kernels/cuda/ops.hpp"

namespace mlp::kernels::cuda {

// planes x cells x inner elements; with channels last `inner` are the channels.
struct StagingSpec {
  std::int64_t planes = 1, inner = 1;
  std::int64_t cells[kMaxSpatial] = {1, 1, 1};  // of the caller
  std::int64_t padded[kMaxSpatial] = {1, 1, 1}; // of the library
  std::int64_t before[kMaxSpatial] = {};        // pad cells before the first one
  DType from = DType::f32, to = DType::f32;     // the caller's and the library's
  bool transposed = false;                      // the library wants planes x inner x cells
};

class Staging {
 public:
  Staging() = default;
  explicit Staging(const StagingSpec& spec);

  // Of workspace.
  std::size_t bytes() const noexcept { return bytes_; }
  // Where the library reads or writes the operand that the caller has at `own`.
  void* place(const void* own, std::byte* room) const noexcept;
  // Queues what brings it there, and what brings it back.
  void bring(const Queue& q, const void* own, std::byte* room) const;
  void fetch(const Queue& q, void* own, std::byte* room) const;

 private:
  StagingSpec spec_;
  bool is_converted_ = false, is_padded_ = false;
  std::int64_t size_ = 0, cells_ = 0; // elements of the caller's; cells of a plane of the library's
  std::size_t padded_at_ = 0, transposed_at_ = 0, bytes_ = 0;
};

// The convolution that is left once uneven pads have become cells of the input; and x's way there,
// for a batch of planes.
ConvSpec even_pads(const ConvSpec& spec);
StagingSpec padding_of(const ConvSpec& spec);

} // namespace mlp::kernels::cuda
