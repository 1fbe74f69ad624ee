// One table of paths, one function each.
#include "core/serve/mlflow_service.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/serve/mlflow_artifacts.hpp"
#include "core/serve/mlflow_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace mlp::serve {

namespace {

constexpr std::string_view api = "/api/2.0/mlflow/";
constexpr std::string_view proxied = "/api/2.0/mlflow-artifacts/artifacts";
constexpr std::string_view parent_tag = "mlflow.parentRunId";
// The newest API of MLflow that is spoken here; some clients ask before they use more.
constexpr std::string_view mlflow_version = "2.22.0";
constexpr std::int64_t most_points = 25'000; // of one answer, as MLflow has it

HttpResponse json_response(const Json& value) {
  return {.status = 200, .body = dump_json(value)};
}

std::string checked_name(const Json& object) {
  std::string name = mlflow_text(object, "key");
  check_mlflow_name(name);
  return name;
}

// A value of a param or tag, cut to what a run keeps: logging does not fail for length.
std::string kept_value(const Json& object) {
  std::string value = mlflow_text(object, "value");
  constexpr std::size_t most = track::max_logged_value / 2; // escapes take room in the journal
  if (value.size() <= most) return value;
  value.resize(most);
  while (!value.empty() && !is_valid_utf8(value))
    value.pop_back();
  return value;
}

// The objects of a list; none if it is absent.
template <class Each>
void each_object(const Json& body, const char* name, const Each& each) {
  const auto list = body.find(name);
  if (list == body.end() || list->is_null()) return;
  if (!list->is_array())
    throw invalid_parameter(fmt::format("Parameter '{}' must be a list", name));
  for (const Json& item : *list) {
    if (!item.is_object())
      throw invalid_parameter(fmt::format("Parameter '{}' must be a list of objects", name));
    each(item);
  }
}

using Tags = std::map<std::string, std::optional<std::string>>;

Tags tags_in(const Json& body) {
  Tags tags;
  each_object(body, "tags", [&](const Json& tag) {
    std::string name = checked_name(tag);
    if (name != parent_tag) tags.insert_or_assign(std::move(name), kept_value(tag));
  });
  return tags;
}

// "127.0.0.1:8080" -> true
bool is_loopback(std::string_view host) {
  static constexpr std::array<std::string_view, 3> names = {"127.0.0.1", "localhost", "[::1]"};
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
    if (host.size() < name.size() || !equal_ignoring_case(host.substr(0, name.size()), name))
      return false;
    const std::string_view rest = host.substr(name.size());
    return rest.empty() || (rest.size() > 1 && rest.front() == ':' &&
                            rest.find_first_not_of("0123456789", 1) == std::string_view::npos);
  });
}

// Takes as long whatever the difference is.
bool same_secret(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

std::optional<std::string> decode_base64(std::string_view text) {
  static constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('='))
    text.remove_suffix(1);
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t digit = digits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>((bits >> count) & 0xff);
  }
  return out;
}

} // namespace

const MlflowService::Route MlflowService::routes[] = {
    {"POST", "experiments/create", &MlflowService::create_experiment},
    {"GET", "experiments/get", &MlflowService::get_experiment},
    {"GET", "experiments/get-by-name", &MlflowService::get_experiment_by_name},
    {"POST", "experiments/search", &MlflowService::search_experiments},
    {"GET", "experiments/search", &MlflowService::search_experiments},
    {"GET", "experiments/list", &MlflowService::search_experiments}, // before MLflow 2
    {"POST", "experiments/set-experiment-tag", &MlflowService::accept},
    {"POST", "runs/create", &MlflowService::create_run},
    {"POST", "runs/update", &MlflowService::update_run},
    {"GET", "runs/get", &MlflowService::get_run},
    {"POST", "runs/search", &MlflowService::search_runs},
    {"POST", "runs/log-metric", &MlflowService::log_metric},
    {"POST", "runs/log-parameter", &MlflowService::log_parameter},
    {"POST", "runs/log-batch", &MlflowService::log_batch},
    {"POST", "runs/set-tag", &MlflowService::set_tag},
    {"POST", "runs/delete-tag", &MlflowService::delete_tag},
    {"POST", "runs/log-inputs", &MlflowService::accept},
    {"POST", "runs/outputs", &MlflowService::accept},
    {"POST", "runs/log-model", &MlflowService::accept},
    {"GET", "metrics/get-history", &MlflowService::get_history},
    {"GET", "artifacts/list", &MlflowService::list_run_artifacts},
};

MlflowService::MlflowService(MlflowRun& run, std::string token)
    : run_(run), models_(run.folder(), run.spec().id), token_(std::move(token)) {}

void MlflowService::handle(HttpRequest request, HttpReply reply) {
  reply.send(answer(request));
}

