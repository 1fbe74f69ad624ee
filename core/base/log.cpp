// One global pointer: set by main before any thread starts.
#include "core/base/log.hpp"

namespace mlp {

namespace {
LogSink* sink = nullptr;

void emit(LogLevel level, std::string_view message) {
  if (sink != nullptr) sink->log(level, message);
}
} // namespace

void set_log_sink(LogSink* new_sink) noexcept {
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
