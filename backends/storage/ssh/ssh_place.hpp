// Where an ssh: URL leads, how ssh is started to get there, and what its failures mean. As git does
// it: the system's ssh brings keys, agents, jump hosts and ~/.ssh/config.
#pragma once

#include "core/base/error.hpp"
#include "core/net/retry.hpp"
#include "core/net/url.hpp"

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::storage {

struct SshOptions {
  std::string command = "ssh";        // the setting ssh.command: words, as split_words() takes them
  std::string remote_program = "mlp"; // the setting ssh.remote_program
  // Nothing from the other end in this time, though it owes an answer: the connection is lost.
  std::chrono::milliseconds stall_timeout{30'000};
  net::RetryPolicy retry;
  std::stop_token stop; // ends every wait with Error(interrupted)
};

struct SshPlace {
  std::string host;        // as errors name it
  std::string destination; // "host" or "user@host"
  std::optional<unsigned> port;
  std::string path;     // "/srv/store", or "/~/store" below the home there; percent-encoded
  std::string location; // the URL, for people
};

// "ssh://[user@]host[:port]/path". Throws Error(config) that says what is wrong with it: a
// password, a query, a host or user that ssh or a shell could take for something else.
[[nodiscard]] SshPlace read_ssh_url(const net::Url& url);

// "a 'b c' \"d\"" is three words: no shell, but quotes group. Throws Error(config), naming the
// setting ssh.command, for a quote that is not closed and for no word at all.
[[nodiscard]] std::vector<std::string> split_words(std::string_view text);

// What ssh is started with. `asks`: there is somebody to ask for a password or about a host key.
// The last word, which a shell at the other end reads, holds nothing that any shell takes specially
// but the remote program, in quotes where it needs them. Throws Error(config) for settings that
// cannot be used so.
[[nodiscard]] std::vector<std::string> ssh_arguments(const SshPlace& place,
                                                     const SshOptions& options, bool asks);

// How ssh ended before or amid the work.
struct SshEnd {
  int code = 255;             // its exit code, or 128 + signal
  bool greeted = false;       // mlp at the other end had answered
  std::string standard_error; // its last lines, of ssh and of the other end
  std::string unexpected;     // what came in place of mlp's greeting
};
struct SshFailure {
  Error error{ErrorKind::failed, ""};
  bool transient = false; // worth another connection
};
[[nodiscard]] SshFailure explain_end(const SshPlace& place, const SshOptions& options,
                                     const SshEnd& end);

// The error for an ssh that could not be started at all.
[[nodiscard]] Error explain_no_ssh(const Error& cause, const std::string& program);

} // namespace mlp::storage
