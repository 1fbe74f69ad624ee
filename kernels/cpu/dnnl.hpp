// oneDNN, opened when first used: linking it would cost every start of the program 3 to 25 ms. Only
// its C interface is used, through pointers typed by its own header.
#pragma once

#include "kernels/device.hpp"

#include <oneapi/dnnl/dnnl.h>

namespace mlp::kernels::cpu {

struct Dnnl {
  decltype(&dnnl_sgemm) sgemm;
  decltype(&dnnl_engine_create) engine_create;
  decltype(&dnnl_stream_create) stream_create;
  decltype(&dnnl_stream_wait) stream_wait;
  decltype(&dnnl_memory_desc_init_by_tag) memory_desc_init_by_tag;
  decltype(&dnnl_memory_desc_get_size) memory_desc_get_size;
  decltype(&dnnl_memory_desc_equal) memory_desc_equal;
  decltype(&dnnl_memory_create) memory_create;
  decltype(&dnnl_memory_destroy) memory_destroy;
  decltype(&dnnl_dilated_convolution_forward_desc_init) convolution_desc_init;
  decltype(&dnnl_dilated_convolution_backward_data_desc_init) backward_data_desc_init;
  decltype(&dnnl_dilated_convolution_backward_weights_desc_init) backward_weights_desc_init;
  decltype(&dnnl_primitive_attr_create) attr_create;
  decltype(&dnnl_primitive_attr_destroy) attr_destroy;
  decltype(&dnnl_primitive_attr_set_scratchpad_mode) attr_set_scratchpad_mode;
  decltype(&dnnl_primitive_desc_create) primitive_desc_create;
  decltype(&dnnl_primitive_desc_destroy) primitive_desc_destroy;
  decltype(&dnnl_primitive_desc_query_md) primitive_desc_query_md;
  decltype(&dnnl_reorder_primitive_desc_create) reorder_desc_create;
  decltype(&dnnl_primitive_create) primitive_create;
  decltype(&dnnl_primitive_execute) primitive_execute;
  decltype(&dnnl_primitive_destroy) primitive_destroy;

  // Of the OpenMP runtime that oneDNN uses; null if it uses none.
  void (*omp_set_num_threads)(int) = nullptr;
  int (*omp_get_max_threads)() = nullptr;

  dnnl_engine_t engine = nullptr; // the CPU
  dnnl_stream_t stream = nullptr; // CPU streams hold no state
};

// Thread-safe. Throws Error{unavailable} naming library and Debian package; a later call tries
// again.
const Dnnl& dnnl();

// Throws Error{failed} unless status is success.
void check(dnnl_status_t status, const char* what);

// A handle of some hundred bytes that names the caller's buffer; the library must outlive it.
class Memory {
 public:
  Memory(const Dnnl& library, const dnnl_memory_desc_t& md, const void* data) : library_(library) {
    check(library.memory_create(&memory_, &md, library.engine, const_cast<void*>(data)),
          "name a buffer");
  }
  ~Memory() { library_.memory_destroy(memory_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  dnnl_memory_t get() const noexcept { return memory_; }

 private:
  const Dnnl& library_;
  dnnl_memory_t memory_ = nullptr;
};

// What a buffer of this layout takes, so that the next one is aligned as well.
inline std::size_t aligned_size(const Dnnl& library, const dnnl_memory_desc_t& md) noexcept {
  return (library.memory_desc_get_size(&md) + kAlignment - 1) / kAlignment * kAlignment;
}

// While it lives, oneDNN uses only the calling thread: the device cuts the work itself, and
// OpenMP's threads never come to be.
class OneThread {
 public:
  explicit OneThread(const Dnnl& library) noexcept : library_(library) {
    if (library_.omp_set_num_threads == nullptr) return;
    before_ = library_.omp_get_max_threads();
    library_.omp_set_num_threads(1);
  }
  ~OneThread() {
    if (library_.omp_set_num_threads != nullptr) library_.omp_set_num_threads(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  const Dnnl& library_;
  int before_ = 1;
};

} // namespace mlp::kernels::cpu
