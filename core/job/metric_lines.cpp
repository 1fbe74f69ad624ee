// Lines written by hand: a tree of JSON for each point would take longer than all the rest.
#include "core/job/metric_lines.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/time.hpp"
#include "core/job/metrics_intake.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace mlp::job {

namespace {

constexpr std::size_t batch_bytes = 256u << 10;
constexpr std::size_t line_bytes = track::max_line_bytes / 4; // then the next point begins one
constexpr std::int64_t last_timestamp = 253'402'300'799'999;  // of the year 9999

std::string time_text(std::int64_t timestamp) {
  if (timestamp <= 0 || timestamp > last_timestamp) return format_time(wall_now());
  return format_time(WallTime(std::chrono::milliseconds(timestamp)));
}

void append_string(std::string& out, std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return c >= ' ' && c < 127 && c != '"' && c != '\\';
  });
  if (!plain) {
    out += dump_json(Json(text));
    return;
  }
  out += '"';
  out += text;
  out += '"';
}

template <class Number>
void append_number(std::string& out, Number value) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

} // namespace

std::string_view journal_name(std::string_view key) noexcept {
  if (key == "step") return "step_value";
  if (key == "time") return "time_value";
  return key;
}

MetricLines::MetricLines(const fs::path& journal, const secret::MaskedValues* secrets)
    : journal_(journal), secrets_(secrets) {}

void MetricLines::begin_line(const MetricPoint& point) {
  if (time_.empty() || time_from_ != point.timestamp) time_ = time_text(point.timestamp);
  time_from_ = timestamp_ = point.timestamp;
  step_ = point.step;
  line_ = "{\"time\":\"";
  line_ += time_;
  line_ += '"';
  if (!point.step) return;
  line_ += ",\"step\":";
  append_number(line_, *point.step);
}

void MetricLines::add(const MetricPoint& point) {
  const std::string_view key = journal_name(point.key);
  if (line_.empty() || timestamp_ != point.timestamp || step_ != point.step ||
      line_.size() > line_bytes || in_line_.contains(std::string(key))) {
    end_line();
    begin_line(point);
  }
  in_line_.emplace(key);
  line_ += ',';
  append_string(line_, key);
  line_ += ':';
  if (std::isfinite(point.value))
    append_number(line_, point.value);
  else
    line_ += "null";
}

void MetricLines::add_line(std::string_view object) {
  end_line();
  line_ = object;
  line_.pop_back(); // end_line() closes it
  end_line();
}

// Closes the line, masks it and moves it to the batch.
void MetricLines::end_line() {
  in_line_.clear();
  if (line_.empty()) return;
  line_ += '}';
  if (secrets_ == nullptr) {
    batch_ += line_;
    batch_ += '\n';
  } else if (const auto masked = masked_line(line_, *secrets_)) {
    batch_ += *masked;
    batch_ += '\n';
  }
  line_.clear();
  if (batch_.size() >= batch_bytes) write();
}

void MetricLines::flush() {
  end_line();
  write();
}

void MetricLines::write() {
  if (batch_.empty()) return;
  try {
    journal_.append_lines(batch_);
  } catch (const Error& error) {
    if (lost_ == 0) first_loss_ = error.message();
    lost_ += static_cast<std::uint64_t>(std::count(batch_.begin(), batch_.end(), '\n'));
  }
  batch_.clear();
}

} // namespace mlp::job
