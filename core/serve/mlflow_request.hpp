// What the requests of MLflow's tracking API are made of: JSON as protobuf maps it (a 64-bit
// integer is a number or a string, NaN is "NaN"), and queries. Sources:
// mlflow.org/docs/latest/rest-api.html; mlflow/protos/service.proto;
// protobuf.dev/programming-guides/json.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/job/metric_lines.hpp"
#include "core/serve/http.hpp"

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::serve {

constexpr std::size_t max_mlflow_body = 4u << 20; // of JSON; MLflow's own server takes 1 MiB

// An answer that is an error: {"error_code": code, "message": message}.
class MlflowError : public std::exception {
 public:
  MlflowError(int status, std::string_view code, std::string message)
      : status_(status), code_(code), message_(std::move(message)) {}
  [[nodiscard]] HttpResponse response() const;
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  int status_;
  std::string code_;
  std::string message_;
};

// INVALID_PARAMETER_VALUE and RESOURCE_DOES_NOT_EXIST.
[[nodiscard]] MlflowError invalid_parameter(std::string message);
[[nodiscard]] MlflowError does_not_exist(std::string message);

// The members of a request: of its body, or of its query for GET. Every name and text is UTF-8.
class MlflowRequest {
 public:
  // Throws MlflowError for what is no JSON object, too large or too deep, or no query.
  explicit MlflowRequest(const HttpRequest& request);
  ~MlflowRequest();
  MlflowRequest(MlflowRequest&&) = delete;

  // Without `metrics`, of which points() are the entries.
  [[nodiscard]] const Json& body() const noexcept { return *body_; }
  [[nodiscard]] const std::vector<job::MetricPoint>& points() const noexcept { return points_; }

  // Text; empty if it is absent or null. Throws MlflowError if it is of another type.
  [[nodiscard]] std::string text(const char* name) const;
  // Throws MlflowError if it is absent or empty.
  [[nodiscard]] std::string required_text(const char* name) const;
  [[nodiscard]] std::optional<std::int64_t> integer(const char* name) const;

 private:
  std::unique_ptr<Json> body_;
  std::vector<job::MetricPoint> points_;
};

// The JSON of a body and the entries of its `metrics`. They may be thousands, and a tree of JSON is
// not made for each. Throws MlflowError.
[[nodiscard]] Json parse_mlflow_body(const std::string& text,
                                     std::vector<job::MetricPoint>& points);

// The same of any object: an entry of a list, say.
[[nodiscard]] std::string mlflow_text(const Json& object, const char* name);
[[nodiscard]] std::optional<std::int64_t> mlflow_integer(const Json& object, const char* name);
// A number, or one of "NaN", "Infinity", "-Infinity", or digits as text. Throws MlflowError if it
// is absent.
[[nodiscard]] double mlflow_number(const Json& object, const char* name);

// Throws MlflowError unless it is UTF-8 of 1 to 250 bytes without control characters.
void check_mlflow_name(std::string_view name);
// A Metric message. Throws MlflowError.
[[nodiscard]] job::MetricPoint mlflow_point(const Json& object);

// "a=1&b=%20x" as its parts; of one name the last counts. nullopt for a broken escape, or text that
// is not UTF-8.
[[nodiscard]] std::optional<std::map<std::string, std::string>> parse_query(std::string_view query);

} // namespace mlp::serve
