// Diagnostics for people: "report" text that the caller may silence, on a sink that the program
// installs once. The library itself never prints.
#pragma once

#include <string>
#include <string_view>

namespace mlp {

enum class LogLevel { error, warning, info, debug };

// Receives each message. Called from any thread; must not throw.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void log(LogLevel level, std::string_view message) = 0;
};

// nullptr (the default) drops messages. Returns when no call of the sink before it is under way:
// that one may then be destroyed. Thread-safe; not to be called from within a sink.
void set_log_sink(LogSink* sink) noexcept;

void log_warning(std::string_view message);
void log_info(std::string_view message);
void log_debug(std::string_view message);

} // namespace mlp
