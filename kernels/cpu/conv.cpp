// Convolution on oneDNN. The work is cut into units of one image and one slice of the output
// channels (or of the groups), each computed by a primitive that uses one thread; images alone are
// enough when there are as many as threads.
#include "kernels/cpu/dnnl.hpp"
#include "kernels/cpu/ops.hpp"

#include <atomic>
#include <vector>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeastWork = 1 << 17; // multiply-adds that are worth a thread

// One image, `channels` -> `out_channels` in `groups`: the primitive and the layouts it wants.
class Primitive {
 public:
  Primitive(const Dnnl& library, const ConvSpec& spec) : library_(library) {
    const int rank = spec.window.rank;
    dnnl_dims_t x{1, spec.channels};
    dnnl_dims_t y{1, spec.out_channels};
    dnnl_dims_t w{};
    int axis = 0;
    if (spec.groups > 1) w[axis++] = spec.groups;
    w[axis++] = spec.out_channels / spec.groups;
    w[axis++] = spec.channels / spec.groups;
    dnnl_dims_t dilates{};
    for (int i = 0; i < rank; ++i) {
      x[2 + i] = spec.in[i];
      y[2 + i] = output_size(spec.window, i, spec.in[i]);
      w[axis++] = spec.window.kernel[i];
      dilates[i] = spec.window.dilation[i] - 1; // oneDNN counts the cells skipped
    }
    dnnl_dims_t b{spec.out_channels};
    static constexpr dnnl_format_tag_t kDense[] = {dnnl_a,    dnnl_ab,    dnnl_abc,
                                                   dnnl_abcd, dnnl_abcde, dnnl_abcdef};
    const auto describe = [&](dnnl_memory_desc_t& md, int dims, const dnnl_dims_t size,
                              dnnl_format_tag_t tag) {
      check(library_.memory_desc_init_by_tag(&md, dims, size, dnnl_f32, tag),
            "describe a tensor of a convolution");
    };
    describe(x_, rank + 2, x, kDense[rank + 1]);
    describe(y_, rank + 2, y, kDense[rank + 1]);
    describe(w_, axis, w, kDense[axis - 1]);
    describe(b_, 1, b, dnnl_a);
    dnnl_memory_desc_t any;
    describe(any, axis, w, dnnl_format_tag_any);

    dnnl_convolution_desc_t desc;
    check(library_.convolution_desc_init(&desc, dnnl_forward_inference, dnnl_convolution_direct,
                                         &x_, &any, spec.bias ? &b_ : nullptr, &y_,
                                         spec.window.stride, dilates, spec.window.pad_begin,
                                         spec.window.pad_end),
          "describe a convolution");
    dnnl_primitive_attr_t attr = nullptr;
    check(library_.attr_create(&attr), "make a convolution");
    library_.attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    dnnl_primitive_desc_t conv = nullptr;
    dnnl_status_t status =
        library_.primitive_desc_create(&conv, &desc, attr, library_.engine, nullptr);
    library_.attr_destroy(attr);
    check(status, "do a convolution of this shape");
    prepared_ = *library_.primitive_desc_query_md(conv, dnnl_query_weights_md, 0);
    scratch_ = *library_.primitive_desc_query_md(conv, dnnl_query_scratchpad_md, 0);
    status = library_.primitive_create(&conv_, conv);
    library_.primitive_desc_destroy(conv);
    check(status, "make a convolution");

    dnnl_primitive_desc_t reorder = nullptr;
    status = library_.reorder_desc_create(&reorder, &w_, library_.engine, &prepared_,
                                          library_.engine, nullptr);
    if (status == dnnl_success) {
      status = library_.primitive_create(&reorder_, reorder);
      library_.primitive_desc_destroy(reorder);
    }
    if (status != dnnl_success) library_.primitive_destroy(conv_);
    check(status, "lay out a convolution's weights");
  }
  ~Primitive() {
    library_.primitive_destroy(conv_);
    library_.primitive_destroy(reorder_);
  }
  Primitive(const Primitive&) = delete;
  Primitive& operator=(const Primitive&) = delete;

  std::size_t prepared_bytes() const noexcept { return size(prepared_); }
  std::size_t scratch_bytes() const noexcept { return size(scratch_); }

  dnnl_status_t prepare(const float* w, void* prepared) const {
    const Memory from(library_, w_, w);
    const Memory to(library_, prepared_, prepared);
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from.get()}, {DNNL_ARG_TO, to.get()}};
    return library_.primitive_execute(reorder_, library_.stream, 2, args);
  }

  dnnl_status_t run(const float* x, const void* prepared, const float* bias, float* y,
                    void* scratch) const {
    const Memory in(library_, x_, x);
    const Memory weights(library_, prepared_, prepared);
    const Memory out(library_, y_, y);
    const Memory room(library_, scratch_, scratch);
    const Memory added(library_, b_, bias);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, in.get()},
                              {DNNL_ARG_WEIGHTS, weights.get()},
                              {DNNL_ARG_DST, out.get()},
                              {DNNL_ARG_SCRATCHPAD, room.get()},
                              {DNNL_ARG_BIAS, added.get()}};
    return library_.primitive_execute(conv_, library_.stream, bias != nullptr ? 5 : 4, args);
  }

 private:
  std::size_t size(const dnnl_memory_desc_t& md) const noexcept {
    return aligned_size(library_, md);
  }

  const Dnnl& library_;
  dnnl_memory_desc_t x_{}, y_{}, w_{}, b_{}, prepared_{}, scratch_{};
  dnnl_primitive_t conv_ = nullptr, reorder_ = nullptr;
};

