// Streams, copies and graphs: what a training step does, recorded once and replayed, gives the bits
// that the same operations give when they are queued one by one.
#include "kernels/check/check.hpp"

#include <cstring>

namespace mlp::kernels::check {

namespace {

constexpr std::int64_t kRows = 24, kIn = 20, kHidden = 36, kClasses = 5, kSamples = 200;
constexpr std::int64_t kWeights1 = kHidden * kIn, kWeights2 = kClasses * kHidden;
constexpr std::int64_t kSize = kWeights1 + kWeights2 + kHidden;

// A small network on one stream of a device, from the same start every time.
class Training {
 public:
  Training(Device& device, Stream stream)
      : device_(device), stream_(stream),
        forward1_(device.plan({.m = kRows, .n = kHidden, .k = kIn, .transpose_b = true})),
        forward2_(device.plan({.m = kRows, .n = kClasses, .k = kHidden, .transpose_b = true})),
        back2_(device.plan({.m = kClasses, .n = kHidden, .k = kRows, .transpose_a = true})),
        data2_(device.plan({.m = kRows, .n = kHidden, .k = kClasses})),
        back1_(device.plan({.m = kHidden, .n = kIn, .k = kRows, .transpose_a = true})),
        workspace_(device, workspace()), draw_(11), data_(device, draw_.floats(kSamples * kIn)),
        labels_(device, draw_.integers(kSamples, kClasses)),
        order_(device, draw_.integers(kSamples, kSamples)),
        weights1_(device, draw_.floats(kWeights1)), weights2_(device, draw_.floats(kWeights2)),
        bias_(device, Floats(kHidden)), first_(device, Floats(kSize)),
        second_(device, Floats(kSize)), stats_(device, std::vector<LossStats>(1)),
        state_(device, sizeof(StepState)), host_(device.allocate_host(sizeof(StepState))) {
    // What has been copied on the default stream is there for this one.
    device.synchronize({});
  }
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;
  ~Training() { device_.release_host(host_); }

  // What one step queues; the state comes from pinned memory each time.
  void queue() {
    device_.copy_in(stream_, state_.data(), host_, sizeof(StepState));
    const auto* state = state_.as<StepState>();
    device_.gather(stream_, {.rows = kRows, .cols = kIn}, state, data_.get(), order_.get(), nullptr,
                   nullptr, x_.get());
    device_.gather(stream_, {.rows = kRows, .cols = 1, .source = DType::i32}, state, labels_.get(),
                   order_.get(), nullptr, nullptr, y_.get());
    forward1_->run(stream_, x_.get(), weights1_.get(), nullptr, h_.get(), workspace_.data());
    const EpilogueSpec layer{.rows = kRows,
                             .cols = kHidden,
                             .activation = Activation::relu,
                             .dropout = 0.2F,
                             .layer = 1};
    device_.epilogue(stream_, layer, state, bias_.get(), h_.get(), h_.get());
    forward2_->run(stream_, h_.get(), weights2_.get(), nullptr, logits_.get(), workspace_.data());
    device_.softmax_cross_entropy(stream_, kRows, kClasses, logits_.get(), y_.get(), nullptr,
                                  logits_.get(), stats_.get());
    back2_->run(stream_, logits_.get(), h_.get(), nullptr, d2_.get(), workspace_.data());
    data2_->run(stream_, logits_.get(), weights2_.get(), nullptr, dh_.get(), workspace_.data());
    device_.epilogue_backward(stream_, layer, state, h_.get(), h_.get(), dh_.get(), dh_.get(),
                              dbias_.get());
    back1_->run(stream_, dh_.get(), x_.get(), nullptr, d1_.get(), workspace_.data());
    update(state, weights1_.get(), d1_.get(), kWeights1, 0);
    update(state, weights2_.get(), d2_.get(), kWeights2, kWeights1);
    update(state, bias_.get(), dbias_.get(), kHidden, kWeights1 + kWeights2);
  }

  void set_step(std::uint64_t step) {
    device_.synchronize(stream_); // the last copy has read it
    const StepState state{.step = step,
                          .seed = 5,
                          .first_row = static_cast<std::int64_t>(step - 1) * kRows % 150,
                          .learning_rate = 0.01F};
    std::memcpy(host_, &state, sizeof state);
  }

  // Weights and statistics.
  Floats result() {
    device_.synchronize(stream_);
    Floats all = weights1_.read();
    for (const auto* part : {&weights2_, &bias_}) {
      const Floats values = part->read();
      all.insert(all.end(), values.begin(), values.end());
    }
    const LossStats stats = stats_.read()[0];
    all.push_back(static_cast<float>(stats.loss));
    all.push_back(static_cast<float>(stats.correct));
    return all;
  }

