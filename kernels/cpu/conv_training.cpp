// Convolutions that are trained, on oneDNN, channels last. Each thread computes some images with a
// primitive that uses one thread; the gradients of the weights are summed over the threads in their
// order, so that the same threads give the same bits. oneDNN chooses how weights lie; they are laid
// out for it, and back, at each pass, because training changes them.
#include "kernels/cpu/dnnl.hpp"
#include "kernels/cpu/kernel.hpp"
#include "kernels/cpu/ops.hpp"

#include <array>
#include <atomic>
#include <vector>

namespace mlp::kernels::cpu {

namespace {

constexpr std::int64_t kLeastWork = 1 << 17; // multiply-adds that are worth a thread
constexpr std::int64_t kMostPartials = std::int64_t{1} << 26; // elements: sums of weight gradients
constexpr std::int64_t kLeastSum = 1 << 14;                   // additions that are worth a thread

enum class Direction : std::uint8_t { forward, data, weights };

// A primitive descriptor that ends itself.
class PrimitiveDesc {
 public:
  PrimitiveDesc(const Dnnl& library, const dnnl_convolution_desc_t& desc,
                const_dnnl_primitive_desc_t hint)
      : library_(library) {
    dnnl_primitive_attr_t attr = nullptr;
    check(library.attr_create(&attr), "make a convolution");
    library.attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    const dnnl_status_t status =
        library.primitive_desc_create(&desc_, &desc, attr, library.engine, hint);
    library.attr_destroy(attr);
    check(status, "do a convolution of this shape");
  }
  ~PrimitiveDesc() { library_.primitive_desc_destroy(desc_); }
  PrimitiveDesc(const PrimitiveDesc&) = delete;
  PrimitiveDesc& operator=(const PrimitiveDesc&) = delete;
  dnnl_primitive_desc_t get() const noexcept { return desc_; }
  dnnl_memory_desc_t query(dnnl_query_t what) const {
    return *library_.primitive_desc_query_md(desc_, what, 0);
  }

 private:
  const Dnnl& library_;
  dnnl_primitive_desc_t desc_ = nullptr;
};

// x, w, y, or their gradients; the one that a direction computes is written.
struct Tensors {
  const float *x, *w, *y;
};

// A direction for a number of images.
class Primitive {
 public:
  Primitive(const Dnnl& library, const ConvSpec& spec, std::int64_t images, Direction direction)
      : library_(library), direction_(direction) {
    const Shape shape(spec, images);
    static constexpr std::array<dnnl_format_tag_t, 3> kImages{dnnl_nwc, dnnl_nhwc, dnnl_ndhwc};
    static constexpr std::array<dnnl_format_tag_t, 3> kWeights{dnnl_owi, dnnl_ohwi, dnnl_odhwi};
    static constexpr std::array<dnnl_format_tag_t, 3> kGroups{dnnl_gowi, dnnl_gohwi, dnnl_godhwi};
    const auto rank = static_cast<std::size_t>(spec.window.rank) - 1;
    describe(x_, shape.axes, shape.x, kImages[rank]);
    describe(y_, shape.axes, shape.y, kImages[rank]);
    describe(w_, shape.w_axes, shape.w, spec.groups > 1 ? kGroups[rank] : kWeights[rank]);
    dnnl_memory_desc_t any;
    describe(any, shape.w_axes, shape.w, dnnl_format_tag_any);

    const Window& window = spec.window;
    dnnl_convolution_desc_t desc;
    check(library.convolution_desc_init(&desc, dnnl_forward_training, dnnl_convolution_direct, &x_,
                                        &any, nullptr, &y_, window.stride, shape.dilates,
                                        window.pad_begin, window.pad_end),
          "describe a convolution");
    const PrimitiveDesc forward(library, desc, nullptr);
    if (direction == Direction::forward) {
      make(forward, dnnl_query_weights_md);
    } else if (direction == Direction::data) {
      check(library.backward_data_desc_init(&desc, dnnl_convolution_direct, &x_, &any, &y_,
                                            window.stride, shape.dilates, window.pad_begin,
                                            window.pad_end),
            "describe a convolution");
      make(PrimitiveDesc(library, desc, forward.get()), dnnl_query_weights_md);
    } else {
      check(library.backward_weights_desc_init(&desc, dnnl_convolution_direct, &x_, &any, nullptr,
                                               &y_, window.stride, shape.dilates, window.pad_begin,
                                               window.pad_end),
            "describe a convolution");
      make(PrimitiveDesc(library, desc, forward.get()), dnnl_query_diff_weights_md);
    }
  }
  ~Primitive() { destroy(); }
  Primitive(const Primitive&) = delete;
  Primitive& operator=(const Primitive&) = delete;

