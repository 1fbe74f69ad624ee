// `mlp log metric`: for programs that have no library for it: a line of $MLP_METRICS.
#include "cli/reporting.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace mlp {

namespace {

constexpr const char* example = "mlp log metric loss=0.25";

double number_of(const std::string& text, const std::string& word) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0')
    throw Error(ErrorKind::usage, fmt::format("'{}' is not NAME=NUMBER", printable(word)))
        .with_hint(fmt::format("for example: {}", example));
  return value;
}

void run(Session& session) {
  Json record = json_object();
  for (const std::string& word : session.arguments().all("NAME=NUMBER")) {
    const auto [name, value] = name_and_value(word, "NAME=NUMBER", example);
    if (name == "step" || name == "time")
      throw Error(ErrorKind::usage, fmt::format("'{}' is no name for a metric", name))
          .with_hint("a step is given with --step");
    record[name] = number_of(value, word);
  }
  if (const auto step = session.arguments().get("--step")) record["step"] = number_of(*step, *step);
  report(record, "log metric");
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
