// `mlp log param`: params that a program chose by itself: a line of $MLP_METRICS.
#include "cli/reporting.hpp"
#include "cli/session.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/logged.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

// A number or a boolean where it reads as one, else text.
Json param_value(const std::string& text) {
  if (text == "true" || text == "false") return {text == "true"};
  return parse_json(track::plain_param(dump_json(Json(text))), "param");
}

void run(Session& session) {
  Json params = json_object();
  for (const std::string& word : session.arguments().all("NAME=VALUE")) {
    const auto [name, value] = name_and_value(word, "NAME=VALUE", "mlp log param lr=0.01");
    if (!is_valid_utf8(word))
      throw Error(ErrorKind::usage, fmt::format("'{}' is not UTF-8", printable(word)));
    if (value.size() + 2 > track::max_logged_value)
      throw Error(ErrorKind::usage, fmt::format("the value of '{}' is too long", printable(name)))
          .with_hint("at most 7998 bytes; a file is kept with 'mlp log artifact'");
    params[name] = param_value(value);
  }
  report(json_object({{"params", std::move(params)}}), "log param");
}

} // namespace

extern const Command log_param_command;
const Command log_param_command = {
    .path = "log param",
    .summary = "report params from within a run",
    .category = Category::training,
    .arguments = {{.name = "NAME=VALUE", .help = "params and their values", .repeated = true}},
    .examples = {{"mlp log param lr=0.01 optimizer=adam", "what the program chose by itself"}},
    .run = run};

} // namespace mlp