  // Of weights as the primitive wants them; 0: as the caller has them.
  std::size_t laid_out_bytes() const noexcept {
    return reorder_ == nullptr ? 0 : aligned_size(library_, laid_out_);
  }
  std::size_t scratch_bytes() const noexcept { return aligned_size(library_, scratch_); }

  // Weights from the caller's layout to the primitive's, or for their gradient back.
  dnnl_status_t lay_out(const float* from, void* to) const {
    return reorder(w_, from, laid_out_, to);
  }
  dnnl_status_t lay_back(const void* from, float* to) const {
    return reorder(laid_out_, from, w_, to);
  }

  // t.w as the primitive wants it.
  dnnl_status_t run(const Tensors& t, const void* w, void* scratch) const {
    const bool dx = direction_ == Direction::data;
    const bool dw = direction_ == Direction::weights;
    const Memory x(library_, x_, t.x);
    const Memory y(library_, y_, t.y);
    const Memory weights(library_, laid_out_, w);
    const Memory room(library_, scratch_, scratch);
    const std::array<dnnl_exec_arg_t, 4> args{
        {{dx ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, x.get()},
         {dw ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, weights.get()},
         {direction_ == Direction::forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, y.get()},
         {DNNL_ARG_SCRATCHPAD, room.get()}}};
    return library_.primitive_execute(conv_, library_.stream, args.size(), args.data());
  }

 private:
  // In oneDNN's order of axes.
  struct Shape {
    Shape(const ConvSpec& spec, std::int64_t images)
        : axes(spec.window.rank + 2), x{images, spec.channels}, y{images, spec.out_channels} {
      if (spec.groups > 1) w[w_axes++] = spec.groups;
      w[w_axes++] = spec.out_channels / spec.groups;
      w[w_axes++] = spec.channels / spec.groups;
      for (int i = 0; i < spec.window.rank; ++i) {
        x[2 + i] = spec.in[i];
        y[2 + i] = output_size(spec.window, i, spec.in[i]);
        w[w_axes++] = spec.window.kernel[i];
        dilates[i] = spec.window.dilation[i] - 1; // oneDNN counts the cells skipped
      }
    }
    int axes, w_axes = 0;
    dnnl_dims_t x, y, w{}, dilates{};
  };

  void describe(dnnl_memory_desc_t& md, int axes, const dnnl_dims_t& sizes,
                dnnl_format_tag_t tag) const {
    check(library_.memory_desc_init_by_tag(&md, axes, sizes, dnnl_f32, tag),
          "describe a tensor of a convolution");
  }

  void make(const PrimitiveDesc& desc, dnnl_query_t weights) {
    laid_out_ = desc.query(weights);
    scratch_ = desc.query(dnnl_query_scratchpad_md);
    dnnl_status_t status = library_.primitive_create(&conv_, desc.get());
    const bool as_is = library_.memory_desc_equal(&laid_out_, &w_) != 0;
    if (status == dnnl_success && !as_is) {
      const bool back = direction_ == Direction::weights;
      dnnl_primitive_desc_t reorder = nullptr;
      status = library_.reorder_desc_create(&reorder, back ? &laid_out_ : &w_, library_.engine,
                                            back ? &w_ : &laid_out_, library_.engine, nullptr);
      if (status == dnnl_success) {
        status = library_.primitive_create(&reorder_, reorder);
        library_.primitive_desc_destroy(reorder);
      }
    }
    if (status != dnnl_success) destroy();
    check(status, "make a convolution");
  }
  void destroy() noexcept {
    if (conv_ != nullptr) library_.primitive_destroy(conv_);
    if (reorder_ != nullptr) library_.primitive_destroy(reorder_);
  }

