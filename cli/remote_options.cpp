// From the user's settings to the client's options.
#include "cli/remote_options.hpp"

#include "core/base/process.hpp"
#include "core/config/settings.hpp"

#include <algorithm>

namespace mlp {

net::HttpOptions http_options(Session& session) {
  const config::Settings& settings = session.settings();
  net::HttpOptions options;
  options.stall_timeout = settings.get_duration("net.timeout");
  options.connect_timeout = std::min(options.connect_timeout, options.stall_timeout);
  options.retry.attempts = static_cast<unsigned>(settings.get_int("net.attempts"));
  options.ca_file = settings.get_string("net.ca_file");
  if (options.ca_file.empty()) options.ca_file = get_env("SSL_CERT_FILE").value_or("");
  options.stop = session.stop_token();
  return options;
}

StorageOptions storage_options(Session& session) {
  return {.http = http_options(session),
          .ssh_command = session.settings().get_string("ssh.command"),
          .ssh_remote_program = session.settings().get_string("ssh.remote_program")};
}

} // namespace mlp
