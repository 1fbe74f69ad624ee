// Times and limits.
#include "kernels/bench/rig.hpp"

#include "kernels/bench/peak.hpp"
#include "kernels/philox.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace mlp::kernels::bench {

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double best_of(int times, const std::function<double()>& once) {
  double best = 1e30;
  for (int i = 0; i < times; ++i)
    best = std::min(best, once());
  return best;
}

// The upper one of the two in the middle.
double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// As the products of any precision are: by the largest number.
bool same(const std::vector<float>& a, const std::vector<float>& b) {
  float largest = 0.0F, difference = 0.0F;
  bool good = true;
  for (std::size_t i = 0; i < a.size(); ++i) {
    good = good && std::isfinite(a[i]) && std::isfinite(b[i]);
    largest = std::max(largest, std::fabs(a[i]));
    difference = std::max(difference, std::fabs(a[i] - b[i]));
  }
  return good && difference <= 0.02F * largest;
}

} // namespace

Rig::Rig(int gpu, Precision precision, int threads, int repetitions)
    : on_gpu_(gpu >= 0), precision_(precision), threads_(threads), repetitions_(repetitions),
      pool_(threads),
      device_(on_gpu_ ? make_cuda_device(gpu, {.precision = precision}) : make_cpu_device(threads)),
      stream_(device_->make_stream()) {}

Rig::~Rig() {
  device_->release(stream_);
}

void Rig::measure_limits() {
  peak_ = on_gpu_ ? measure_products(DType::f32) : measure_peak();
  std::printf("{\"op\": \"limit\", \"device\": \"%s\", \"threads\": %d, \"gflops\": %.1f, "
              "\"copy_gb_s_1mb\": %.1f, \"copy_gb_s_256mb\": %.1f}\n",
              device_->name(), threads_, peak_, copy_rate(1 << 20), copy_rate(256 << 20));
  if (!on_gpu_) return;
  peak_bf16_ = measure_products(DType::bf16);
  std::printf("{\"op\": \"limit of bf16\", \"gflops\": %.1f}\n", peak_bf16_);
}

// The operation ready to be timed: run once before, and recorded where the device does that. Gives
// seconds of one run. `body` has to live as long.
std::function<double()> Rig::timed(const Body& body) const {
  body();
  device_->synchronize(stream_);
  constexpr int kRuns = 50; // in a graph
  std::shared_ptr<Graph> graph = device_->capture(stream_, [&] {
    for (int i = 0; i < kRuns; ++i)
      body();
  });
  return [this, graph = std::move(graph), &body] {
    const double start = now();
    if (graph != nullptr)
      graph->launch(stream_);
    else
      body();
    device_->synchronize(stream_);
    return (now() - start) / (graph != nullptr ? kRuns : 1);
  };
}

double Rig::seconds_of(const Body& body) const {
  return best_of(repetitions_, timed(body));
}

double Rig::measure_peak() {
  constexpr std::int64_t kRounds = 200'000;
  const double seconds =
      seconds_of([&] { pool_.run(threads_, [](int) { multiply_adds(kRounds); }); });
  return 1e-9 * multiply_add_operations(kRounds) * threads_ / seconds;
}

// The rate of a large square product whose operands are of this type, in gflops.
double Rig::measure_products(DType dtype) const {
  const std::int64_t n = dtype == DType::f32 ? 4096 : 8192;
  // Numbers as in a network: zeros take less power, and so run at a higher clock.
  const Buffer a = numbers(n * n, dtype);
  const Buffer c(*device_, static_cast<std::size_t>(n * n) * size_of(dtype));
  const auto plan = device_->plan({.m = n, .n = n, .k = n, .dtype = dtype});
  const Buffer workspace(*device_, plan->workspace_bytes());
  const double seconds = seconds_of(
      [&] { plan->run(stream_, a.data(), a.data(), nullptr, c.data(), workspace.data()); });
  return 2e-9 * static_cast<double>(n * n * n) / seconds;
}

// GB/s of a copy that reads and writes `bytes` in all: memcpy, or the driver's.
double Rig::copy_rate(std::int64_t bytes) {
  const std::int64_t half = std::max<std::int64_t>(bytes / 2, 64);
  const auto size = static_cast<std::size_t>(half);
  if (on_gpu_) {
    const Buffer from = zeros((half + 3) / 4);
    const Buffer to = zeros((half + 3) / 4);
    const double seconds = seconds_of([&] { driver_copy(stream_, to.data(), from.data(), size); });
    return 1e-9 * static_cast<double>(2 * half) / seconds;
  }
  std::vector<char> from(size, 1);
  std::vector<char> to(size);
  const double seconds = seconds_of([&] {
    pool_.split(half, 64, 1 << 14, [&](std::int64_t begin, std::int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin, static_cast<std::size_t>(end - begin));
    });
  });
  return 1e-9 * static_cast<double>(2 * half) / seconds;
}