  dnnl_status_t reorder(const dnnl_memory_desc_t& from_layout, const void* from,
                        const dnnl_memory_desc_t& to_layout, void* to) const {
    const Memory source(library_, from_layout, from);
    const Memory target(library_, to_layout, to);
    const std::array<dnnl_exec_arg_t, 2> args{
        {{DNNL_ARG_FROM, source.get()}, {DNNL_ARG_TO, target.get()}}};
    return library_.primitive_execute(reorder_, library_.stream, args.size(), args.data());
  }

  const Dnnl& library_;
  Direction direction_;
  dnnl_memory_desc_t x_{}, y_{}, w_{}, laid_out_{}, scratch_{};
  dnnl_primitive_t conv_ = nullptr, reorder_ = nullptr;
};

MLP_INLINE void add_body(std::int64_t size, const float* __restrict from, float* __restrict to) {
  for (std::int64_t i = 0; i < size; ++i)
    to[i] += from[i];
}
MLP_KERNEL(add, (std::int64_t size, const float* from, float* to), (size, from, to))

// A direction for a batch, cut into parts of images: one for each thread that it is worth. In the
// workspace: the weights as each primitive wants them (forward, data); for each part its scratch
// and, for gradients of weights, what its primitive has computed; then these gradients of all parts
// but the first, laid out as the caller's.
class Pass {
 public:
  Pass(ThreadPool& pool, const Dnnl& library, const ConvSpec& spec, Direction direction)
      : pool_(pool), library_(library), for_weights_(direction == Direction::weights),
        batch_(spec.batch), in_size_(spec.channels), out_size_(spec.out_channels),
        weights_(spec.out_channels * (spec.channels / spec.groups)) {
    std::int64_t out_cells = 1;
    for (int i = 0; i < spec.window.rank; ++i) {
      in_size_ *= spec.in[i];
      out_cells *= output_size(spec.window, i, spec.in[i]);
      weights_ *= spec.window.kernel[i];
    }
    out_size_ *= out_cells;
    if (batch_ == 0) return;
    parts_ = std::min<std::int64_t>(pool.parts(batch_ * out_cells * weights_, kLeastWork), batch_);
    if (for_weights_) parts_ = std::min(parts_, 1 + kMostPartials / weights_);
    const std::int64_t images = batch_ / parts_;
    const OneThread one(library); // what a primitive plans for
    primitives_[0] = std::make_unique<const Primitive>(library, spec, images, direction);
    if (batch_ % parts_ != 0)
      primitives_[1] = std::make_unique<const Primitive>(library, spec, images + 1, direction);
    for (const auto& primitive : primitives_) {
      if (!primitive) continue;
      scratch_ = std::max(scratch_, primitive->scratch_bytes());
      laid_out_ = std::max(laid_out_, primitive->laid_out_bytes());
    }
    shared_ = for_weights_ ? 0 : laid_out_ * primitives_.size();
    of_part_ = for_weights_ ? scratch_ + laid_out_ : scratch_;
    partial_ = static_cast<std::size_t>(weights_) * sizeof(float);
    partial_ = (partial_ + kAlignment - 1) / kAlignment * kAlignment;
  }

  std::size_t workspace_bytes() const noexcept {
    const auto parts = static_cast<std::size_t>(parts_);
    const std::size_t partials = for_weights_ && parts > 1 ? (parts - 1) * partial_ : 0;
    return shared_ + parts * of_part_ + partials;
  }

