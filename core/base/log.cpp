// One global pointer. A message holds it shared while its sink runs, so that taking the sink away
// waits for the messages under way.
#include "core/base/log.hpp"

#include <mutex>
#include <shared_mutex>

namespace mlp {

namespace {

std::shared_mutex sink_mutex;
LogSink* sink = nullptr;

void emit(LogLevel level, std::string_view message) {
  const std::shared_lock lock(sink_mutex);
  if (sink != nullptr) sink->log(level, message);
}

} // namespace

void set_log_sink(LogSink* new_sink) noexcept {
  const std::unique_lock lock(sink_mutex);
  sink = new_sink;
}
void log_warning(std::string_view message) {
  emit(LogLevel::warning, message);
}
void log_info(std::string_view message) {
  emit(LogLevel::info, message);
}
void log_debug(std::string_view message) {
  emit(LogLevel::debug, message);
}

} // namespace mlp
