// Counters of a server, and their text for Prometheus. Names and meanings are those of Triton's
// metrics (docs/user_guide/metrics.md of the Triton server); ours begin with mlp_.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace mlp::serve {

// Of one model. Written from many threads; each number is right by itself.
struct ModelCounters {
  using Counter = std::atomic<std::uint64_t>;
  Counter requests_succeeded{0};
  Counter requests_failed{0};
  Counter inferences{0}; // a batch of n counts n
  Counter executions{0}; // a batch counts once
  // Summed over requests that succeeded, in microseconds.
  Counter request_us{0}; // from the last byte of the request to the response
  Counter queue_us{0};   // waiting for a worker
  Counter compute_input_us{0};
  Counter compute_infer_us{0};
  Counter compute_output_us{0};
  std::atomic<std::int64_t> pending{0}; // waiting for a worker now
};

// Of the whole server. Same rules.
struct ServerCounters {
  std::atomic<std::int64_t> connections{0}; // open now
  std::atomic<std::uint64_t> connections_refused{0};
  std::array<std::atomic<std::uint64_t>, 6> responses{}; // by the first digit of their status
};

// Writes the exposition format, version 0.0.4: all samples of a metric after its HELP and TYPE.
class MetricsText {
 public:
  enum class Type { counter, gauge };
  void begin(std::string_view name, Type type, std::string_view help);
  // `labels`: pairs of name and value.
  template <class Number>
  void sample(std::initializer_list<std::pair<std::string_view, std::string_view>> labels,
              Number value) {
    head(labels);
    text_ += std::to_string(value);
    text_ += '\n';
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void head(std::initializer_list<std::pair<std::string_view, std::string_view>> labels);
  std::string name_;
  std::string text_;
};

inline constexpr std::string_view metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

} // namespace mlp::serve
