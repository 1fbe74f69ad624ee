// Reading and appending JSON lines.
#include "core/track/journal.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace mlp::track {

JournalWriter::JournalWriter(const fs::path& path)
    : path_(path), file_(File::open_append(path, 0644)) {
  const std::uint64_t size = file_.size();
  if (size == 0) return;
  std::byte last{};
  const File reader = File::open_read(path);
  torn_ = reader.read_at(std::span(&last, 1), size - 1) == 1 && last != std::byte{'\n'};
}

void JournalWriter::append(const Json& record) {
  std::string line = dump_json(record);
  line += '\n';
  if (line.size() > max_line_bytes)
    throw Error(ErrorKind::usage, fmt::format("a record of {} bytes is too long for '{}'",
                                              line.size(), path_.native()))
        .with_hint(fmt::format("at most {} bytes", max_line_bytes));
  write(line);
}

void JournalWriter::append_lines(std::string_view lines) {
  if (!lines.empty()) write(lines);
}

void JournalWriter::write(std::string_view lines) {
  std::string repaired;
  if (torn_) {
    repaired = '\n';
    repaired += lines;
    lines = repaired;
  }
  while (!lines.empty()) {
    const ssize_t n = ::write(file_.fd(), lines.data(), lines.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      throw system_error(errno, "write", path_.native());
    }
    torn_ = lines[static_cast<std::size_t>(n) - 1] != '\n';
    lines.remove_prefix(static_cast<std::size_t>(n));
  }
}

void JournalWriter::sync() {
  file_.sync();
}

JournalEnd read_lines(const fs::path& path, std::uint64_t offset,
                      const std::function<void(std::string_view line)>& each, std::uint64_t most) {
  JournalEnd end{offset, 0, false};
  File file;
  try {
    file = File::open_read(path);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::not_found) return end;
    throw;
  }
  std::string buffer; // what has been read of the current line, and what follows it
  bool too_long = false;
  std::string chunk(64u << 10, '\0');
  std::uint64_t position = offset;
  while (true) {
    const std::size_t n =
        file.read_at(std::as_writable_bytes(std::span(chunk.data(), chunk.size())), position);
    if (n == 0) return end;
    position += n;
    std::string_view rest(chunk.data(), n);
    while (!rest.empty()) {
      const std::size_t newline = rest.find('\n');
      const std::string_view part = rest.substr(0, newline);
      if (buffer.size() + part.size() > max_line_bytes) {
        too_long = true;
        buffer.clear();
      }
      if (newline == std::string_view::npos) {
        if (!too_long) buffer += part;
        break;
      }
      if (too_long) {
        ++end.damaged;
      } else if (buffer.empty()) {
        if (!part.empty()) each(part);
      } else {
        buffer += part;
        each(buffer);
      }
      too_long = false;
      buffer.clear();
      rest.remove_prefix(newline + 1);
      end.offset = position - rest.size();
      if (end.offset - offset >= most) {
        end.more = true;
        return end;
      }
    }
  }
}

JournalEnd read_journal(const fs::path& path, std::uint64_t offset,
                        const std::function<void(const Json& record)>& each, std::uint64_t most) {
  std::size_t damaged = 0;
  const auto take = [&](std::string_view line) {
    std::optional<Json> record;
    try {
      record = parse_json(line, "journal", {max_line_bytes, 64});
    } catch (const Error&) {
      ++damaged;
      return;
    }
    if (record->is_object())
      each(*record);
    else
      ++damaged;
  };
  JournalEnd end = read_lines(path, offset, take, most);
  end.damaged += damaged;
  return end;
}

} // namespace mlp::track
