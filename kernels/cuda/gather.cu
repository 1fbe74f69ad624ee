// Batch assembly: rows of a resident data set in a given order, converted and standardised. The
// reference is cpu/gather.cpp. A thread takes four columns of a row.
#include "kernels/cuda/launch.cuh"

namespace mlp::kernels::cuda {

namespace {

struct Affine {
  const float* mean = nullptr; // null: none
  const float* scale = nullptr;
  bool per_column = true;
};

__device__ __forceinline__ void load_units(const std::uint8_t* p, float (&f)[kPer]) {
  const uchar4 all = *reinterpret_cast<const uchar4*>(p);
  f[0] = static_cast<float>(all.x);
  f[1] = static_cast<float>(all.y);
  f[2] = static_cast<float>(all.z);
  f[3] = static_cast<float>(all.w);
}
__device__ __forceinline__ void load_units(const float* p, float (&f)[kPer]) {
  const float4 all = *reinterpret_cast<const float4*>(p);
  f[0] = all.x;
  f[1] = all.y;
  f[2] = all.z;
  f[3] = all.w;
}
__device__ __forceinline__ void load_units(const std::int32_t* p, std::int32_t (&f)[kPer]) {
  const int4 all = *reinterpret_cast<const int4*>(p);
  f[0] = all.x;
  f[1] = all.y;
  f[2] = all.z;
  f[3] = all.w;
}
__device__ __forceinline__ void store_units(float* p, const float (&f)[kPer]) {
  *reinterpret_cast<float4*>(p) = make_float4(f[0], f[1], f[2], f[3]);
}
__device__ __forceinline__ void store_units(std::int32_t* p, const std::int32_t (&f)[kPer]) {
  *reinterpret_cast<int4*>(p) = make_int4(f[0], f[1], f[2], f[3]);
}

// vector: cols is a multiple of 4, and source and dst are aligned to four elements.
template <class Source, class Target>
__global__ void __launch_bounds__(kBlock)
    gather_kernel(std::int64_t rows, std::int64_t cols, bool vector, Affine affine,
                  const StepState* state, const Source* __restrict__ source,
                  const std::int32_t* __restrict__ order, Target* __restrict__ dst) {
  const std::int64_t first = state != nullptr ? state->first_row : 0;
  const std::int64_t chunks = (cols + kPer - 1) / kPer;
  for (std::int64_t unit = thread_index(); unit < rows * chunks; unit += thread_count()) {
    const std::int64_t row = quotient(unit, chunks);
    const std::int64_t column = (unit - row * chunks) * kPer;
    const std::int64_t from = order != nullptr ? order[first + row] : first + row;
    const Source* in = source + from * cols + column;
    Target* out = dst + row * cols + column;
    const int count = cols - column < kPer ? static_cast<int>(cols - column) : kPer;
    Target f[kPer];
    if (vector) {
      load_units(in, f);
    } else {
#pragma unroll
      for (int j = 0; j < kPer; ++j)
        f[j] = j < count ? static_cast<Target>(in[j]) : Target{};
    }
    if constexpr (std::is_same_v<Target, float>) {
      if (affine.mean != nullptr) {
#pragma unroll
        for (int j = 0; j < kPer; ++j)
          if (j < count) {
            const std::int64_t at = affine.per_column ? column + j : 0;
            f[j] = (f[j] - affine.mean[at]) * affine.scale[at];
          }
      }
    }
    if (vector) {
      store_units(out, f);
    } else {
#pragma unroll
      for (int j = 0; j < kPer; ++j)
        if (j < count) out[j] = f[j];
    }
  }
}

template <class Source, class Target>
void gather_as(const Queue& q, const GatherSpec& spec, const StepState* state, const void* source,
               const std::int32_t* order, const Affine& affine, void* dst) {
  const auto address = reinterpret_cast<std::uintptr_t>(source);
  const bool vector =
      spec.cols % kPer == 0 && address % (kPer * sizeof(Source)) == 0 && aligned16(dst);
  launch("queue a batch", gather_kernel<Source, Target>,
         blocks_for(q, spec.rows * ((spec.cols + kPer - 1) / kPer)), q, spec.rows, spec.cols,
         vector, affine, state, static_cast<const Source*>(source), order,
         static_cast<Target*>(dst));
}

} // namespace

void gather(const Queue& q, const GatherSpec& spec, const StepState* state, const void* source,
            const std::int32_t* order, const float* mean, const float* scale, void* dst) {
  const Affine affine =
      spec.affine ? Affine{mean, scale, spec.per_column} : Affine{nullptr, nullptr, true};
  if (spec.source == DType::u8)
    gather_as<std::uint8_t, float>(q, spec, state, source, order, affine, dst);
  else if (spec.source == DType::f32)
    gather_as<float, float>(q, spec, state, source, order, affine, dst);
  else
    gather_as<std::int32_t, std::int32_t>(q, spec, state, source, order, affine, dst);
}

} // namespace mlp::kernels::cuda
