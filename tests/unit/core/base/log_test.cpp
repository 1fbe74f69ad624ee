// The log's sink: dropped without one, and safe to take away while others log.
#include "core/base/log.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace mlp;

namespace {

class Counter final : public LogSink {
 public:
  explicit Counter(std::atomic<int>& count) : count_(count) {}
  ~Counter() override { alive_ = false; }
  void log(LogLevel, std::string_view) override {
    if (alive_) ++count_;
  }

 private:
  std::atomic<int>& count_;
  bool alive_ = true; // not atomic: a call after the destructor is a race that TSan sees
};

} // namespace

TEST_CASE("messages without a sink are dropped") {
  set_log_sink(nullptr);
  log_warning("nobody hears this");
}

TEST_CASE("a sink may be destroyed once it is taken away, whoever is logging") {
  std::atomic<int> count{0};
  std::atomic<bool> stop{false};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&] {
      while (!stop)
        log_info("x");
    });
  for (int i = 0; i < 200; ++i) {
    auto sink = std::make_unique<Counter>(count);
    set_log_sink(sink.get());
    log_debug("y");
    set_log_sink(nullptr);
  }
  stop = true;
  threads.clear();
  CHECK(count >= 200);
}