class Conv final : public ConvPlan {
 public:
  Conv(ThreadPool& pool, const ConvSpec& spec) : pool_(pool), library_(dnnl()), spec_(spec) {
    const OneThread one(library_);
    std::int64_t work = spec.channels / spec.groups;
    for (int i = 0; i < spec.window.rank; ++i) {
      in_size_ *= spec.in[i];
      out_size_ *= output_size(spec.window, i, spec.in[i]);
      kernel_size_ *= spec.window.kernel[i];
    }
    work *= spec.out_channels * out_size_ * kernel_size_;
    const int threads = pool.parts(spec.batch * work, kLeastWork);
    const std::int64_t sliceable = spec.groups > 1 ? spec.groups : spec.out_channels / 8;
    const int slices = spec.batch >= threads
                           ? 1
                           : static_cast<int>(std::clamp<std::int64_t>(sliceable, 1, threads));
    parts_ = static_cast<int>(std::min<std::int64_t>(threads, spec.batch * slices));
    for (int i = 0; i < slices; ++i)
      add_slice(i, slices);
  }

  std::size_t workspace_bytes() const noexcept override {
    return scratch_bytes_ * static_cast<std::size_t>(parts_);
  }
  std::size_t prepared_bytes() const noexcept override { return prepared_bytes_; }

  void prepare_weights(Stream, const void* w, void* prepared, void*) const override {
    const OneThread one(library_);
    for (const Slice& s : slices_)
      check(s.primitive->prepare(static_cast<const float*>(w) + s.weight,
                                 static_cast<std::byte*>(prepared) + s.prepared),
            "lay out a convolution's weights");
  }

  void run(Stream, const void* x, const void* prepared, const void* bias, void* y,
           void* workspace) const override {
    const auto count = static_cast<std::int64_t>(slices_.size());
    std::atomic<int> status = dnnl_success;
    pool_.run(parts_, [&](int part) {
      const OneThread one(library_);
      const auto [begin, end] = ThreadPool::range(spec_.batch * count, 1, parts_, part);
      auto* scratch =
          static_cast<std::byte*>(workspace) + scratch_bytes_ * static_cast<std::size_t>(part);
      for (std::int64_t unit = begin; unit < end; ++unit) {
        const Slice& s = slices_[static_cast<std::size_t>(unit % count)];
        const std::int64_t image = unit / count;
        const int result = run_slice(
            s, static_cast<const float*>(x) + (image * spec_.channels + s.channel) * in_size_,
            prepared, spec_.bias ? static_cast<const float*>(bias) + s.out_channel : nullptr,
            static_cast<float*>(y) + (image * spec_.out_channels + s.out_channel) * out_size_,
            scratch);
        if (result != dnnl_success) status.store(result, std::memory_order_relaxed);
      }
    });
    check(static_cast<dnnl_status_t>(status.load(std::memory_order_relaxed)), "run a convolution");
  }

 private:
  struct Slice {
    std::int64_t channel, out_channel, out_channels; // where it begins in x, y and bias
    std::int64_t weight;                             // ... and in w
    std::size_t prepared;                            // ... in the prepared weights, in bytes
    std::shared_ptr<const Primitive> primitive;
  };

  void add_slice(int index, int slices) {
    ConvSpec part = spec_;
    part.batch = 1;
    const std::int64_t per_group = spec_.out_channels / spec_.groups;
    const std::int64_t in_group = spec_.channels / spec_.groups;
    Slice s{};
    if (spec_.groups > 1) {
      const auto [begin, end] = ThreadPool::range(spec_.groups, 1, slices, index);
      part.groups = end - begin;
      part.channels = part.groups * in_group;
      part.out_channels = part.groups * per_group;
      s.channel = begin * in_group;
      s.out_channel = begin * per_group;
    } else {
      const auto [begin, end] = ThreadPool::range(spec_.out_channels, 8, slices, index);
      part.out_channels = end - begin;
      s.out_channel = begin;
    }
    if (part.out_channels == 0) return;
    s.out_channels = part.out_channels;
    s.weight = s.out_channel * in_group * kernel_size_;
    s.prepared = prepared_bytes_;
    for (const Slice& other : slices_)
      if (other.out_channels == s.out_channels) s.primitive = other.primitive;
    if (!s.primitive) s.primitive = std::make_shared<const Primitive>(library_, part);
    prepared_bytes_ += s.primitive->prepared_bytes();
    scratch_bytes_ = std::max(scratch_bytes_, s.primitive->scratch_bytes());
    slices_.push_back(std::move(s));
  }

  int run_slice(const Slice& s, const float* x, const void* prepared, const float* bias, float* y,
                void* scratch) const noexcept {
    try {
      const dnnl_status_t status = s.primitive->run(
          x, static_cast<const std::byte*>(prepared) + s.prepared, bias, y, scratch);
      if (status == dnnl_success)
        apply_activation(spec_.activation, s.out_channels * out_size_, y, y);
      return status;
    } catch (const Error&) { // no room for a handle
      return dnnl_out_of_memory;
    }
  }

  ThreadPool& pool_;
  const Dnnl& library_;
  ConvSpec spec_;
  int parts_ = 1;
  std::int64_t in_size_ = 1, out_size_ = 1, kernel_size_ = 1;
  std::vector<Slice> slices_;
  std::size_t prepared_bytes_ = 0, scratch_bytes_ = 0;
};

} // namespace

std::unique_ptr<ConvPlan> plan_conv(ThreadPool& pool, const ConvSpec& spec) {
  return std::make_unique<Conv>(pool, spec);
}

} // namespace mlp::kernels::cpu
