// NCCL, loaded on need. Its header is not part of the CUDA Toolkit, so the few functions that are
// used are declared here (NCCL 2.11 and later, nccl.h).
#pragma once

#include "kernels/cuda/library.hpp"
#include "kernels/cuda/runtime.hpp"

#include <cstddef>

namespace mlp::kernels::cuda {

struct Nccl {
  using Comm = void*;
  struct UniqueId {
    char bytes[128];
  };
  static constexpr int kSuccess = 0, kInProgress = 7;
  static constexpr int kFloat32 = 7;    // ncclFloat32
  static constexpr int kSum = 0;        // ncclSum
  static constexpr int kHostScalar = 1; // ncclScalarHostImmediate

  const Library library{
      "NCCL", {"libnccl.so.2"}, "install it: apt install libnccl2 (NVIDIA's repository)"};
  int (*get_unique_id)(UniqueId*) = library.function<int(UniqueId*)>("ncclGetUniqueId");
  int (*init_rank)(Comm*, int, UniqueId,
                   int) = library.function<int(Comm*, int, UniqueId, int)>("ncclCommInitRank");
  int (*init_all)(Comm*, int,
                  const int*) = library.function<int(Comm*, int, const int*)>("ncclCommInitAll");
  int (*destroy)(Comm) = library.function<int(Comm)>("ncclCommDestroy");
  int (*abort)(Comm) = library.function<int(Comm)>("ncclCommAbort");
  int (*async_error)(Comm, int*) = library.function<int(Comm, int*)>("ncclCommGetAsyncError");
  int (*group_start)() = library.function<int()>("ncclGroupStart");
  int (*group_end)() = library.function<int()>("ncclGroupEnd");
  int (*all_reduce)(const void*, void*, std::size_t, int, int, Comm, cudaStream_t) =
      library.function<int(const void*, void*, std::size_t, int, int, Comm, cudaStream_t)>(
          "ncclAllReduce");
  int (*make_scaled_sum)(int*, void*, int, int, Comm) =
      library.function<int(int*, void*, int, int, Comm)>("ncclRedOpCreatePreMulSum");
  int (*drop_scaled_sum)(int, Comm) = library.function<int(int, Comm)>("ncclRedOpDestroy");
  const char* (*words)(int) = library.function<const char*(int)>("ncclGetErrorString");
};

// Loaded at the first call. Throws Error{unavailable} where it is not installed.
inline const Nccl& nccl() {
  static const Nccl library;
  return library;
}

// Throws Error{failed} "cannot WHAT: NCCL's words".
inline void check_nccl(int status, const char* what) {
  if (status != Nccl::kSuccess)
    throw Error(ErrorKind::failed, std::string("cannot ") + what + ": " + nccl().words(status));
}

} // namespace mlp::kernels::cuda
