// Reading, making and asking for the key; what was read is wiped.
#include "core/secret/key.hpp"

#include "core/base/error.hpp"
#include "core/base/process.hpp"
#include "core/base/words.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

namespace mlp::secret {

namespace {

constexpr std::chrono::seconds patience{60};
constexpr std::size_t most_text = 256; // more than any key has

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Text that is wiped at its end.
struct Wiped {
  std::string text;
  Wiped() = default;
  explicit Wiped(std::string t) : text(std::move(t)) {}
  Wiped(const Wiped&) = delete;
  ~Wiped() { ::explicit_bzero(text.data(), text.size()); }
};

// What the command prints until it closes its output or the time is over; false if it was too
// slow or printed too much.
bool read_output(File& pipe, std::string& text, std::chrono::steady_clock::time_point deadline) {
  text.reserve(most_text);
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd entry{pipe.fd(), POLLIN, 0};
    if (::poll(&entry, 1, static_cast<int>(left.count())) <= 0) continue;
    char part[most_text];
    const std::size_t n = pipe.read(std::as_writable_bytes(std::span(part)));
    if (n == 0) return true;
    const bool fits = text.size() + n < most_text;
    if (fits) text.append(part, n);
    ::explicit_bzero(part, sizeof part);
    if (fits) continue;
    ::explicit_bzero(text.data(), text.size());
    text.clear(); // no key is as long
    return true;
  }
}

} // namespace

std::optional<Key> parse_key(std::string_view text) {
  Key::Bytes bytes{};
  if (text.size() == bytes.size()) {
    std::memcpy(bytes.data(), text.data(), bytes.size());
    return Key(bytes);
  }
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (text.size() != 2 * bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return Key(bytes);
}

std::optional<Key> read_key_file(const fs::path& path) {
  File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK), path.native());
  if (!file.is_open()) {
    if (errno == ENOENT) return std::nullopt;
    throw system_error(errno, "read", path.native());
  }
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) throw system_error(errno, "read", path.native());
  if (!S_ISREG(info.st_mode))
    throw Error(ErrorKind::denied, fmt::format("key file '{}' is no file", path.native()));
  if (info.st_uid != ::geteuid())
    throw Error(ErrorKind::denied,
                fmt::format("key file '{}' belongs to another user", path.native()))
        .with_hint("have one of your own, or name a command: mlp config set secrets.key_command");
  if ((info.st_mode & 077) != 0)
    throw Error(ErrorKind::denied,
                fmt::format("key file '{}' can be read by others", path.native()))
        .with_hint(fmt::format(
            "chmod 600 '{}', and change the secrets if somebody may have read it", path.native()));
  Wiped text;
  text.text.resize(most_text);
  text.text.resize(
      file.read_at(std::as_writable_bytes(std::span(text.text.data(), text.text.size())), 0));
  if (auto key = parse_key(text.text)) return key;
  throw Error(ErrorKind::integrity, fmt::format("key file '{}' is damaged", path.native()))
      .with_hint(fmt::format("bring it back from a copy, or remove it and all secrets of {}: they "
                             "cannot be read without it",
                             path.parent_path().native()));
}

Key make_key_file(const fs::path& path) {
  Key::Bytes bytes{};
  fill_random(bytes);
  const Key key(bytes);
  ::explicit_bzero(bytes.data(), bytes.size());
  Wiped text;
  text.text.reserve(66);
  for (const std::uint8_t byte : key.bytes())
    fmt::format_to(std::back_inserter(text.text), "{:02x}", byte);
  text.text += '\n';
  write_file_atomic(path, text.text, 0600);
  return key;
}

Key key_of_command(std::string_view words) {
  ProcessSpec spec;
  spec.arguments = split_setting_words("secrets.key_command", words);
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw system_error(errno, "create", "pipe");
  File output(fds[0], "output of secrets.key_command");
  File input(fds[1]);
  spec.standard_output = input.fd();
  spec.standard_error = STDERR_FILENO;
  spec.dies_with_parent = true;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const std::string program = spec.arguments.front();
  const auto failed = [&](std::string_view what) {
    return Error(ErrorKind::failed,
                 fmt::format("the command for the key of secrets, '{}', {}", program, what))
        .with_hint("see: mlp config get secrets.key_command");
  };
  Process process = [&] {
    try {
      return Process::spawn(spec);
    } catch (Error& error) {
      error.add_hint("see: mlp config get secrets.key_command");
      throw;
    }
  }();
  input.close();
  Wiped text;
  const bool in_time = read_output(output, text.text, deadline);
  output.close();
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  const auto exit =
      in_time ? process.wait_for(std::max(left, std::chrono::milliseconds(1))) : std::nullopt;
  if (!exit) {
    process.signal(SIGKILL);
    process.wait();
    throw failed(fmt::format("did not end within {} s", patience.count()));
  }
  if (exit->code != 0) throw failed(fmt::format("ended with exit code {}", exit->code));
  if (auto key = parse_key(text.text)) return *key;
  throw Error(ErrorKind::config,
              fmt::format("the command for the key of secrets, '{}', prints no key", program))
      .with_hint("it must print 64 hexadecimal digits, such as those of: openssl rand -hex 32");
}

} // namespace mlp::secret
