// One record, one write: several processes of a run may report at once.
#include "cli/reporting.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/track/journal.hpp"
#include "core/track/logged.hpp"

#include <fmt/format.h>

namespace mlp {

void report(const Json& record, std::string_view command) {
  const auto path = get_env("MLP_METRICS");
  if (!path || path->empty())
    throw Error(ErrorKind::usage, "this is no run: MLP_METRICS is not set")
        .with_hint(
            fmt::format("'mlp {}' is for programs that 'mlp train' or 'mlp run' started", command));
  track::JournalWriter(*path).append(record);
}

std::pair<std::string, std::string> name_and_value(const std::string& word, std::string_view form,
                                                   std::string_view example) {
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos || equals == 0 || equals > track::max_logged_name)
    throw Error(ErrorKind::usage, fmt::format("'{}' is not {}", printable(word), form))
        .with_hint(fmt::format("for example: {}", example));
  return {word.substr(0, equals), word.substr(equals + 1)};
}

} // namespace mlp
