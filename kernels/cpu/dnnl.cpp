// The calls of oneDNN by name, found in the library when it is first needed.
#include "kernels/cpu/dnnl.hpp"

#include <dlfcn.h>

#include <string>

namespace mlp::kernels::cpu {

namespace {

Dnnl open_dnnl() {
  void* handle = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr)
    throw Error(ErrorKind::unavailable,
                std::string("cannot load oneDNN ('libdnnl.so.2'): ") + dlerror(),
                "install the Debian package libdnnl2");
  Dnnl library{};
  const auto find = [handle](auto& pointer, const char* name) {
    void* symbol = dlsym(handle, name);
    if (symbol == nullptr)
      throw Error(ErrorKind::unavailable,
                  std::string("'libdnnl.so.2' has no function '") + name + "'",
                  "install version 2.6 or later of the Debian package libdnnl2");
    pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(symbol);
  };
  find(library.sgemm, "dnnl_sgemm");
  find(library.engine_create, "dnnl_engine_create");
  find(library.stream_create, "dnnl_stream_create");
  find(library.stream_wait, "dnnl_stream_wait");
  find(library.memory_desc_init_by_tag, "dnnl_memory_desc_init_by_tag");
  find(library.memory_desc_get_size, "dnnl_memory_desc_get_size");
  find(library.memory_desc_equal, "dnnl_memory_desc_equal");
  find(library.memory_create, "dnnl_memory_create");
  find(library.memory_destroy, "dnnl_memory_destroy");
  find(library.convolution_desc_init, "dnnl_dilated_convolution_forward_desc_init");
  find(library.backward_data_desc_init, "dnnl_dilated_convolution_backward_data_desc_init");
  find(library.backward_weights_desc_init, "dnnl_dilated_convolution_backward_weights_desc_init");
  find(library.attr_create, "dnnl_primitive_attr_create");
  find(library.attr_destroy, "dnnl_primitive_attr_destroy");
  find(library.attr_set_scratchpad_mode, "dnnl_primitive_attr_set_scratchpad_mode");
  find(library.primitive_desc_create, "dnnl_primitive_desc_create");
  find(library.primitive_desc_destroy, "dnnl_primitive_desc_destroy");
  find(library.primitive_desc_query_md, "dnnl_primitive_desc_query_md");
  find(library.reorder_desc_create, "dnnl_reorder_primitive_desc_create");
  find(library.primitive_create, "dnnl_primitive_create");
  find(library.primitive_execute, "dnnl_primitive_execute");
  find(library.primitive_destroy, "dnnl_primitive_destroy");

  // dlsym() on a library also looks in those that it depends on, here libgomp.
  library.omp_set_num_threads =
      reinterpret_cast<void (*)(int)>(dlsym(handle, "omp_set_num_threads"));
  library.omp_get_max_threads = reinterpret_cast<int (*)()>(dlsym(handle, "omp_get_max_threads"));
  if (library.omp_get_max_threads == nullptr) library.omp_set_num_threads = nullptr;

  check(library.engine_create(&library.engine, dnnl_cpu, 0), "create its CPU engine");
  check(library.stream_create(&library.stream, library.engine, dnnl_stream_default_flags),
        "create a stream");
  return library;
}

} // namespace

const Dnnl& dnnl() {
  static const Dnnl library = open_dnnl(); // if it throws, the next call tries again
  return library;
}

void check(dnnl_status_t status, const char* what) {
  if (status == dnnl_success) return;
  const ErrorKind kind = status == dnnl_out_of_memory   ? ErrorKind::out_of_memory
                         : status == dnnl_unimplemented ? ErrorKind::unsupported
                                                        : ErrorKind::failed;
  throw Error(kind, std::string("oneDNN cannot ") + what + " (status " +
                        std::to_string(static_cast<int>(status)) + ")");
}

} // namespace mlp::kernels::cpu
