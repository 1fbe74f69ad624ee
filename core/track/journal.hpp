// An append-only file of JSON lines. Each record is one write(2) of one line, so that several
// processes may append and a crash leaves at most one torn line, which readers drop.
#pragma once

#include "core/base/fs.hpp"
#include "core/base/json_fwd.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace mlp::track {

// A line longer than this is not read; a record longer than this is not written.
constexpr std::size_t max_line_bytes = 1u << 20;

class JournalWriter {
 public:
  // Creates the file if need be. If its last line is torn, the next record starts a new one.
  // Throws Error that names the path.
  explicit JournalWriter(const fs::path& path);

  // Appends one record; blocks on the file system. Throws Error(failed) for a full disk (the line
  // may then be torn; the next append starts a new one) and Error(usage) for a record above
  // max_line_bytes. Not thread-safe.
  void append(const Json& record);
  // Appends whole lines as they are; each must end with a newline.
  void append_lines(std::string_view lines);
  // Returns when all that was appended is on the disk.
  void sync();

 private:
  void write(std::string_view lines);
  fs::path path_;
  File file_;
  bool torn_ = false;
};

struct JournalEnd {
  std::uint64_t offset = 0; // behind the last whole line: where to go on reading
  std::size_t damaged = 0;  // lines that are no JSON object, or too long
  bool more = false;        // reading stopped at `most`: there may be more
};

// Calls `each` with every whole line from `offset` on that is a JSON object, in order. Skips what
// is damaged; a last line without its newline is left for the next call. Uses memory for one line.
// A file that does not exist is empty. Stops behind the line with which `most` bytes have been
// read. Throws Error if it cannot be read, and what `each` throws.
constexpr std::uint64_t all_bytes = ~std::uint64_t{0};
JournalEnd read_journal(const fs::path& path, std::uint64_t offset,
                        const std::function<void(const Json& record)>& each,
                        std::uint64_t most = all_bytes);

// The same without parsing: `each` gets the text of a line, without its newline. Ends early, behind
// a whole line, once `most` bytes are read.
JournalEnd read_lines(const fs::path& path, std::uint64_t offset,
                      const std::function<void(std::string_view line)>& each,
                      std::uint64_t most = all_bytes);

} // namespace mlp::track
