// `docker-credential-NAME get`: the server's name in, a JSON object out. Nothing secret is in an
// argument or an error.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/image/docker_config.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

namespace mlp::image {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t longest_answer = 64 * 1024;

struct Pipe {
  File read, write;
  explicit Pipe(const std::string& name) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error(errno, "create", "pipe");
    read = File(ends[0], name);
    write = File(ends[1], name);
  }
};

milliseconds left_until(Clock::time_point deadline) {
  return std::max(milliseconds(1), std::chrono::ceil<milliseconds>(deadline - Clock::now()));
}

// Until the helper closes its output. False if it took too long or said too much.
bool read_answer(File& from, std::string& text, Clock::time_point deadline) {
  std::array<std::byte, 4096> block{};
  while (Clock::now() < deadline) {
    pollfd wait{.fd = from.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, static_cast<int>(left_until(deadline).count())) <= 0) continue;
    const std::size_t n = from.read(block);
    if (n == 0) return true;
    text.append(reinterpret_cast<const char*>(block.data()), n);
    if (text.size() > longest_answer) return false;
  }
  return false;
}

Credentials read_credentials(const std::string& answer, const std::string& program) {
  try {
    const Json json = parse_json(answer, "answer");
    Credentials out{.user = json_string(json, "Username", "answer"),
                    .password = json_string(json, "Secret", "answer")};
    if (out.user == "<token>") return {.identity_token = std::move(out.password)};
    return out;
  } catch (const Error&) { // its message may quote the answer
    throw Error(ErrorKind::failed,
                fmt::format("the credential helper '{}' gave no user and secret", program));
  }
}

} // namespace

std::optional<Credentials> ask_credential_helper(std::string_view name, std::string_view server,
                                                 milliseconds timeout) {
  if (!is_valid_name(name))
    throw Error(ErrorKind::config,
                fmt::format("'{}' is no name of a credential helper", printable(name)));
  const std::string program = fmt::format("docker-credential-{}", name);
  Pipe input(program), output(program);
  ProcessSpec spec{.arguments = {program, "get"}};
  spec.standard_input = input.read.fd();
  spec.standard_output = output.write.fd();
  spec.dies_with_parent = true;
  const auto deadline = Clock::now() + timeout;
  // The name is far shorter than what a pipe holds, so this neither waits nor, with the reading end
  // still open here, meets a closed pipe.
  input.write.write(fmt::format("{}\n", server));
  input.write.close();
  Process process = [&] {
    try {
      return Process::spawn(spec);
    } catch (Error& error) {
      error.add_hint("Docker's or podman's configuration names it under credHelpers or credsStore");
      throw;
    }
  }();
  input.read.close();
  output.write.close();
  std::string answer;
  const bool whole = read_answer(output.read, answer, deadline);
  const auto exit = whole ? process.wait_for(left_until(deadline)) : std::nullopt;
  if (!exit) {
    process.signal(SIGKILL);
    process.wait();
    throw Error(
        ErrorKind::failed,
        fmt::format("the credential helper '{}' did not answer as it should in time", program));
  }
  if (exit->code == 0) return read_credentials(answer, program);
  // The protocol's words for "I have nothing".
  if (answer.find("credentials not found") != std::string::npos) return std::nullopt;
  throw Error(ErrorKind::failed, fmt::format("the credential helper '{}' ended with exit code {}",
                                             program, exit->code))
      .with_hint(fmt::format("try it: echo {} | {} get", shell_quote(server), program));
}

} // namespace mlp::image
