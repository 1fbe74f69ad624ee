// The signals of a supervisor, as something to poll for. Internal to core/job.
#pragma once

#include "core/base/fs.hpp"

#include <string>

namespace mlp::job {

// Blocks SIGTERM, SIGINT and SIGCHLD for the process and reads them from a descriptor; SIGHUP and
// SIGPIPE are ignored. Throws Error.
[[nodiscard]] File open_signals();

// Reads what has come. True if one of them asks us to stop.
bool take_signals(const File& signals);

// "SIGKILL"
[[nodiscard]] std::string signal_text(int number);

} // namespace mlp::job
