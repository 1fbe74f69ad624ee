// The rules of sweeps: which keys go with which searcher or type, ranges that hold something, and
// conditions that can come true.
#include "core/config/sweep_spec.hpp"

#include "core/base/text.hpp"
#include "core/config/project_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace mlp::config {

namespace {

constexpr double largest_integer = 9007199254740992.0; // 2^53: every integer up to it is a double

// One sweep, and where its values stand.
class Checker {
 public:
  Checker(const ProjectFile& file, const std::string& name, SweepEntry& sweep)
      : file_(file), name_(name), sweep_(sweep) {}

  void check() const {
    if (!file_.tasks.contains(sweep_.task)) {
      Error problem = file_.error_at({"sweeps", name_, "task"},
                                     fmt::format("no task '{}'", printable(sweep_.task)));
      suggest(problem, sweep_.task, file_.tasks.names(), "tasks");
      throw problem;
    }
    check_searcher();
    if (sweep_.parameters.empty())
      throw file_.error_at({"sweeps", name_, "parameters"}, "there is no parameter to search");
    if (sweep_.parameters.size() > 200)
      throw file_.error_at({"sweeps", name_, "parameters"}, "there are more than 200 parameters");
    for (const std::string& parameter : sweep_.parameters.names())
      check_parameter(parameter, *sweep_.parameters.find(parameter));
    if (!sweep_.model.empty() && !is_valid_name(sweep_.model))
      throw file_.error_at(
          {"sweeps", name_, "model"},
          fmt::format("'{}' is no valid name for a model", printable(sweep_.model)));
  }

 private:
  static void suggest(Error& problem, std::string_view name, const std::vector<std::string>& known,
                      std::string_view plural) {
    if (std::string hint = suggestion_hint(name, known, plural); !hint.empty())
      problem.add_hint(std::move(hint));
  }

  [[nodiscard]] Error searcher_error(std::string_view key, std::string_view message) const {
    return file_.error_at({"sweeps", name_, "searcher", key}, message);
  }

  void check_searcher() const {
    const SearcherSpec& searcher = sweep_.searcher;
    const std::string sampler = searcher.sampler_name();
    const auto only = [&](std::string_view key, bool given, bool allowed, std::string_view whose) {
      if (given && !allowed)
        throw searcher_error(
            key, fmt::format("'{}' is of the searcher {}, not of {}", key, whose, searcher.name));
    };
    const bool asha = searcher.name == "asha", median = searcher.name == "median";
    if (trim(searcher.metric).empty()) throw searcher_error("metric", "'metric' is empty");
    if (searcher.metric == "step" || searcher.metric == "time")
      throw searcher_error(
          "metric",
          fmt::format("'{}' says when a metric was reported, and is none", searcher.metric));
    only("sampler", !searcher.sampler.empty(), asha || median, "asha or median");
    only("max_time", searcher.max_time.has_value(), asha, "asha");
    only("divisor", searcher.divisor.has_value(), asha, "asha");
    only("max_rungs", searcher.max_rungs.has_value(), asha, "asha");
    only("warmup_steps", searcher.warmup_steps.has_value(), median, "median");
    only("startup_trials", searcher.startup_trials.has_value(), median || sampler == "tpe",
         "tpe or median");
    if (asha && !searcher.max_time)
      throw searcher_error("name", "the searcher asha needs 'max_time'")
          .with_hint("it is the step that a trial reports at its end, such as its last epoch");
    if (sampler != "grid" && !searcher.max_trials)
      throw searcher_error("name", fmt::format("the searcher {} needs 'max_trials'", searcher.name))
          .with_hint("only a grid has an end of its own");
  }

  [[nodiscard]] Error error(const std::string& parameter, std::string_view key,
                            std::string_view message) const {
    return file_.error_at({"sweeps", name_, "parameters", parameter, key}, message);
  }

  void check_parameter(const std::string& name, ParameterSpec& spec) const {
    const auto names = file_.tasks.find(sweep_.task)->params.names();
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      Error problem = file_.document->error_at(
          position_of(name), fmt::format("task '{}' has no param '{}'", sweep_.task, name));
      suggest(problem, name, names, "params");
      if (names.empty()) problem.add_hint("give the task 'params:' with the values of a plain run");
      throw problem;
    }
    if (spec.type.empty() && !spec.vals.empty()) spec.type = "categorical";
    if (spec.type.empty() && spec.val) spec.type = "const";
    if (spec.type.empty())
      throw error(name, "type", fmt::format("parameter '{}' needs 'type'", name))
          .with_hint("one of double, int, log, categorical, const");
    check_keys(name, spec);
    if (spec.type == "categorical")
      check_choices(name, spec);
    else if (spec.type == "const")
      check_value(name, "val", *spec.val);
    else
      check_range(name, spec);
    check_conditions(name, spec);
  }

  [[nodiscard]] Position position_of(std::string_view parameter) const {
    for (const auto& entry : sweep_.parameters)
      if (entry.name == parameter) return entry.position;
    return {};
  }

  void check_keys(const std::string& name, const ParameterSpec& spec) const {
    const bool range = spec.type == "double" || spec.type == "int" || spec.type == "log";
    const auto rule = [&](std::string_view key, bool given, bool allowed, bool needed) {
      if (given && !allowed)
        throw error(name, key, fmt::format("'{}' does not go with type {}", key, spec.type));
      if (!given && needed)
        throw error(name, "type", fmt::format("type {} needs '{}'", spec.type, key));
    };
    rule("minval", spec.minval.has_value(), range, range);
    rule("maxval", spec.maxval.has_value(), range, range);
    rule("count", spec.count.has_value(), range, false);
    rule("base", spec.base.has_value(), spec.type == "log", false);
    rule("log", spec.log, spec.type == "double" || spec.type == "int", false);
    rule("vals", !spec.vals.empty(), spec.type == "categorical", spec.type == "categorical");
    rule("val", spec.val.has_value(), spec.type == "const", spec.type == "const");
  }

