// An operand's steps in order: bf16, pads, order of axes. A result takes them backwards.
#include "kernels/cuda/staging.hpp"

#include <algorithm>
#include <functional>

namespace mlp::kernels::cuda {

namespace {

constexpr std::size_t kRoomAlignment = 256;

std::size_t room_for(std::int64_t elements, DType type) {
  const std::size_t bytes = static_cast<std::size_t>(elements) * size_of(type);
  return (bytes + kRoomAlignment - 1) / kRoomAlignment * kRoomAlignment;
}

bool is_uneven(const ConvSpec& spec) {
  for (int axis = 0; axis < spec.window.rank; ++axis)
    if (spec.window.pad_begin[axis] != spec.window.pad_end[axis]) return true;
  return false;
}

} // namespace

Staging::Staging(const StagingSpec& spec)
    : spec_(spec), is_converted_(spec.from != spec.to),
      is_padded_(!std::equal(spec.cells, spec.cells + kMaxSpatial, spec.padded)) {
  size_ = spec.planes * spec.cells[0] * spec.cells[1] * spec.cells[2] * spec.inner;
  cells_ = spec.padded[0] * spec.padded[1] * spec.padded[2];
  const std::int64_t padded = spec.planes * cells_ * spec.inner;
  padded_at_ = is_converted_ ? room_for(size_, spec.to) : 0;
  transposed_at_ = padded_at_ + (is_padded_ ? room_for(padded, spec.to) : 0);
  bytes_ = transposed_at_ + (spec.transposed ? room_for(padded, spec.to) : 0);
}

void* Staging::place(const void* own, std::byte* room) const noexcept {
  if (spec_.transposed) return room + transposed_at_;
  if (is_padded_) return room + padded_at_;
  return is_converted_ ? room : const_cast<void*>(own);
}

void Staging::bring(const Queue& q, const void* own, std::byte* room) const {
  const void* at = own;
  if (is_converted_) {
    to_bf16(q, size_, static_cast<const float*>(at), room);
    at = room;
  }
  if (is_padded_) {
    Padding p{.planes = spec_.planes, .inner = spec_.inner, .element = size_of(spec_.to)};
    std::copy_n(spec_.cells, kMaxSpatial, p.in);
    std::copy_n(spec_.padded, kMaxSpatial, p.out);
    std::copy_n(spec_.before, kMaxSpatial, p.before);
    pad(q, p, at, room + padded_at_);
    at = room + padded_at_;
  }
  if (spec_.transposed)
    transpose(q, spec_.planes, cells_, spec_.inner, size_of(spec_.to), at, room + transposed_at_);
}

void Staging::fetch(const Queue& q, void* own, std::byte* room) const {
  void* at = place(own, room);
  if (spec_.transposed) {
    void* next = is_padded_ ? room + padded_at_ : is_converted_ ? room : own;
    transpose(q, spec_.planes, spec_.inner, cells_, size_of(spec_.to), at, next);
    at = next;
  }
  if (is_padded_) {
    Padding p{.planes = spec_.planes, .inner = spec_.inner, .element = size_of(spec_.to)};
    std::copy_n(spec_.padded, kMaxSpatial, p.in);
    std::copy_n(spec_.cells, kMaxSpatial, p.out);
    std::transform(spec_.before, spec_.before + kMaxSpatial, p.before, std::negate<>());
    void* next = is_converted_ ? room : own;
    pad(q, p, at, next);
    at = next;
  }
  if (is_converted_) from_bf16(q, size_, at, static_cast<float*>(own));
}

ConvSpec even_pads(const ConvSpec& spec) {
  ConvSpec even = spec;
  if (!is_uneven(spec)) return even;
  for (int axis = 0; axis < spec.window.rank; ++axis) {
    even.in[axis] += spec.window.pad_begin[axis] + spec.window.pad_end[axis];
    even.window.pad_begin[axis] = even.window.pad_end[axis] = 0;
  }
  return even;
}

StagingSpec padding_of(const ConvSpec& spec) {
  const ConvSpec even = even_pads(spec);
  StagingSpec s;
  for (int axis = 0; axis < spec.window.rank; ++axis) {
    const int to = kMaxSpatial - spec.window.rank + axis;
    s.cells[to] = spec.in[axis];
    s.padded[to] = even.in[axis];
    s.before[to] = spec.window.pad_begin[axis] - even.window.pad_begin[axis];
  }
  return s;
}

} // namespace mlp::kernels::cuda
