// Points of metrics into a run's journal as lines, for whoever has points and no lines of its own:
// MLflow's clients, event files of TensorBoard, samples of the machine.
#pragma once

#include "core/secret/masker.hpp"
#include "core/track/journal.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

namespace mlp::job {

struct MetricPoint {
  std::string key;
  double value = 0.0;         // NaN and the infinities are null in the journal
  std::int64_t timestamp = 0; // milliseconds since 1970; out of range: now
  std::optional<std::int64_t> step;
};

// The name of a metric in the journal: "step" and "time" are the journal's own words, so such a
// metric is "step_value" or "time_value".
[[nodiscard]] std::string_view journal_name(std::string_view key) noexcept;

// Not thread-safe; several may append to one journal. Points that follow each other and share time
// and step share a line. Memory: a quarter of a megabyte, and one line.
class MetricLines {
 public:
  // `secrets` are masked in all that is written, and must outlive it; nullptr: there are none.
  // Throws Error if the journal cannot be opened.
  MetricLines(const fs::path& journal, const secret::MaskedValues* secrets);

  void add(const MetricPoint& point);
  // An object of its own, as text without a newline: params, tags.
  void add_line(std::string_view object);
  // Appends what was added; blocks on the file system. What cannot be written, for a full disk, is
  // counted and dropped: logging does not fail.
  void flush();

  // Lines that could not be written, and the first reason.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }
  [[nodiscard]] const std::string& first_loss() const noexcept { return first_loss_; }

 private:
  void begin_line(const MetricPoint& point);
  void end_line();
  void write();

  track::JournalWriter journal_;
  const secret::MaskedValues* secrets_;
  std::string batch_, line_, time_;
  std::int64_t time_from_ = 0, timestamp_ = 0; // of time_, and of the line
  std::optional<std::int64_t> step_;
  std::unordered_set<std::string> in_line_;
  std::uint64_t lost_ = 0;
  std::string first_loss_;
};

} // namespace mlp::job