  void check_range(const std::string& name, const ParameterSpec& spec) const {
    const double low = *spec.minval, high = *spec.maxval;
    if (low > high || (low == high && spec.type != "int"))
      throw error(name, "minval", fmt::format("'minval' is not below 'maxval'"));
    if (spec.type == "int") {
      for (const auto& [key, value] : {std::pair("minval", low), std::pair("maxval", high)})
        if (value != std::floor(value) || std::fabs(value) > largest_integer)
          throw error(name, key, fmt::format("'{}' must be an integer", key));
    }
    if (spec.log && low <= 0)
      throw error(name, "minval", "'minval' must be above 0 where 'log' is true");
    if (!std::isfinite(high - low)) throw error(name, "minval", "the range is too wide");
    if (spec.type == "log") {
      const double base = spec.base.value_or(10.0);
      if (base <= 1) throw error(name, "base", "'base' must be above 1");
      const double first = std::pow(base, low), last = std::pow(base, high);
      if (!std::isnormal(first) || !std::isfinite(last))
        throw error(name, "minval", "the range is too wide")
            .with_hint("'minval' and 'maxval' of type log are exponents: -4 and -1 are 0.0001 and "
                       "0.1");
    }
    const bool grid = sweep_.searcher.sampler_name() == "grid";
    if (grid && !spec.count && spec.type != "int")
      throw error(name, "type", fmt::format("a grid needs 'count' for type {}", spec.type))
          .with_hint("it is how many values the grid takes from the range, both ends among them");
  }

  // What a trial gets is the text, read as one types it.
  void check_value(const std::string& name, std::string_view key, const Scalar& value) const {
    if (parse_scalar(value.text).type == value.type && value.text.size() <= 4096) return;
    throw file_.document
        ->error_at(value.position.line == 0 ? position_of(name) : value.position,
                   value.text.size() > 4096
                       ? fmt::format("a value of '{}' is too long", key)
                       : fmt::format("'{}' holds text that reads as another type", key))
        .with_hint("a trial gets its params as --param gives them: without quotes");
  }

  void check_choices(const std::string& name, const ParameterSpec& spec) const {
    if (spec.vals.size() > 1000) throw error(name, "vals", "there are more than 1,000 choices");
    for (std::size_t i = 0; i < spec.vals.size(); ++i) {
      check_value(name, "vals", spec.vals[i]);
      for (std::size_t j = 0; j < i; ++j)
        if (spec.vals[j].text == spec.vals[i].text)
          throw error(name, "vals",
                      fmt::format("'{}' stands here twice", printable(spec.vals[i].text)));
    }
  }

  void check_conditions(const std::string& name, const ParameterSpec& spec) const {
    for (const auto& [parent, position, wanted] : spec.when) {
      std::vector<std::string> above;
      for (const auto& entry : sweep_.parameters) {
        if (entry.name == name) break;
        above.push_back(entry.name);
      }
      const ParameterSpec* other = sweep_.parameters.find(parent);
      if (std::find(above.begin(), above.end(), parent) == above.end()) {
        Error problem = file_.document->error_at(
            position, other == nullptr ? fmt::format("no parameter '{}'", printable(parent))
                                       : fmt::format("'{}' must stand above '{}'", parent, name));
        if (other == nullptr) suggest(problem, parent, above, "parameters");
        throw problem;
      }
      if (other->type == "double" || other->type == "log")
        throw file_.document
            ->error_at(position, fmt::format("'{}' is of type {}, which holds too many values to "
                                             "ask for one",
                                             parent, other->type))
            .with_hint("a condition asks for values of type categorical, const or int");
      if (wanted.values.empty())
        throw file_.document->error_at(position, fmt::format("no value of '{}' is named", parent));
      for (const Scalar& value : wanted.values)
        check_possible(parent, *other, value);
    }
  }

  void check_possible(const std::string& parent, const ParameterSpec& other,
                      const Scalar& value) const {
    std::vector<std::string> known;
    for (const Scalar& choice : other.vals)
      known.push_back(choice.text);
    if (other.val) known.push_back(other.val->text);
    bool possible = std::find(known.begin(), known.end(), value.text) != known.end();
    if (other.type == "int") {
      possible = value.type == ScalarType::integer && is_within(value.text, other);
    }
    if (possible) return;
    Error problem =
        file_.document->error_at(value.position, fmt::format("'{}' is never '{}'", parent,
                                                             printable(value.text.substr(0, 60))));
    if (!known.empty()) suggest(problem, value.text, known, "values");
    throw problem;
  }

  static bool is_within(const std::string& text, const ParameterSpec& range) {
    try {
      const double number = std::stod(text);
      return number >= *range.minval && number <= *range.maxval;
    } catch (const std::exception&) {
      return false;
    }
  }

  const ProjectFile& file_;
  const std::string& name_;
  SweepEntry& sweep_;
};

} // namespace

void check_sweeps(ProjectFile& file) {
  for (const std::string& name : file.sweeps.names())
    Checker(file, name, *file.sweeps.find(name)).check();
}

} // namespace mlp::config
