// Reading MLflow's JSON leniently in its numbers and strictly in its types.
#include "core/serve/mlflow_request.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/track/logged.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace mlp::serve {

namespace {

constexpr std::size_t max_query_members = 64;

const Json* member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

MlflowError wrong_type(const char* name, std::string_view wanted) {
  return invalid_parameter(fmt::format("Parameter '{}' must be {}", name, wanted));
}

} // namespace

HttpResponse MlflowError::response() const {
  return {.status = status_,
          .body = dump_json(json_object({{"error_code", code_}, {"message", message_}}))};
}

MlflowError invalid_parameter(std::string message) {
  return {400, "INVALID_PARAMETER_VALUE", std::move(message)};
}

MlflowError does_not_exist(std::string message) {
  return {404, "RESOURCE_DOES_NOT_EXIST", std::move(message)};
}

MlflowRequest::MlflowRequest(const HttpRequest& request)
    : body_(std::make_unique<Json>(json_object())) {
  if (request.method != "GET") {
    if (!request.body.empty()) *body_ = parse_mlflow_body(request.body, points_);
    return;
  }
  const std::size_t mark = request.target.find('?');
  if (mark == std::string::npos) return;
  const auto query = parse_query(std::string_view(request.target).substr(mark + 1));
  if (!query) throw invalid_parameter("The query of the request is not valid");
  for (const auto& [name, value] : *query)
    (*body_)[name] = value;
}

MlflowRequest::~MlflowRequest() = default;

std::string MlflowRequest::text(const char* name) const {
  return mlflow_text(*body_, name);
}

std::string MlflowRequest::required_text(const char* name) const {
  std::string value = text(name);
  if (value.empty())
    throw invalid_parameter(fmt::format("Missing value for required parameter '{}'", name));
  return value;
}

std::optional<std::int64_t> MlflowRequest::integer(const char* name) const {
  return mlflow_integer(*body_, name);
}

std::string mlflow_text(const Json& object, const char* name) {
  const Json* value = member(object, name);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  // MLflow's clients for other languages send numbers as params.
  if (value->is_number() || value->is_boolean()) return dump_json(*value);
  throw wrong_type(name, "text");
}

std::optional<std::int64_t> mlflow_integer(const Json& object, const char* name) {
  const Json* value = member(object, name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned()) {
    const auto number = value->get<std::uint64_t>();
    if (number <= std::uint64_t(std::numeric_limits<std::int64_t>::max()))
      return static_cast<std::int64_t>(number);
  } else if (value->is_number_integer()) {
    return value->get<std::int64_t>();
  } else if (value->is_number_float()) { // 3.0, as some clients write 3
    const double number = value->get<double>();
    if (std::abs(number) <= 9.0e15 && number == std::trunc(number))
      return static_cast<std::int64_t>(number);
  } else if (value->is_string()) {
    if (const auto number = number_in<std::int64_t>(value->get_ref<const std::string&>()))
      return number;
  }
  throw wrong_type(name, "an integer of 64 bits");
}

double mlflow_number(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end())
    throw invalid_parameter(fmt::format("Missing value for required parameter '{}'", name));
  if (found->is_number()) return found->get<double>();
  if (found->is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (found->is_string()) {
    const auto& text = found->get_ref<const std::string&>();
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
    if (const auto number = number_in<double>(text)) return *number;
  }
  throw wrong_type(name, "a number");
}

void check_mlflow_name(std::string_view name) {
  if (name.empty()) throw invalid_parameter("Missing value for required parameter 'key'");
  if (name.size() > track::max_logged_name)
    throw invalid_parameter(fmt::format("Name '{}…' exceeds the maximum length of {} bytes",
                                        printable(fit_width(name, 40)), track::max_logged_name));
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; };
  if (std::any_of(name.begin(), name.end(), is_control))
    throw invalid_parameter(fmt::format("Invalid name: '{}'", printable(name)));
}

job::MetricPoint mlflow_point(const Json& object) {
  job::MetricPoint point;
  point.key = mlflow_text(object, "key");
  check_mlflow_name(point.key);
  point.value = mlflow_number(object, "value");
  point.timestamp = mlflow_integer(object, "timestamp").value_or(0);
  point.step = mlflow_integer(object, "step").value_or(0);
  return point;
}

std::optional<std::map<std::string, std::string>> parse_query(std::string_view query) {
  std::map<std::string, std::string> out;
  for (const std::string& pair : split(query, '&')) {
    if (pair.empty()) continue;
    std::string words = pair;
    for (char& c : words)
      if (c == '+') c = ' ';
    const std::size_t equals = words.find('=');
    std::string name, value;
    if (!percent_decode(std::string_view(words).substr(0, equals), name)) return std::nullopt;
    if (equals != std::string::npos &&
        !percent_decode(std::string_view(words).substr(equals + 1), value))
      return std::nullopt;
    if (!is_valid_utf8(name) || !is_valid_utf8(value)) return std::nullopt;
    if (out.size() >= max_query_members) return std::nullopt;
    out.insert_or_assign(std::move(name), std::move(value));
  }
  return out;
}

} // namespace mlp::serve
