// Starts another mlp that mounts, in a session of its own with its messages in a file, and waits
// for its first line.
#include "cli/mounting.hpp"
#include "core/base/error.hpp"
#include "core/base/interrupt.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace mlp {

namespace {

constexpr std::uintmax_t most_log = 1u << 20;

// The first line, or what there was before the end.
std::string first_line(const File& from, Process& child, const std::stop_token& stop) {
  std::string line;
  std::array<char, 4096> block{};
  while (line.find('\n') == std::string::npos && line.size() < (1u << 20)) {
    if (stop.stop_requested()) {
      child.signal(SIGTERM);
      throw_if_stopped(stop);
    }
    pollfd waits{from.fd(), POLLIN, 0};
    if (::poll(&waits, 1, 100) <= 0) continue;
    const ssize_t got = ::read(from.fd(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    line.append(block.data(), static_cast<std::size_t>(got));
  }
  return line;
}

// The error that another mlp printed as its last line with --json.
Error error_of(const std::string& log, int code) {
  const std::string_view text = trim(log);
  const std::size_t start = text.rfind('\n');
  try {
    const Json record =
        parse_json(start == std::string::npos ? text : text.substr(start + 1), "the log");
    const Json& told = json_member(record, "error", "the log");
    ErrorKind kind = ErrorKind::failed;
    for (const ErrorKind known :
         {ErrorKind::usage, ErrorKind::config, ErrorKind::not_found, ErrorKind::conflict,
          ErrorKind::denied, ErrorKind::unreachable, ErrorKind::integrity, ErrorKind::interrupted})
      if (exit_code(known) == code) kind = known;
    Error error(kind, json_string(told, "message", "the log"));
    for (const Json& context : json_member(told, "contexts", "the log"))
      error.add_context(context.get<std::string>());
    for (const Json& hint : json_member(told, "hints", "the log"))
      error.add_hint(hint.get<std::string>());
    return error;
  } catch (const std::exception&) {
    return {ErrorKind::failed, fmt::format("the process that was to mount ended with {}: {}", code,
                                           printable(text.substr(0, 1000)))};
  }
}

} // namespace

void serve_mount_detached(Session& session, const MountRequest& request) {
  const fs::path folder = session.project().state() / "mounts";
  make_directories(folder);
  const fs::path log = folder / (sha256(request.folder.native()).hex().substr(0, 16) + ".log");
  // Another mount may be writing to it.
  std::error_code ignored;
  if (fs::file_size(log, ignored) > most_log && !ignored) fs::resize_file(log, 0, ignored);
  const File messages = File::open_append(log, 0600);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error(errno, "create", "pipe");
  const File from(ends[0]);
  File to(ends[1]);

  ProcessSpec spec;
  // With --json, for its first line and its error.
  spec.arguments = {this_executable().native(), "--json", "__mount"};
  const std::vector<std::string> words = mount_words(session, request);
  spec.arguments.insert(spec.arguments.end(), words.begin(), words.end());
  spec.directory = session.project().root;
  spec.standard_output = to.fd();
  spec.standard_error = messages.fd();
  spec.new_session = true;
  Process child = Process::spawn(spec);
  to.close();
  const std::string line = first_line(from, child, session.stop_token());
  if (line.find('\n') == std::string::npos) {
    const ProcessExit exit = child.wait();
    throw error_of(read_file(log), exit.code);
  }
  constexpr const char* what = "the mount's first line";
  Json record = parse_json(line.substr(0, line.find('\n')), what);
  record["log"] = log.native();
  const std::string text =
      fmt::format("{}: {} in {} mounted at '{}' by process {}; mlp data unmount ends it\n",
                  request.name.dataset.name,
                  size_text(static_cast<std::uint64_t>(json_int(record, "files", what)),
                            static_cast<std::uint64_t>(json_int(record, "bytes", what))),
                  json_string(record, "digest", what).substr(7, 12),
                  printable(request.folder.native()), json_int(record, "pid", what));
  session.output().emit_line(std::move(record), text);
}

} // namespace mlp
