// Bodies by simdjson, which checks the whole text first. A metric of the usual form is read where
// it lies; any other becomes a Json, as everything else does, and is read by the one set of rules.
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/job/metrics_intake.hpp"
#include "core/serve/mlflow_request.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <new>

namespace mlp::serve {

namespace {

namespace dom = simdjson::dom;

constexpr std::size_t max_depth = 16;

Json to_json(const dom::element& element) {
  switch (element.type()) {
  case dom::element_type::OBJECT: {
    Json out = json_object();
    for (const dom::key_value_pair member : dom::object(element))
      out[std::string(member.key)] = to_json(member.value);
    return out;
  }
  case dom::element_type::ARRAY: {
    Json out = json_array();
    for (const dom::element item : dom::array(element))
      out.push_back(to_json(item));
    return out;
  }
  case dom::element_type::STRING:
    return Json(std::string_view(element));
  case dom::element_type::INT64:
    return Json(std::int64_t(element));
  case dom::element_type::UINT64:
    return Json(std::uint64_t(element));
  case dom::element_type::DOUBLE:
    return Json(double(element));
  case dom::element_type::BOOL:
    return Json(bool(element));
  case dom::element_type::NULL_VALUE:
    break;
  }
  return nullptr;
}

bool take_integer(const dom::element& element, std::int64_t& out) {
  return element.get(out) == simdjson::SUCCESS;
}

// False if it is not of the usual form.
bool take_point(dom::object object, job::MetricPoint& point) {
  bool has_key = false, has_value = false;
  std::int64_t step = 0;
  point.timestamp = 0;
  for (const dom::key_value_pair member : object) {
    if (member.key == "key") {
      std::string_view key;
      if (member.value.get(key) != simdjson::SUCCESS) return false;
      check_mlflow_name(key);
      point.key = key;
      has_key = true;
    } else if (member.key == "value") {
      if (!member.value.is<double>() || member.value.get(point.value) != simdjson::SUCCESS)
        return false;
      has_value = true;
    } else if (member.key == "timestamp") {
      if (!take_integer(member.value, point.timestamp)) return false;
    } else if (member.key == "step") {
      if (!take_integer(member.value, step)) return false;
    }
  }
  point.step = step;
  return has_key && has_value;
}

void take_points(const dom::element& metrics, std::vector<job::MetricPoint>& points) {
  if (metrics.is_null()) return;
  dom::array list;
  if (metrics.get(list) != simdjson::SUCCESS)
    throw invalid_parameter("Parameter 'metrics' must be a list");
  points.reserve(std::min<std::size_t>(list.size(), 10'000));
  for (const dom::element item : list) {
    dom::object object;
    if (item.get(object) != simdjson::SUCCESS)
      throw invalid_parameter("Parameter 'metrics' must be a list of objects");
    job::MetricPoint point;
    if (!take_point(object, point)) point = mlflow_point(to_json(item));
    points.push_back(std::move(point));
  }
}

} // namespace

Json parse_mlflow_body(const std::string& text, std::vector<job::MetricPoint>& points) {
  if (text.size() > max_mlflow_body)
    throw MlflowError(400, "BAD_REQUEST",
                      fmt::format("The request is larger than {}", format_bytes(max_mlflow_body)));
  dom::parser parser;
  if (parser.allocate(text.size(), max_depth) != simdjson::SUCCESS) throw std::bad_alloc();
  dom::element root;
  auto error = parser.parse(text).get(root);
  if (error != simdjson::SUCCESS) // Python writes NaN as it is
    error = parser.parse(job::without_nan(text)).get(root);
  if (error != simdjson::SUCCESS)
    throw MlflowError(
        400, "MALFORMED_REQUEST",
        fmt::format("The request is no valid JSON: {}", simdjson::error_message(error)));
  dom::object object;
  if (root.get(object) != simdjson::SUCCESS)
    throw invalid_parameter("The request must be a JSON object");
  Json body = json_object();
  points.clear();
  for (const dom::key_value_pair member : object) {
    if (member.key == "metrics")
      take_points(member.value, points);
    else
      body[std::string(member.key)] = to_json(member.value);
  }
  return body;
}

} // namespace mlp::serve