 private:
  void update(const StepState* state, float* params, const float* grads, std::int64_t size,
              std::int64_t at) {
    device_.adamw(stream_, {.size = size, .decayed = size}, state, params, grads, first_.get() + at,
                  second_.get() + at);
  }
  std::size_t workspace() const {
    std::size_t most = 1;
    for (const auto* plan : {&forward1_, &forward2_, &back2_, &data2_, &back1_})
      most = std::max(most, (*plan)->workspace_bytes());
    return most;
  }

  Device& device_;
  Stream stream_;
  std::unique_ptr<MatmulPlan> forward1_, forward2_, back2_, data2_, back1_;
  Buffer workspace_;
  Draw draw_;
  OnDevice<float> data_;
  OnDevice<std::int32_t> labels_, order_;
  OnDevice<float> weights1_, weights2_, bias_, first_, second_;
  OnDevice<LossStats> stats_;
  OnDevice<float> x_ = poisoned(device_, kRows*kIn), h_ = poisoned(device_, kRows*kHidden),
                  dh_ = poisoned(device_, kRows*kHidden),
                  logits_ = poisoned(device_, kRows*kClasses), d1_ = poisoned(device_, kWeights1),
                  d2_ = poisoned(device_, kWeights2), dbias_ = poisoned(device_, kHidden);
  OnDevice<std::int32_t> y_{device_, std::vector<std::int32_t>(kRows)};
  Buffer state_;
  void* host_;
};

void graphs(Device& device, Report& report) {
  constexpr std::uint64_t kSteps = 6;
  const Stream stream = device.make_stream();
  Training direct(device, stream);
  for (std::uint64_t step = 1; step <= kSteps; ++step) {
    direct.set_step(step);
    direct.queue();
  }
  const Floats want = direct.result();
  Training replayed(device, stream);
  replayed.set_step(1);
  replayed.queue(); // once before it is recorded, as capture() asks
  const auto graph = device.capture(stream, [&] { replayed.queue(); });
  for (std::uint64_t step = 2; step <= kSteps; ++step) {
    replayed.set_step(step);
    if (graph != nullptr)
      graph->launch(stream);
    else
      replayed.queue();
  }
  report.equal("a recorded training step gives the same bits", replayed.result(), want);
  if (graph != nullptr) {
    report.refuses("recording the default stream", ErrorKind::invalid,
                   [&] { static_cast<void>(device.capture({}, [] {})); });
    const OnDevice place(device, Floats(4));
    const float value = 1.0F;
    report.refuses("recording a copy from pageable memory", ErrorKind::invalid, [&] {
      static_cast<void>(
          device.capture(stream, [&] { device.copy_in(stream, place.get(), &value, 4); }));
    });
    // The stream goes on after both.
    device.zero(stream, place.get(), 16);
    device.synchronize(stream);
    report.equal("a stream after a refused recording", place.read(), Floats(4));
  }
  device.release(stream);
}

// Host memory that changes right after copy_in(), in pieces smaller and larger than any staging.
void copies(Device& device, Report& report) {
  const Stream up = device.make_stream();
  const Stream down = device.make_stream();
  for (const std::int64_t count : {1, 1000, 65536, 2'000'003}) {
    Draw draw(static_cast<std::uint64_t>(count));
    const Floats values = draw.floats(count);
    const auto target = poisoned(device, count);
    device.synchronize({});
    Floats source = values;
    device.copy_in(up, target.get(), source.data(), source.size() * sizeof(float));
    std::fill(source.begin(), source.end(), -7.0F);
    device.order(up, down);
    Floats back(values.size());
    device.copy_out(down, back.data(), target.get(), back.size() * sizeof(float));
    report.equal("what was copied in on one stream comes out on a later one", back, values);
  }
  // Many small ones: more than any ring of staging buffers has places for.
  const auto target = poisoned(device, 100);
  device.synchronize({});
  Floats want;
  for (int i = 0; i < 100; ++i) {
    const auto value = static_cast<float>(i);
    device.copy_in(up, target.get() + i, &value, sizeof value);
    want.push_back(value);
  }
  Floats got(100);
  device.copy_out(up, got.data(), target.get(), 400);
  report.equal("many small copies", got, want);
  device.release(up);
  device.release(down);
}

} // namespace

void check_streams(Device& device, Report& report) {
  graphs(device, report);
  copies(device, report);
}

} // namespace mlp::kernels::check
