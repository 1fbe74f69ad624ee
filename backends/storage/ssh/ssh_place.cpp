// A URL may come from a project that someone else wrote: what reaches a command line is a short
// list of harmless characters, and never begins with '-'.
#include "backends/storage/ssh/ssh_place.hpp"

#include "core/base/text.hpp"
#include "core/base/words.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp::storage {

namespace {

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Letters, digits and `others`, not empty, not an option.
bool is_plain(std::string_view text, std::string_view others) {
  return !text.empty() && text.size() <= 255 && text.front() != '-' &&
         std::ranges::all_of(text, [&](char c) {
           return is_alphanumeric(c) || others.find(c) != std::string_view::npos;
         });
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// For a shell that is not known: sh, csh, fish read the same in these quotes. "~/" stays outside,
// for the shell to replace.
std::string remote_word(const std::string& program) {
  const auto refuse = [&](std::string_view reason) {
    return Error(ErrorKind::config, fmt::format("bad setting 'ssh.remote_program', '{}': {}",
                                                printable(program), reason))
        .with_hint("give the path of mlp at the other end: mlp config set ssh.remote_program "
                   "'~/.local/bin/mlp'");
  };
  if (program.empty()) throw refuse("it is empty");
  if (program.front() == '-') throw refuse("it begins with '-'");
  if (has_control(program) || program.find_first_of("'!\\") != std::string::npos)
    throw refuse("it holds a character that shells take specially");
  const std::string_view tilde = program.starts_with("~/") ? "~/" : "";
  const std::string_view rest = std::string_view(program).substr(tilde.size());
  if (is_plain(rest, "/._+-,@")) return program;
  return fmt::format("{}'{}'", tilde, rest);
}

bool any_of(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(
      parts, [&](std::string_view part) { return text.find(part) != std::string_view::npos; });
}

// The line that tells most: the last one that is no warning or debug text.
std::string telling_line(const std::string& text) {
  std::string found;
  for (const std::string& line : split(text, '\n')) {
    const std::string_view words = trim(line);
    if (words.empty() || words.starts_with("Warning: Permanently added") ||
        words.starts_with("debug"))
      continue;
    found = printable(words.substr(0, 300));
  }
  return found;
}

std::string with_line(std::string message, const std::string& line) {
  return line.empty() ? message : fmt::format("{}: {}", message, line);
}

// ssh's own failures: exit code 255.
SshFailure explain_ssh(const SshPlace& place, const SshEnd& end) {
  const std::string& text = end.standard_error;
  const std::string line = telling_line(text);
  const auto error = [&](ErrorKind kind, std::string_view message) {
    return Error(kind, with_line(fmt::format("{} '{}'", message, place.host), line));
  };
  const std::string by_hand = place.port
                                  ? fmt::format("ssh -p {} {}", *place.port, place.destination)
                                  : fmt::format("ssh {}", place.destination);
  if (any_of(text, {"REMOTE HOST IDENTIFICATION HAS CHANGED"}))
    return {Error(ErrorKind::denied,
                  fmt::format("the key of host '{}' is not the one that is known here", place.host))
                .with_hint("the host was set up anew, or another one answers in its place: ask who "
                           "runs it before you remove the old key with ssh-keygen -R"),
            false};
  if (any_of(text, {"Host key verification failed", "host key is known for"}))
    return {
        Error(ErrorKind::denied, fmt::format("the key of host '{}' is not known here", place.host))
            .with_hint(
                fmt::format("connect once by hand, check its key and accept it: {}", by_hand)),
        false};
  if (any_of(text, {"Permission denied", "Too many authentication failures",
                    "No supported authentication methods"}))
    return {
        error(ErrorKind::denied, "no access to host")
            .with_hint(fmt::format("see that this works without a password, with a key that the "
                                   "host knows: {}",
                                   by_hand)),
        false};
  const bool passes =
      end.greeted || any_of(text, {"Connection refused", "Connection reset", "Connection closed",
                                   "kex_exchange_identification", "Temporary failure",
                                   "Broken pipe", "Connection timed out during banner"});
  Error lost = end.greeted ? error(ErrorKind::unreachable, "the connection was lost to host")
                           : error(ErrorKind::unreachable, "ssh does not reach host");
  if (!end.greeted) lost.add_hint(fmt::format("see that this works: {}", by_hand));
  return {std::move(lost), passes};
}

} // namespace

SshPlace read_ssh_url(const net::Url& url) {
  SshPlace place;
  place.location = net::redacted(url);
  const auto refuse = [&](std::string_view reason) {
    return Error(ErrorKind::config, fmt::format("bad remote '{}': {}", place.location, reason))
        .with_hint(
            "write ssh://user@host/absolute/folder, or ssh://host/~/folder for one below the "
            "home there");
  };
  if (!url.password.empty()) throw refuse("it holds a password; ssh asks for one, or takes a key");
  if (!url.query.empty() || !url.fragment.empty()) throw refuse("it has a query or a fragment");
  if (url.host.empty()) throw refuse("it names no host");
  if (!is_plain(url.host, ".-_:")) throw refuse("ssh cannot be given that host");
  if (!url.user.empty() && !is_plain(url.user, ".-_+@"))
    throw refuse("ssh cannot be given that user");
  if (url.port && *url.port == 0) throw refuse("there is no port 0");
  std::string_view path = url.path;
  while (path.ends_with('/'))
    path.remove_suffix(1);
  if (path.empty() || path == "/~") throw refuse("it names no folder");
  if (has_control(path)) throw refuse("a control character in the path");
  if (path.starts_with("/~") && !path.starts_with("/~/"))
    throw refuse("of homes only one's own is known, as '/~/'");
  place.host = url.host;
  place.destination = url.user.empty() ? url.host : fmt::format("{}@{}", url.user, url.host);
  place.port = url.port;
  place.path = net::percent_encode(path, "/");
  return place;
}

std::vector<std::string> split_words(std::string_view text) {
  try {
    return split_setting_words("ssh.command", text);
  } catch (Error& error) {
    error.add_hint("it takes words, such as: ssh -i ~/.ssh/team_key");
    throw;
  }
}

std::vector<std::string> ssh_arguments(const SshPlace& place, const SshOptions& options,
                                       bool asks) {
  std::vector<std::string> words = split_words(options.command);
  // What ~/.ssh/config may ask for at a login is not for this connection.
  for (const char* option : {"-x", "-oForwardAgent=no", "-oClearAllForwardings=yes",
                             "-oPermitLocalCommand=no", "-oRemoteCommand=none", "-oRequestTTY=no"})
    words.emplace_back(option);
  if (!asks) words.emplace_back("-oBatchMode=yes");
  if (place.port) {
    words.emplace_back("-p");
    words.push_back(fmt::to_string(*place.port));
  }
  words.emplace_back("--");
  words.push_back(place.destination);
  words.push_back(
      fmt::format("{} storage-serve {}", remote_word(options.remote_program), place.path));
  return words;
}

SshFailure explain_end(const SshPlace& place, const SshOptions& options, const SshEnd& end) {
  const std::string line = telling_line(end.standard_error);
  if (!end.unexpected.empty())
    return {Error(ErrorKind::failed,
                  fmt::format("host '{}' sent '{}' in place of mlp's greeting", place.host,
                              printable(std::string_view(end.unexpected).substr(0, 100))))
                .with_hint("what the login shell there prints when nobody types, from .bashrc or "
                           ".profile for instance, is in the way: it must print nothing"),
            false};
  if (end.code == 255) return explain_ssh(place, end);
  if (end.greeted) // mlp there was ended, or the machine it runs on
    return {
        Error(ErrorKind::unreachable,
              with_line(fmt::format("mlp at host '{}' ended with code {}", place.host, end.code),
                        line)),
        true};
  if (end.code == 127 || end.code == 126) {
    Error error(ErrorKind::not_found,
                with_line(fmt::format("mlp does not start at host '{}'", place.host), line));
    error.add_hint("mlp must be installed there too: copy this very file, or the package, to the "
                   "host");
    error.add_hint(fmt::format("where it is not in the PATH of a command over ssh, name it: mlp "
                               "config set ssh.remote_program '~/.local/bin/mlp' (now '{}')",
                               printable(options.remote_program)));
    return {std::move(error), false};
  }
  if (any_of(end.standard_error, {"'storage-serve' is not an mlp command"}))
    return {Error(ErrorKind::failed,
                  fmt::format("mlp at host '{}' is too old to serve a remote", place.host))
                .with_hint("install the same version there as here"),
            false};
  std::string message = line;
  if (message.starts_with("mlp: error: ")) message.erase(0, 12);
  return {Error(ErrorKind::failed,
                with_line(fmt::format("mlp at host '{}' ended with code {}", place.host, end.code),
                          message)),
          false};
}

Error explain_no_ssh(const Error& cause, const std::string& program) {
  Error error(cause.kind() == ErrorKind::denied ? ErrorKind::denied : ErrorKind::not_found,
              cause.message());
  error.add_hint(fmt::format("install OpenSSH's client (Debian: openssh-client), or name another "
                             "program: mlp config set ssh.command '/path/to/ssh' (now '{}')",
                             printable(program)));
  return error;
}

} // namespace mlp::storage
