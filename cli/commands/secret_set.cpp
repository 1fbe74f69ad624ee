// `mlp secret set`: the value comes from standard input, so that it is in no process list and in no
// shell's history.
#include "cli/completers.hpp"
#include "cli/secrets.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/secret/names.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace mlp {

namespace {

constexpr std::size_t longest_line = 4095; // the kernel cuts what is typed there

// Turns a terminal's echo off while it lives.
class NoEcho {
 public:
  NoEcho() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0)
      throw system_error(errno, "set up", "the terminal");
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    quiet.c_lflag |= ECHONL;
    if (::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) != 0)
      throw system_error(errno, "set up", "the terminal");
  }
  ~NoEcho() { ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_); }
  NoEcho(const NoEcho&) = delete;

 private:
  termios before_{};
};

std::string ask(Session& session, const std::string& name) {
  const std::stop_token stop = session.stop_token();
  const NoEcho quiet;
  std::fputs(fmt::format("value of {} (it is not shown): ", name).c_str(), stderr);
  std::string value(longest_line + 1, '\0');
  while (true) {
    throw_if_stopped(stop);
    pollfd entry{STDIN_FILENO, POLLIN, 0};
    if (::poll(&entry, 1, 100) <= 0) continue;
    const ssize_t n = ::read(STDIN_FILENO, value.data(), value.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw system_error(errno, "read", "the terminal");
    value.resize(static_cast<std::size_t>(n));
    break;
  }
  if (value.size() >= longest_line)
    throw Error(ErrorKind::usage, "the value is too long for a terminal")
        .with_hint(fmt::format("pipe it: mlp secret set {} < FILE", name));
  return value;
}

std::string read_input() {
  File input(STDIN_FILENO, "standard input");
  std::string value;
  std::string part(8192, '\0');
  try {
    while (value.size() <= secret::max_value_bytes + 1) {
      const std::size_t n = input.read(std::as_writable_bytes(std::span(part.data(), part.size())));
      if (n == 0) break;
      value.append(part, 0, n);
    }
  } catch (...) {
    (void)input.release();
    throw;
  }
  (void)input.release();
  return value;
}

void run(Session& session) {
  const std::string name = session.arguments().get_or("NAME", "");
  secret::check_secret_name(name);
  std::string value = ::isatty(STDIN_FILENO) == 1 ? ask(session, name) : read_input();
  if (value.ends_with('\n')) value.pop_back();
  if (value.empty())
    throw Error(ErrorKind::usage, fmt::format("there is no value for secret '{}'", name))
        .with_hint(fmt::format("give it on standard input: mlp secret set {} < FILE", name));
  if (value.size() > secret::max_value_bytes)
    throw Error(ErrorKind::usage, fmt::format("the value of secret '{}' is too long", name))
        .with_hint(fmt::format("at most {} bytes", secret::max_value_bytes));
  secret_store(session).set(name, value);
  ::explicit_bzero(value.data(), value.size());
  session.output().emit(json_object({{"name", name}}),
                        TextView{fmt::format("secret {} is set\n", name)});
}

} // namespace

extern const Command secret_set_command;
const Command secret_set_command = {
    .path = "secret set",
    .summary = "set a secret, from standard input or a prompt",
    .category = Category::training,
    .arguments = {{.name = "NAME",
                   .help = "its name, and that of the environment variable",
                   .complete = complete_secrets}},
    .examples = {{"mlp secret set HF_TOKEN", "asks for the value and does not show it"},
                 {"pass show db | mlp secret set DB_PASSWORD", "from another program"}},
    .run = run};

} // namespace mlp
