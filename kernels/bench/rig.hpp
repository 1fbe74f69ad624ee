// What measuring an operation takes: buffers with numbers in them, times on the device, the limits
// of this machine, and the record that is printed.
#pragma once

#include "kernels/bench/peers.hpp"
#include "kernels/cpu/threads.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace mlp::kernels::bench {

class Rig {
 public:
  using Body = std::function<void()>; // queues one run of an operation on stream_

  // gpu: its number, or -1 for the CPU.
  Rig(int gpu, Precision precision, int threads, int repetitions);
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;
  ~Rig();

 protected:
  // Prints what the machine can do, and keeps it for the shares.
  void measure_limits();

  // The record of an operation that calculates, against the rate `peak`, or that moves `bytes`.
  // `peer`: what beside() has said, or nothing.
  void compute(const std::string& name, double operations, double peak, const Body& body,
               const std::string& peer = "") const;
  void move(const std::string& name, std::int64_t bytes, const Body& body,
            const std::string& peer = "");
  // The end of a record: ours beside the fastest of the peer's ways. Both leave `count` numbers in
  // `result`. Empty without a peer.
  std::string beside(const Body& ours, Peer* peer, void* result, std::int64_t count,
                     DType dtype) const;
  // Null, and a word on why, where the library is missing or does not do it.
  std::unique_ptr<Peer> peer_of(const std::string& name,
                                const std::function<std::unique_ptr<Peer>()>& make) const;

  template <class T>
  Buffer upload(const std::vector<T>& values) const {
    Buffer buffer(*device_, values.size() * sizeof(T));
    device_->copy_in(stream_, buffer.data(), values.data(), buffer.bytes());
    return buffer;
  }
  Buffer zeros(std::int64_t count) const;
  Buffer floats(std::int64_t count) const;               // in [-1, 1)
  Buffer numbers(std::int64_t count, DType dtype) const; // the same, of f32 or bf16

  bool on_gpu_;
  Precision precision_;
  int threads_, repetitions_;
  cpu::ThreadPool pool_;
  std::unique_ptr<Device> device_;
  Stream stream_;
  double peak_ = 1.0, peak_bf16_ = 1.0; // Gflop/s, of operands of that type

 private:
  std::function<double()> timed(const Body& body) const;
  double seconds_of(const Body& body) const;
  double measure_peak();
  double measure_products(DType dtype) const;
  double copy_rate(std::int64_t bytes);
  std::vector<float> download(const void* data, std::int64_t count, DType dtype) const;
};

} // namespace mlp::kernels::bench