HttpResponse MlflowService::answer(const HttpRequest& request) noexcept {
  try {
    try {
      return dispatch(request);
    } catch (const MlflowError& error) {
      return error.response();
    } catch (const Error& error) {
      // 400: clients repeat what was answered by 500 for minutes.
      return MlflowError(400, "INTERNAL_ERROR", error.message()).response();
    } catch (const std::exception& error) {
      return MlflowError(400, "INTERNAL_ERROR", error.what()).response();
    }
  } catch (...) { // not even memory for that
    HttpResponse none;
    none.status = 503;
    return none;
  }
}

bool MlflowService::is_authorised(const HttpRequest& request) const {
  const std::string_view given = request.header("Authorization");
  const std::size_t space = std::min(given.find(' '), given.size());
  const std::string_view scheme = given.substr(0, space);
  const std::string_view rest = trim(given.substr(space));
  if (equal_ignoring_case(scheme, "Bearer")) return same_secret(rest, token_);
  if (!equal_ignoring_case(scheme, "Basic")) return false;
  const auto pair = decode_base64(rest);
  if (!pair) return false;
  const std::size_t colon = pair->find(':');
  return colon != std::string::npos &&
         same_secret(std::string_view(*pair).substr(colon + 1), token_);
}

HttpResponse MlflowService::dispatch(const HttpRequest& request) {
  if (!is_loopback(request.header("Host")))
    throw MlflowError(403, "PERMISSION_DENIED", "The Host of the request is not this machine");
  const std::string_view path = request.path();
  if (request.method == "GET" && (path == "/health" || path == "/version"))
    return {.status = 200,
            .body = path == "/health" ? "OK" : std::string(mlflow_version),
            .content_type = "text/plain"};
  if (!is_authorised(request)) {
    HttpResponse refused =
        MlflowError(401, "UNAUTHENTICATED", "MLFLOW_TRACKING_TOKEN of the run is needed")
            .response();
    refused.headers.push_back({"WWW-Authenticate", "Bearer"});
    return refused;
  }
  if (path.starts_with(proxied)) return artifacts(request, path.substr(proxied.size()));
  if (!path.starts_with(api))
    throw MlflowError(404, "ENDPOINT_NOT_FOUND", fmt::format("No API at '{}'", printable(path)));
  const std::string_view name = path.substr(api.size());
  if (name == "logged-models" || name.starts_with("logged-models/"))
    return json_response(models_.answer(request.method,
                                        name.substr(std::string_view("logged-models").size()),
                                        MlflowRequest(request)));
  bool known = false;
  for (const Route& route : routes) {
    if (route.path != name) continue;
    known = true;
    if (route.verb == request.method)
      return json_response((this->*route.method)(MlflowRequest(request)));
  }
  if (known)
    throw MlflowError(405, "BAD_REQUEST",
                      fmt::format("'{}' is not asked for by {}", name, printable(request.method)));
  throw MlflowError(404, "ENDPOINT_NOT_FOUND",
                    fmt::format("A run of mlp has no MLflow API '{}'", printable(name)));
}

HttpResponse MlflowService::artifacts(const HttpRequest& request, std::string_view path) {
  const fs::path root = run_.folder().outs();
  if (path.empty() || path == "/") {
    if (request.method != "GET")
      throw MlflowError(405, "BAD_REQUEST", "Artifacts are listed by GET");
    return json_response(
        json_object({{"files", list_artifacts(root, MlflowRequest(request).text("path"), true)}}));
  }
  std::string name;
  if (path.front() != '/' || !percent_decode(path.substr(1), name) || !is_valid_utf8(name))
    throw invalid_parameter("Invalid path");
  if (request.method == "GET") return read_artifact(root, name);
  if (request.method == "PUT")
    write_artifact(root, name, request.body);
  else if (request.method == "DELETE")
    remove_artifact(root, name);
  else
    throw MlflowError(405, "BAD_REQUEST", "Artifacts are read by GET and written by PUT");
  return json_response(json_object());
}

void MlflowService::check_run(const MlflowRequest& request) const {
  std::string id = request.text("run_id");
  if (id.empty()) id = request.text("run_uuid"); // the older name
  if (id.empty()) throw invalid_parameter("Missing value for required parameter 'run_id'");
  if (id != run_.spec().id)
    throw does_not_exist(fmt::format("Run with id={} not found: a run of mlp knows itself only",
                                     printable(fit_width(id, 80))));
}

Json MlflowService::experiment(const std::string& name) const {
  const auto created = static_cast<std::int64_t>(run_.spec().created.time_since_epoch().count());
  return json_object({{"experiment_id", mlflow_experiment_id},
                      {"name", name.empty() ? run_.spec().project : name},
                      {"artifact_location", run_.folder().outs().native()},
                      {"lifecycle_stage", "active"},
                      {"creation_time", created},
                      {"last_update_time", created},
                      {"tags", json_array()}});
}

