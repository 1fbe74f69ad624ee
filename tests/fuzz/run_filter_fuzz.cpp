// Filters of runs, which may come from a script or a web form: what parses can be evaluated, the
// rest is refused by an Error that points into the text.
#include "core/base/error.hpp"
#include "core/track/run_filter.hpp"
#include "core/track/run_index.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

using namespace mlp;
using namespace mlp::track;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  RunRow row;
  row.task = "train";
  row.tags = {"a"};
  row.params = {{"lr", "0.1"}, {"name", "\"x\""}, {"odd", "\"\\"}};
  row.metrics = {{"acc", 0.5}};
  try {
    const RunExpression expression = RunExpression::parse(text, WallTime{});
    if (expression.fields().empty()) std::abort();
    const bool holds = expression.matches(row);
    const std::string negated = "not (" + std::string(text) + ")";
    // Nothing that stands alone can escape from parentheses.
    if (negated.size() <= RunExpression::max_bytes) {
      try {
        if (RunExpression::parse(negated, WallTime{}).matches(row) == holds) std::abort();
      } catch (const Error& error) { // only the two levels more may be too many
        if (error.message().find("nested deeper") == std::string::npos) std::abort();
      }
    }
  } catch (const Error& error) {
    if (error.message().empty() || error.kind() != ErrorKind::usage) std::abort();
  }
  try {
    const RunOrder order = parse_run_order(text);
    const RunValue value = run_value(row, order.field, WallTime{});
    if (comes_before(value, value, order.descending)) std::abort();
  } catch (const Error&) {
  }
  return 0;
}
