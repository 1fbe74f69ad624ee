// Takes the lines that a program appends to $MLP_METRICS into the run's metrics.jsonl. The program
// owns its file and may do with it what it likes; the journal has only whole, valid records, each
// with a time.
#pragma once

#include "core/secret/masker.hpp"
#include "core/track/journal.hpp"
#include "core/track/run_folder.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mlp::job {

// A line as the journal takes it, without its newline: an object, "time" added if it has none, and
// NaN and Infinity (which Python writes, and JSON does not have) as null. nullopt if it is no
// object.
[[nodiscard]] std::optional<std::string> metric_line(std::string_view line, std::string_view time);

// NaN, Infinity and -Infinity outside strings replaced by null, so that what Python wrote is JSON.
[[nodiscard]] std::string without_nan(std::string_view text);

// The same line without the secrets in its names, texts and numbers; nullopt if that cannot be done
// and it stay an object. A line that has none is returned as it is.
[[nodiscard]] std::optional<std::string> masked_line(std::string_view line,
                                                     const secret::MaskedValues& secrets);

// One per run, in its supervisor; not thread-safe.
class MetricsIntake {
 public:
  // Goes on where an earlier attempt's supervisor ended; what that one had taken in but not noted
  // is taken in twice, never lost. With `secrets` the journal gets lines without them, and the
  // program's file is emptied by the last take(); they must outlive it. Throws Error.
  explicit MetricsIntake(const track::RunFolder& run,
                         const secret::MaskedValues* secrets = nullptr);

  // Takes in what is new, 8 MiB of it at most; returns true if there was something. With `last`,
  // all of it, and a final line without newline too. Blocks on the file system. Throws Error (a
  // full disk); what was not taken in is tried again by the next call.
  bool take(bool last = false);

  // Lines that were refused, and the first of them.
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }
  [[nodiscard]] const std::string& first_refused() const noexcept { return first_refused_; }

 private:
  track::RunFolder run_;
  track::JournalWriter metrics_;
  File mark_; // holds the offset up to which the program's file has been taken in
  const secret::MaskedValues* secrets_; // nullptr: none
  std::uint64_t offset_ = 0;
  std::uint64_t refused_ = 0;
  std::string first_refused_;
};

} // namespace mlp::job