void Rig::compute(const std::string& name, double operations, double peak, const Body& body,
                  const std::string& peer) const {
  const double seconds = seconds_of(body);
  const double rate = 1e-9 * operations / seconds;
  std::printf("{\"op\": \"%s\", \"us\": %.1f, \"gflops\": %.1f, \"of_limit\": %.2f%s}\n",
              name.c_str(), seconds * 1e6, rate, rate / peak, peer.c_str());
}

void Rig::move(const std::string& name, std::int64_t bytes, const Body& body,
               const std::string& peer) {
  const double seconds = seconds_of(body);
  const double rate = 1e-9 * static_cast<double>(bytes) / seconds;
  std::printf("{\"op\": \"%s\", \"us\": %.1f, \"gb_s\": %.1f, \"of_limit\": %.2f%s}\n",
              name.c_str(), seconds * 1e6, rate, rate / copy_rate(bytes), peer.c_str());
}

std::string Rig::beside(const Body& ours, Peer* peer, void* result, std::int64_t count,
                        DType dtype) const {
  if (peer == nullptr) return "";
  const auto left = [&](const Body& body) {
    device_->zero(stream_, result, static_cast<std::size_t>(count) * size_of(dtype));
    body();
    return download(result, count, dtype);
  };
  constexpr int kTrials = 5;
  int fastest = -1;
  double best = 1e30;
  for (int way = 0; way < peer->ways(); ++way) {
    const Body theirs = [&, way] { peer->run(stream_, way); };
    try {
      const double seconds = best_of(std::min(repetitions_, kTrials), timed(theirs));
      if (seconds >= best) continue;
      best = seconds;
      fastest = way;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unsupported) throw;
    }
  }
  if (fastest < 0) return "";
  const Body theirs = [&] { peer->run(stream_, fastest); };
  const bool differs = !same(left(ours), left(theirs));
  const auto time_ours = timed(ours);
  const auto time_theirs = timed(theirs);
  std::vector<double> mine, other;
  for (int i = 0; i < repetitions_; ++i) {
    mine.push_back(time_ours());
    other.push_back(time_theirs());
  }
  char text[160];
  std::snprintf(text, sizeof text,
                ", \"peer\": \"%s, %d tried\", \"peer_us\": %.2f, \"of_peer\": %.3f%s",
                peer->name(), peer->ways(), median(other) * 1e6, median(other) / median(mine),
                differs ? ", \"peer_differs\": true" : "");
  return text;
}

std::unique_ptr<Peer> Rig::peer_of(const std::string& name,
                                   const std::function<std::unique_ptr<Peer>()>& make) const {
  if (!on_gpu_) return nullptr;
  try {
    return make();
  } catch (const Error& error) {
    std::fprintf(stderr, "%s has no peer: %s\n", name.c_str(), error.what());
    return nullptr;
  }
}

Buffer Rig::zeros(std::int64_t count) const {
  Buffer buffer(*device_, static_cast<std::size_t>(count) * sizeof(float));
  device_->zero(stream_, buffer.data(), buffer.bytes());
  return buffer;
}

Buffer Rig::floats(std::int64_t count) const {
  std::vector<float> values(static_cast<std::size_t>(count));
  PhiloxSequence random(1, static_cast<std::uint64_t>(count));
  for (float& value : values)
    value = 2.0F * random.uniform() - 1.0F;
  return upload(values);
}

Buffer Rig::numbers(std::int64_t count, DType dtype) const {
  if (dtype == DType::f32) return floats(count);
  std::vector<std::uint16_t> halves(static_cast<std::size_t>(count));
  PhiloxSequence random(1, 2);
  for (std::uint16_t& half : halves)
    half = static_cast<std::uint16_t>(
        std::bit_cast<std::uint32_t>(2.0F * random.uniform() - 1.0F) >> 16);
  return upload(halves);
}

std::vector<float> Rig::download(const void* data, std::int64_t count, DType dtype) const {
  const auto size = static_cast<std::size_t>(count);
  std::vector<float> values(size);
  if (dtype == DType::f32) {
    device_->copy_out(stream_, values.data(), data, size * sizeof(float));
    return values;
  }
  std::vector<std::uint16_t> halves(size);
  device_->copy_out(stream_, halves.data(), data, size * sizeof(std::uint16_t));
  for (std::size_t i = 0; i < size; ++i)
    values[i] = std::bit_cast<float>(static_cast<std::uint32_t>(halves[i]) << 16);
  return values;
}

} // namespace mlp::kernels::bench