Json MlflowService::create_experiment(const MlflowRequest& request) {
  (void)request.required_text("name");
  return json_object({{"experiment_id", mlflow_experiment_id}});
}

Json MlflowService::get_experiment(const MlflowRequest& request) {
  const std::string id = request.required_text("experiment_id");
  if (id != mlflow_experiment_id)
    throw does_not_exist(fmt::format("No Experiment with id={} exists", printable(id)));
  return json_object({{"experiment", experiment("")}});
}

Json MlflowService::get_experiment_by_name(const MlflowRequest& request) {
  return json_object({{"experiment", experiment(request.required_text("experiment_name"))}});
}

Json MlflowService::search_experiments(const MlflowRequest&) {
  Json list = json_array();
  list.push_back(experiment(""));
  return json_object({{"experiments", std::move(list)}});
}

Json MlflowService::create_run(const MlflowRequest& request) {
  Tags tags = tags_in(request.body());
  const std::string name = request.text("run_name");
  if (!name.empty()) tags.insert_or_assign("mlflow.runName", name);
  run_.set_tags(tags);
  run_.set_status("RUNNING", std::nullopt);
  return json_object({{"run", run_.run()}});
}

Json MlflowService::update_run(const MlflowRequest& request) {
  check_run(request);
  static constexpr std::array<std::string_view, 5> states = {"RUNNING", "SCHEDULED", "FINISHED",
                                                             "FAILED", "KILLED"};
  const std::string status = request.text("status");
  if (!status.empty()) {
    if (std::find(states.begin(), states.end(), status) == states.end())
      throw invalid_parameter(fmt::format("Invalid status: '{}'", printable(status)));
    run_.set_status(status, request.integer("end_time"));
  }
  if (const std::string name = request.text("run_name"); !name.empty())
    run_.set_tags({{"mlflow.runName", name}});
  return json_object({{"run_info", run_.info()}});
}

Json MlflowService::get_run(const MlflowRequest& request) {
  check_run(request);
  return json_object({{"run", run_.run()}});
}

Json MlflowService::search_runs(const MlflowRequest& request) {
  // Filters are not read: the answer would be this run or none, and `mlp runs ls --where` has them.
  if (!request.text("filter").empty())
    throw MlflowError(400, "FEATURE_DISABLED",
                      "A run of mlp knows itself only: search with 'mlp runs ls --where'");
  Json runs = json_array();
  runs.push_back(run_.run());
  return json_object({{"runs", std::move(runs)}});
}

Json MlflowService::log_metric(const MlflowRequest& request) {
  check_run(request);
  const job::MetricPoint point = mlflow_point(request.body());
  run_.log_metrics(std::span(&point, 1));
  return json_object();
}

Json MlflowService::log_parameter(const MlflowRequest& request) {
  check_run(request);
  run_.log_params({{checked_name(request.body()), kept_value(request.body())}});
  return json_object();
}

Json MlflowService::log_batch(const MlflowRequest& request) {
  check_run(request);
  // All is read before any is written, so that a batch with a mistake leaves nothing behind.
  std::map<std::string, std::string> params;
  each_object(request.body(), "params", [&](const Json& param) {
    params.insert_or_assign(checked_name(param), kept_value(param));
  });
  const Tags tags = tags_in(request.body());
  run_.log_metrics(request.points());
  run_.log_params(params);
  run_.set_tags(tags);
  return json_object();
}

Json MlflowService::set_tag(const MlflowRequest& request) {
  check_run(request);
  const std::string name = checked_name(request.body());
  if (name != parent_tag) run_.set_tags({{name, kept_value(request.body())}});
  return json_object();
}

Json MlflowService::delete_tag(const MlflowRequest& request) {
  check_run(request);
  const std::string name = checked_name(request.body());
  if (!run_.has_tag(name))
    throw does_not_exist(fmt::format("No tag with name: {}", printable(name)));
  run_.set_tags({{name, std::nullopt}});
  return json_object();
}

Json MlflowService::accept(const MlflowRequest&) {
  return json_object();
}

Json MlflowService::get_history(const MlflowRequest& request) {
  check_run(request);
  const std::string key = request.required_text("metric_key");
  const std::int64_t limit = std::clamp<std::int64_t>(
      request.integer("max_results").value_or(most_points), 1, most_points);
  const auto from = request.integer("page_token").value_or(0);
  return run_.history(key, static_cast<std::uint64_t>(std::max<std::int64_t>(0, from)),
                      static_cast<std::size_t>(limit));
}

Json MlflowService::list_run_artifacts(const MlflowRequest& request) {
  check_run(request);
  const fs::path root = run_.folder().outs();
  return json_object(
      {{"root_uri", root.native()}, {"files", list_artifacts(root, request.text("path"), false)}});
}

} // namespace mlp::serve
