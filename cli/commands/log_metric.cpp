// `mlp log metric`: for programs that have no library for it: a line of $MLP_METRICS.
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/track/journal.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace mlp {

namespace {

double number_of(const std::string& text, const std::string& word) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0')
    throw Error(ErrorKind::usage, fmt::format("'{}' is not NAME=NUMBER", printable(word)))
        .with_hint("for example: mlp log metric loss=0.25");
  return value;
}

void run(Session& session) {
  const auto path = get_env("MLP_METRICS");
  if (!path || path->empty())
    throw Error(ErrorKind::usage, "this is no run: MLP_METRICS is not set")
        .with_hint("'mlp log metric' is for programs that 'mlp train' or 'mlp run' started");
  Json record = json_object();
  for (const std::string& word : session.arguments().all("NAME=NUMBER")) {
    const std::size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (equals == std::string::npos || name.empty())
      throw Error(ErrorKind::usage, fmt::format("'{}' is not NAME=NUMBER", printable(word)));
    if (name == "step" || name == "time")
      throw Error(ErrorKind::usage, fmt::format("'{}' is no name for a metric", name))
          .with_hint("a step is given with --step");
    record[name] = number_of(word.substr(equals + 1), word);
  }
  if (const auto step = session.arguments().get("--step")) record["step"] = number_of(*step, *step);
  track::JournalWriter(*path).append(record);
}

} // namespace

extern const Command log_metric_command;
const Command log_metric_command = {
    .path = "log metric",
    .summary = "report metrics from within a run",
    .category = Category::training,
    .arguments = {{.name = "NAME=NUMBER", .help = "metrics of one moment", .repeated = true}},
    .options = {{.name = "--step", .value = "N", .help = "the step that they belong to"}},
    .examples = {{"mlp log metric loss=0.25 acc=0.9 --step 3", "in a shell script that trains"}},
    .run = run};

} // namespace mlp
