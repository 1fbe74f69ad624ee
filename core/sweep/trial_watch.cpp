// Reading on from where the last look ended.
#include "core/sweep/trial_watch.hpp"

#include "core/base/json.hpp"

#include <cmath>

namespace mlp::sweep {

namespace {

constexpr std::chrono::seconds look_interval{1};

std::uint64_t size_of(const fs::path& path) {
  std::error_code code;
  const auto size = fs::file_size(path, code);
  return code ? 0 : size;
}

} // namespace

void TrialWatch::take_metrics(const std::function<void(double step, double value)>& each) {
  if (size_of(run_.metrics()) <= metrics_offset_) return;
  const auto take = [&](const Json& record) {
    const auto found = record.find(metric_);
    if (found == record.end() || !found->is_number()) return;
    const auto value = found->get<double>();
    if (!std::isfinite(value)) return;
    auto step = static_cast<double>(++count_);
    for (const char* key : {"step", "epoch"})
      if (const auto given = record.find(key); given != record.end() && given->is_number()) {
        step = given->get<double>();
        break;
      }
    value_ = value;
    step_ = step;
    each(step, value);
  };
  metrics_offset_ = track::read_journal(run_.metrics(), metrics_offset_, take).offset;
}

const track::RunRecord* TrialWatch::ended() {
  const auto now = std::chrono::steady_clock::now();
  const std::uint64_t size = size_of(run_.events());
  if (size == seen_events_ && now < next_look_) return nullptr;
  next_look_ = now + look_interval;
  if (size != seen_events_ || !record_) {
    record_ = track::read_run(run_);
    seen_events_ = record_->events_end;
  } else {
    track::settle(*record_, wall_now());
    // A last word may have been written between the reading and the look at the processes.
    if (!track::is_active(record_->state)) record_ = track::read_run(run_);
  }
  return track::is_active(record_->state) ? nullptr : &*record_;
}

} // namespace mlp::sweep
