// The journals' record goes on growing; what is shown is a copy of it, settled.
#include "core/track/run_tail.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"

#include <algorithm>

namespace mlp::track {

namespace {

constexpr std::size_t most_curves = 1000; // as many as a record has metrics
constexpr std::chrono::seconds shortest_look{2};

} // namespace

RunTail::RunTail(const RunFolder& run, std::size_t stretches) : stretches_(stretches) {
  read_.folder = run;
  read_.spec = read_run_spec(run);
  read_.since = read_.spec.created;
  settled_ = read_;
}

bool RunTail::update(WallTime now, std::uint64_t most) {
  bool more = read_more(most);
  settled_ = read_;
  if (!more && is_active(read_.state)) {
    settle(settled_, now);
    // It may have written its last word and ended between our reading and our look.
    if (settled_.state == RunState::lost) {
      more = read_more(most);
      settled_ = read_;
      settle(settled_, now);
    }
  }
  read_progress(now);
  return more;
}

bool RunTail::read_more(std::uint64_t most) {
  return read_on(read_, most, [&](const Json& point) { take_point(point); });
}

void RunTail::take_point(const Json& point) {
  const std::optional<double> step = step_of(point);
  for (const auto& [name, value] : point.items()) {
    if (!is_metric(name, value)) continue;
    auto found = curves_.find(name);
    if (found == curves_.end()) {
      if (curves_.size() >= most_curves) continue;
      const std::size_t share = stretches_ / (curves_.size() + 1);
      for (auto& [other, kept] : curves_)
        kept.curve.set_limit(share);
      found = curves_.emplace(name, Kept{Curve(share)}).first;
    }
    Kept& kept = found->second;
    kept.has_steps = kept.has_steps && step.has_value();
    kept.curve.add(
        {step.value_or(static_cast<double>(kept.curve.size() + 1)), value.get<double>()});
  }
}

void RunTail::read_progress(WallTime now) {
  progress_.reset();
  if (settled_.state != RunState::running) {
    first_look_.reset();
    return;
  }
  try {
    const auto text = read_file_if_exists(read_.folder.progress(), 64u << 10);
    if (!text) return;
    const Json said = parse_json(*text, "progress");
    const auto samples = [&](const char* key) {
      return static_cast<std::uint64_t>(std::max<std::int64_t>(0, json_int(said, key, "progress")));
    };
    progress_ = RunProgress{samples("samples_done"), samples("samples_total"),
                            json_string(said, "note", "progress"), std::nullopt};
  } catch (const Error&) { // replaced while it was read, or no such progress: no matter
    return;
  }
  // A new attempt begins at its checkpoint.
  if (!first_look_ || progress_->done < first_look_->second) first_look_ = {now, progress_->done};
  const std::uint64_t since = progress_->done - first_look_->second;
  const std::chrono::duration<double> passed = now - first_look_->first;
  if (since > 0 && passed >= shortest_look && progress_->total >= progress_->done)
    progress_->left = passed * (static_cast<double>(progress_->total - progress_->done) /
                                static_cast<double>(since));
}

std::vector<ChartPoint> RunTail::curve(std::string_view name) const {
  const auto found = curves_.find(name);
  return found == curves_.end() ? std::vector<ChartPoint>{} : found->second.curve.points();
}

std::size_t RunTail::curve_size(std::string_view name) const {
  const auto found = curves_.find(name);
  return found == curves_.end() ? 0 : found->second.curve.size();
}

bool RunTail::has_steps(std::string_view name) const {
  const auto found = curves_.find(name);
  return found != curves_.end() && found->second.has_steps;
}

} // namespace mlp::track