  void run(const Tensors& t, void* workspace) const {
    auto* dw = const_cast<float*>(t.w); // where it is the one that is written
    if (batch_ == 0) {
      if (for_weights_) std::fill_n(dw, weights_, 0.0F);
      return;
    }
    auto* room = static_cast<std::byte*>(workspace);
    std::atomic<int> status = dnnl_success;
    if (!for_weights_) {
      const OneThread one(library_);
      for (std::size_t i = 0; i < primitives_.size(); ++i)
        if (primitives_[i] && primitives_[i]->laid_out_bytes() != 0)
          check(primitives_[i]->lay_out(t.w, room + i * laid_out_),
                "lay out a convolution's weights");
    }
    pool_.run(static_cast<int>(parts_), [&](int part) {
      const OneThread one(library_);
      const dnnl_status_t result = run_part(t, room, part);
      if (result != dnnl_success) status.store(result, std::memory_order_relaxed);
    });
    check(static_cast<dnnl_status_t>(status.load(std::memory_order_relaxed)), "run a convolution");
    if (!for_weights_ || parts_ == 1) return;
    pool_.split(weights_, 16, kLeastSum / parts_ + 1, [&](std::int64_t begin, std::int64_t end) {
      for (int part = 1; part < parts_; ++part)
        add(end - begin, partial(room, part) + begin, dw + begin);
    });
  }

 private:
  float* partial(std::byte* room, int part) const noexcept {
    return reinterpret_cast<float*>(room + static_cast<std::size_t>(parts_) * of_part_ +
                                    static_cast<std::size_t>(part - 1) * partial_);
  }

  dnnl_status_t run_part(const Tensors& t, std::byte* room, int part) const noexcept {
    const auto [begin, end] = ThreadPool::range(batch_, 1, static_cast<int>(parts_), part);
    const std::size_t which = end - begin == batch_ / parts_ ? 0 : 1;
    const Primitive& primitive = *primitives_[which];
    const bool as_is = primitive.laid_out_bytes() == 0;
    std::byte* scratch = room + shared_ + static_cast<std::size_t>(part) * of_part_;
    const Tensors images{t.x + begin * in_size_, t.w, t.y + begin * out_size_};
    try {
      if (!for_weights_)
        return primitive.run(
            images, as_is ? static_cast<const void*>(t.w) : room + which * laid_out_, scratch);
      float* dw = part == 0 ? const_cast<float*>(t.w) : partial(room, part);
      std::byte* laid_out = scratch + scratch_;
      if (as_is) return primitive.run(images, dw, scratch);
      const dnnl_status_t status = primitive.run(images, laid_out, scratch);
      return status == dnnl_success ? primitive.lay_back(laid_out, dw) : status;
    } catch (const Error&) { // no room for a handle
      return dnnl_out_of_memory;
    }
  }

  ThreadPool& pool_;
  const Dnnl& library_;
  bool for_weights_;
  std::int64_t batch_, in_size_, out_size_, weights_; // sizes of an image and of w
  std::int64_t parts_ = 0;
  std::array<std::unique_ptr<const Primitive>, 2> primitives_; // the second does one image more
  std::size_t scratch_ = 0, laid_out_ = 0, shared_ = 0, of_part_ = 0, partial_ = 0;
};

class ConvTraining final : public ConvTrainingPlan {
 public:
  ConvTraining(ThreadPool& pool, const ConvSpec& spec)
      : forward_(pool, dnnl(), spec, Direction::forward),
        data_(pool, dnnl(), spec, Direction::data),
        weights_(pool, dnnl(), spec, Direction::weights) {}

  std::size_t workspace_bytes() const noexcept override {
    return std::max(
        {forward_.workspace_bytes(), data_.workspace_bytes(), weights_.workspace_bytes()});
  }
  void forward(Stream, const float* x, const float* w, float* y, void* workspace) const override {
    forward_.run({x, w, y}, workspace);
  }
  void backward_data(Stream, const float* dy, const float* w, float* dx,
                     void* workspace) const override {
    data_.run({dx, w, dy}, workspace);
  }
  void backward_weights(Stream, const float* x, const float* dy, float* dw,
                        void* workspace) const override {
    weights_.run({x, dw, dy}, workspace);
  }

 private:
  Pass forward_, data_, weights_;
};

} // namespace

std::unique_ptr<ConvTrainingPlan> plan_conv_training(ThreadPool& pool, const ConvSpec& spec) {
  return std::make_unique<ConvTraining>(pool, spec);
}

} // namespace mlp::kernels::cpu
