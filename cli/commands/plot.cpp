// `mlp plot`: the curves of one metric of several runs, in the terminal or as an SVG or PNG file.
#include "cli/completers.hpp"
#include "cli/runs.hpp"
#include "cli/terminal.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/chart.hpp"
#include "core/track/run_diff.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace mlp {

namespace {

constexpr std::size_t most_runs = 1000;
constexpr std::size_t points_kept = 8192; // of one run: more than any picture has columns

struct Curves {
  std::vector<track::RunRecord> runs; // one for each of `series`
  std::vector<track::ChartSeries> series;
  bool steps = true; // false: points are counted, for want of a step
};

// "20260131-120000-k3f9qx baseline lr=0.1": what sets the run apart.
std::string label_of(const track::RunRecord& run, const std::vector<std::string>& differing) {
  constexpr std::size_t shown = 3;
  std::string label = run.spec.id;
  if (!run.spec.name.empty()) label += " " + run.spec.name;
  const std::map<std::string, std::string> params = run.params();
  for (std::size_t i = 0; i < std::min(differing.size(), shown); ++i)
    if (const auto found = params.find(differing[i]); found != params.end())
      label += fmt::format(" {}={}", differing[i], found->second);
  return label;
}

track::ChartSeries series_of(const track::RunFolder& folder, std::string_view metric,
                             bool& has_steps) {
  track::ChartSeries series;
  double count = 0;
  for (const track::MetricPoint& point : track::read_metric(folder, metric)) {
    ++count;
    has_steps = has_steps && point.step.has_value();
    series.points.push_back({point.step.value_or(count), point.value});
  }
  series.points = track::thin_out(series.points, points_kept);
  return series;
}

[[noreturn]] void fail_unknown(const std::string& metric,
                               const std::vector<track::RunRecord>& runs) {
  std::vector<std::string> names;
  for (const track::RunRecord& run : runs)
    for (const auto& [name, value] : run.metrics)
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  std::string hint = suggestion_hint(metric, names, "metrics");
  if (hint.empty()) hint = "a run reports metrics through the file $MLP_METRICS";
  throw Error(ErrorKind::not_found, fmt::format("no metric '{}' in {}", printable(metric),
                                                runs.size() == 1 ? "this run" : "these runs"))
      .with_hint(hint);
}

Curves read_curves(Session& session, const std::string& metric) {
  const std::vector<std::string> references = session.arguments().all("RUN");
  if (references.size() > most_runs)
    throw Error(ErrorKind::usage, fmt::format("{} runs are too many to plot", references.size()))
        .with_hint(fmt::format("at most {}", most_runs));
  Curves curves;
  std::vector<track::RunRecord> all;
  for (const std::string& reference : references) {
    all.push_back(track::read_run(find_run_folder(session, reference)));
    track::ChartSeries series = series_of(all.back().folder, metric, curves.steps);
    if (series.points.empty()) continue;
    curves.runs.push_back(all.back());
    curves.series.push_back(std::move(series));
  }
  if (curves.runs.empty()) fail_unknown(metric, all);
  for (const track::RunRecord& run : all)
    if (std::ranges::none_of(curves.runs, [&](const track::RunRecord& drawn) {
          return drawn.spec.id == run.spec.id;
        }))
      session.output().warning(
          fmt::format("run '{}' has no metric '{}'", run.spec.id, printable(metric)));
  const std::vector<std::string> differing =
      curves.runs.size() == 1 ? std::vector<std::string>{} : track::differing_params(curves.runs);
  for (std::size_t i = 0; i < curves.runs.size(); ++i)
    curves.series[i].label = label_of(curves.runs[i], differing);
  return curves;
}

Json curves_json(const std::string& metric, const Curves& curves) {
  Json list = json_array();
  for (std::size_t i = 0; i < curves.runs.size(); ++i) {
    Json points = json_array();
    for (const track::ChartPoint& point : curves.series[i].points) {
      Json pair = json_array();
      pair.push_back(point.x);
      pair.push_back(point.y);
      points.push_back(std::move(pair));
    }
    list.push_back(json_object({{"run", curves.runs[i].spec.id}, {"points", std::move(points)}}));
  }
  return json_object(
      {{"metric", metric}, {"x", curves.steps ? "step" : "point"}, {"series", std::move(list)}});
}

// Of the terminal; 80 x 24 where there is none. A line is left to the shell's prompt.
void take_terminal_size(track::ChartOptions& options) {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
    return;
  options.width = size.ws_col;
  options.height = std::clamp<std::size_t>(size.ws_row, 9, 50) - 1;
}

struct PictureFile {
  std::string path;
  bool png = false; // else SVG
};

std::optional<PictureFile> picture_file(const Arguments& arguments) {
  const auto svg = arguments.get("--svg"), out = arguments.get("--out");
  if (svg && out) throw Error(ErrorKind::usage, "--svg and --out name two files");
  if (svg) return PictureFile{*svg, false};
  if (!out) return std::nullopt;
  std::string ending = fs::path(*out).extension().native();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (ending != ".png" && ending != ".svg")
    throw Error(ErrorKind::usage, fmt::format("cannot tell what '{}' is to be", printable(*out)))
        .with_hint("a name that ends in .png or .svg");
  return PictureFile{*out, ending == ".png"};
}

void run(Session& session) {
  const Arguments& arguments = session.arguments();
  const std::string metric = *arguments.get("METRIC");
  const std::optional<PictureFile> file = picture_file(arguments);
  const auto width = arguments.integer("--width", 24, 20'000);
  const auto height = arguments.integer("--height", 8, 20'000);
  const Curves curves = read_curves(session, metric);

  track::ChartOptions options;
  options.title = metric;
  options.x_label = curves.steps ? "step" : "point";
  if (file) {
    options.width = 800;
    options.height = 480;
  } else {
    take_terminal_size(options);
    options.color = session.output().draws_color();
    options.unicode = !arguments.has("--ascii") && is_utf8_locale();
  }
  if (width) options.width = static_cast<std::size_t>(*width);
  if (height) options.height = static_cast<std::size_t>(*height);

  Json record = curves_json(metric, curves);
  if (!file) {
    session.output().emit(std::move(record),
                          TextView{track::terminal_chart(curves.series, options)});
    return;
  }
  write_file_atomic(file->path, file->png ? track::png_chart(curves.series, options)
                                          : track::svg_chart(curves.series, options));
  record["file"] = file->path;
  session.output().emit(std::move(record), TextView{});
  session.output().status(fmt::format("wrote {}", printable(file->path)));
}

} // namespace

std::vector<Candidate> complete_metrics(Session& session) {
  std::vector<Candidate> out;
  track::RunIndex index(index_paths(session.project()));
  for (std::string& name : index.names(track::RunField::Kind::metrics, 200))
    out.push_back({std::move(name), ""});
  return out;
}

extern const Command plot_command;
const Command plot_command = {
    .path = "plot",
    .summary = "draw a metric of runs over time, in the terminal, or as SVG or PNG",
    .category = Category::training,
    .arguments = {{.name = "METRIC",
                   .help = "a name that the runs report",
                   .complete = complete_metrics},
                  {.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .repeated = true,
                   .complete = complete_runs}},
    .options = {{.name = "--out",
                 .value = "FILE",
                 .help = "write a picture instead, FILE.png or FILE.svg",
                 .letter = 'o',
                 .complete = complete_files},
                {.name = "--svg",
                 .value = "FILE",
                 .help = "the same as SVG, whatever the name",
                 .complete = complete_files},
                {.name = "--width",
                 .value = "N",
                 .help = "columns, or pixels of the picture (default 800)"},
                {.name = "--height",
                 .value = "N",
                 .help = "lines, or pixels of the picture (default 480)"},
                {.name = "--ascii", .help = "draw with plain characters"}},
    .examples = {{"mlp plot loss latest", "the newest run"},
                 {"mlp plot val_accuracy k3f9qx 0d7m2w", "two runs in one chart"},
                 {"mlp plot loss k3f9qx 0d7m2w --out loss.png", "for a report"}},
    .run = run};

} // namespace mlp
