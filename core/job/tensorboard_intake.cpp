// Finding event files, naming their scalars, and remembering how far each was read.
#include "core/job/tensorboard_intake.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/job/metric_lines.hpp"
#include "core/track/event_file.hpp"
#include "core/track/logged.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

namespace mlp::job {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t max_files = 1000;
constexpr std::size_t max_entries = 200'000; // of outs that are looked at
constexpr int max_depth = 16;
constexpr std::uint64_t max_scalars = 2'000'000;
constexpr std::size_t max_state_bytes = 4u << 20;
constexpr std::uint64_t look_at_clock = 1024; // scalars

struct Progress {
  std::uint64_t offset = 0;
  std::string prefix;
};
using Files = std::map<std::string, Progress>; // by path in outs

fs::path state_path(const track::RunFolder& run) {
  return run.root / "tensorboard.json";
}

// What was not written by us, or is damaged, is as if it were not there.
Files read_state(const track::RunFolder& run) {
  Files files;
  try {
    const auto text = read_file_if_exists(state_path(run), max_state_bytes);
    if (!text) return files;
    const Json state = parse_json(*text, "tensorboard.json", {max_state_bytes, 8});
    for (const auto& [path, entry] : state.at("files").items())
      files[path] = {entry.at("offset").get<std::uint64_t>(),
                     entry.at("prefix").get<std::string>()};
  } catch (const Error&) {
    files.clear();
  } catch (const Json::exception&) {
    files.clear();
  }
  return files;
}

void write_state(const track::RunFolder& run, const Files& files) {
  Json entries = json_object();
  for (const auto& [path, progress] : files)
    entries[path] = json_object({{"offset", progress.offset}, {"prefix", progress.prefix}});
  write_file_atomic(state_path(run), dump_json(json_object({{"files", std::move(entries)}})));
}

// Event files below outs, by path, sorted. False if there are more than are looked at.
bool find_files(const fs::path& outs, std::vector<std::string>& found) {
  std::error_code code;
  std::size_t entries = 0;
  bool all = true;
  fs::recursive_directory_iterator it(outs, fs::directory_options::skip_permission_denied, code);
  for (const fs::recursive_directory_iterator end; !code && it != end; it.increment(code)) {
    if (++entries > max_entries || found.size() == max_files) {
      all = false;
      break;
    }
    if (it.depth() >= max_depth) it.disable_recursion_pending();
    const std::string name = it->path().filename().native();
    if (name.find("tfevents") == std::string::npos || !is_valid_utf8(name)) continue;
    std::error_code ignored;
    if (fs::is_regular_file(it->symlink_status(ignored)))
      found.push_back(it->path().lexically_relative(outs).native());
  }
  std::sort(found.begin(), found.end());
  return all;
}

std::string folder_of(const std::string& path) {
  return fs::path(path).parent_path().native();
}

// The deepest folder that all files lie below, as components.
std::vector<std::string> log_folder(const std::vector<std::string>& paths) {
  std::vector<std::string> common = split(folder_of(paths.front()), '/');
  for (const std::string& path : paths) {
    const std::vector<std::string> own = split(folder_of(path), '/');
    const auto [end, unused] = std::mismatch(common.begin(), common.end(), own.begin(), own.end());
    common.erase(end, common.end());
  }
  return common;
}

std::string prefix_of(const std::string& path, const std::vector<std::string>& root) {
  const std::vector<std::string> own = split(folder_of(path), '/');
  std::string prefix;
  for (std::size_t i = root.size(); i < own.size(); ++i)
    if (!own[i].empty()) prefix += own[i] + '/';
  return is_valid_utf8(prefix) ? prefix : std::string();
}

std::int64_t milliseconds_of(double wall_time) {
  return std::isfinite(wall_time) && wall_time > 0 && wall_time < 1e11
             ? static_cast<std::int64_t>(wall_time * 1000)
             : 0;
}

// Scalars that one writer wrote at one step a few moments apart share the time of the first, and so
// a line.
class Moment {
 public:
  std::int64_t time(const track::EventScalar& scalar) {
    if (!any_ || scalar.step != step_ || std::abs(scalar.wall_time - from_) > 1.0) {
      any_ = true;
      step_ = scalar.step;
      from_ = scalar.wall_time;
    }
    return milliseconds_of(from_);
  }

 private:
  bool any_ = false;
  std::int64_t step_ = 0;
  double from_ = 0.0;
};

struct Stop {};

} // namespace

TensorboardTaken take_tensorboard(const track::RunFolder& run, const secret::MaskedValues* secrets,
                                  std::chrono::seconds patience) {
  TensorboardTaken taken;
  std::vector<std::string> paths;
  if (!find_files(run.outs(), paths))
    taken.problems.emplace_back(
        "there are more files in outs than are looked at for TensorBoard's");
  if (paths.empty()) return taken;

  const auto deadline = Clock::now() + patience;
  const std::vector<std::string> root = log_folder(paths);
  Files files = read_state(run);
  MetricLines lines(run.metrics(), secrets);
  bool stopped = false;
  for (const std::string& path : paths) {
    Progress& progress = files.try_emplace(path, Progress{0, prefix_of(path, root)}).first->second;
    Moment moment;
    MetricPoint point;
    try {
      const track::EventFileEnd end = track::read_event_file(
          run.outs() / path, progress.offset, [&](const track::EventScalar& scalar) {
            if (taken.scalars == max_scalars ||
                (taken.scalars % look_at_clock == 0 && Clock::now() > deadline))
              throw Stop{};
            point.key = progress.prefix;
            point.key += scalar.tag;
            if (point.key.size() > track::max_logged_name) return;
            point.value = scalar.value;
            point.step = scalar.step;
            point.timestamp = moment.time(scalar);
            lines.add(point);
            ++taken.scalars;
          });
      if (end.damaged)
        taken.problems.push_back(
            fmt::format("'{}' is damaged from byte {} on", printable(path), end.offset));
      progress.offset = end.offset;
      ++taken.files;
    } catch (const Stop&) {
      stopped = true;
      break;
    } catch (const Error& error) {
      taken.problems.push_back(error.message());
    }
  }
  lines.flush();
  if (stopped)
    taken.problems.push_back(
        fmt::format("of TensorBoard's event files {} scalars are taken in, the rest is left out",
                    format_count(taken.scalars)));
  if (lines.lost() != 0)
    taken.problems.push_back(
        fmt::format("{} lines of TensorBoard's scalars could not be written: {}", lines.lost(),
                    lines.first_loss()));
  write_state(run, files);
  return taken;
}

} // namespace mlp::job
