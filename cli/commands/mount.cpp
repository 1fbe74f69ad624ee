// `mlp __mount NAME DIR`: the process that `mlp data mount --detach` leaves behind.
#include "cli/mounting.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace mlp {

namespace {

// With the time, for who reads it later. Standard error is a file.
class FileLog final : public LogSink {
 public:
  void log(LogLevel level, std::string_view message) override {
    if (level == LogLevel::debug) return;
    const std::string line =
        fmt::format("{} {}{}\n", format_time(wall_now()),
                    level == LogLevel::warning ? "warning: " : "", printable(message));
    std::fwrite(line.data(), 1, line.size(), stderr);
  }
};

void run(Session& session) {
  FileLog log;
  set_log_sink(&log);
  struct Restore {
    Session& session;
    ~Restore() { set_log_sink(&session.output().log_sink()); }
  } restore{session};
  serve_mount(session, mount_request(session));
}

} // namespace

extern const Command mount_command;
const Command mount_command = {.path = "__mount",
                               .summary = "serve a mount; started by mlp itself",
                               .category = Category::hidden,
                               .arguments = mount_arguments(),
                               .options = mount_options(),
                               .settings = {"data.mount_cache"},
                               .run = run};

} // namespace mlp
