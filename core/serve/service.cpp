// The table of routes and their answers.
#include "core/serve/service.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/serve/infer_pool.hpp"
#include "core/serve/json_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <iterator>

namespace mlp::serve {

namespace {

struct PathParameters {
  std::string model;
  std::string version; // empty: none named
};

// Matches "/v2/models/{model}/ready"; fills the names in braces. A segment never matches empty.
bool match_path(std::string_view pattern, std::string_view path, PathParameters& parameters) {
  while (true) {
    const std::size_t pattern_end = std::min(pattern.find('/', 1), pattern.size());
    const std::size_t path_end = std::min(path.find('/', 1), path.size());
    const std::string_view wanted = pattern.substr(0, pattern_end);
    const std::string_view have = path.substr(0, path_end);
    if (wanted == "/{model}" || wanted == "/{version}") {
      std::string& value = wanted == "/{model}" ? parameters.model : parameters.version;
      if (have.size() < 2 || !percent_decode(have.substr(1), value)) return false;
    } else if (wanted != have) {
      return false;
    }
    pattern.remove_prefix(pattern_end);
    path.remove_prefix(path_end);
    if (pattern.empty() || path.empty()) return pattern.empty() && path.empty();
  }
}

// Only types that name JSON, and the two that a plain client sends without being asked: none, and
// what curl -d says.
bool is_json_type(std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  return type.empty() || equal_ignoring_case(type, "application/json") ||
         equal_ignoring_case(type, "application/x-www-form-urlencoded") ||
         (type.size() > 5 && equal_ignoring_case(type.substr(type.size() - 5), "+json"));
}

std::string with_hint(std::string message, std::string_view hint) {
  if (!hint.empty()) message += fmt::format("; {}", hint);
  return message;
}

} // namespace

struct InferenceService::Impl {
  struct Call {
    HttpRequest request;
    HttpReply reply;
    PathParameters path;
  };
  struct Route {
    std::string_view method;
    std::string_view pattern;
    void (Impl::*answer)(Call&);
  };

  Impl(std::vector<ServedModel> served, ServiceOptions given)
      : options(std::move(given)), pool(options.workers, options.queue) {
    for (ServedModel& model : served) {
      if (find_version(model.identity.name, model.identity.version) != nullptr)
        throw Error(ErrorKind::conflict, fmt::format("model '{}' version '{}' is served twice",
                                                     model.identity.name, model.identity.version));
      models.emplace_back(std::move(model));
    }
  }

  static const Route routes[];
  static std::string route_names();

  InferTarget* find_version(std::string_view name, std::string_view version);
  InferTarget& find_model(const PathParameters& path);
  void dispatch(Call& call);

  void server_metadata(Call& call);
  void live(Call& call);
  void health_ready(Call& call);
  void model_metadata(Call& call);
  void model_ready(Call& call);
  void infer(Call& call);
  void metrics(Call& call);

  ServiceOptions options;
  std::deque<InferTarget> models; // never moves: workers refer to them
  ServerCounters counters;
  std::atomic<bool> ready{true};
  InferPool pool; // last: its workers end first
};

const InferenceService::Impl::Route InferenceService::Impl::routes[] = {
    {"GET", "/v2", &Impl::server_metadata},
    {"GET", "/v2/", &Impl::server_metadata},
    {"GET", "/v2/health/live", &Impl::live},
    {"GET", "/v2/health/ready", &Impl::health_ready},
    {"GET", "/v2/models/{model}", &Impl::model_metadata},
    {"GET", "/v2/models/{model}/ready", &Impl::model_ready},
    {"GET", "/v2/models/{model}/versions/{version}", &Impl::model_metadata},
    {"GET", "/v2/models/{model}/versions/{version}/ready", &Impl::model_ready},
    {"POST", "/v2/models/{model}/infer", &Impl::infer},
    {"POST", "/v2/models/{model}/versions/{version}/infer", &Impl::infer},
    {"GET", "/metrics", &Impl::metrics},
};

std::string InferenceService::Impl::route_names() {
  std::string text;
  for (const Route& route : routes) {
    if (route.pattern.size() > 1 && route.pattern.back() == '/') continue;
    text += text.empty() ? "" : ",";
    append_json_string(text, fmt::format("{} {}", route.method, route.pattern));
  }
  return text;
}

InferTarget* InferenceService::Impl::find_version(std::string_view name, std::string_view version) {
  for (InferTarget& target : models)
    if (target.model.identity.name == name && target.model.identity.version == version)
      return &target;
  return nullptr;
}

InferTarget& InferenceService::Impl::find_model(const PathParameters& path) {
  std::vector<std::string> names;
  std::vector<std::string> versions;
  for (InferTarget& target : models) {
    const ModelIdentity& identity = target.model.identity;
    names.push_back(identity.name);
    if (identity.name != path.model) continue;
    if (path.version.empty() || identity.version == path.version) return target;
    versions.push_back(identity.version);
  }
  if (versions.empty())
    throw Error(ErrorKind::not_found, fmt::format("no model '{}'", printable(path.model)))
        .with_hint(suggestion_hint(path.model, names, "models"));
  throw Error(ErrorKind::not_found,
              fmt::format("model '{}' has no version '{}'", path.model, printable(path.version)))
      .with_hint(suggestion_hint(path.version, versions, "versions"));
}

void InferenceService::Impl::dispatch(Call& call) {
  const std::string_view path = call.request.path();
  const bool head = call.request.method == "HEAD";
  const std::string_view method = head ? "GET" : std::string_view(call.request.method);
  std::string allowed;
  for (const Route& route : routes) {
    call.path = {};
    if (!match_path(route.pattern, path, call.path)) continue;
    if (route.method == method) return (this->*route.answer)(call);
    allowed += allowed.empty() ? "" : ", ";
    allowed += route.method == "GET" ? "GET, HEAD" : route.method;
  }
  if (allowed.empty()) {
    HttpResponse response{.status = 404, .body = "{\"error\":"};
    append_json_string(response.body, fmt::format("there is nothing at '{}'", printable(path)));
    response.body += fmt::format(",\"paths\":[{}],\"models\":[", route_names());
    for (const InferTarget& target : models) {
      if (&target != &models.front()) response.body += ',';
      append_json_string(response.body, target.model.identity.name);
    }
    response.body += "]}";
    return call.reply.send(std::move(response));
  }
  HttpResponse response =
      error_response(405, fmt::format("'{}' does not take {}, only {}", printable(path),
                                      printable(call.request.method), allowed));
  response.headers.push_back({"Allow", allowed});
  call.reply.send(std::move(response));
}

void InferenceService::Impl::server_metadata(Call& call) {
  HttpResponse response;
  append_server_metadata(response.body, "mlp", options.server_version);
  call.reply.send(std::move(response));
}

void InferenceService::Impl::live(Call& call) {
  call.reply.send({.body = "{\"live\":true}"});
}

void InferenceService::Impl::health_ready(Call& call) {
  if (ready.load(std::memory_order_relaxed)) return call.reply.send({.body = "{\"ready\":true}"});
  call.reply.send(error_response(503, "the server is stopping"));
}

void InferenceService::Impl::model_metadata(Call& call) {
  const ServedModel& model = find_model(call.path).model;
  HttpResponse response;
  append_model_metadata(response.body, model.identity, model.runtime->signature());
  call.reply.send(std::move(response));
}

void InferenceService::Impl::model_ready(Call& call) {
  const ServedModel& model = find_model(call.path).model;
  if (!ready.load(std::memory_order_relaxed))
    return call.reply.send(error_response(503, "the server is stopping"));
  HttpResponse response{.body = "{\"name\":"};
  append_json_string(response.body, model.identity.name);
  response.body += ",\"ready\":true}";
  call.reply.send(std::move(response));
}

void InferenceService::Impl::infer(Call& call) {
  InferTarget& target = find_model(call.path);
  const HttpRequest& request = call.request;
  HttpResponse refusal;
  if (!request.header("Inference-Header-Content-Length").empty())
    refusal = error_response(415, "binary tensor data is not supported; send JSON");
  else if (const auto type = request.header("Content-Type"); !is_json_type(type))
    refusal = error_response(
        415, fmt::format("the body is '{}'; send application/json", printable(type)));
  else if (const auto coding = request.header("Content-Encoding");
           !coding.empty() && !equal_ignoring_case(coding, "identity"))
    refusal = error_response(
        415, fmt::format("content encoding '{}' is not supported", printable(coding)));
  else
    return pool.submit(target, std::move(call.request), std::move(call.reply));
  target.counters.requests_failed.fetch_add(1, std::memory_order_relaxed);
  call.reply.send(std::move(refusal));
}

void InferenceService::Impl::metrics(Call& call) {
  using Type = MetricsText::Type;
  struct Row {
    std::string_view name;
    std::string_view help;
    std::atomic<std::uint64_t> ModelCounters::*counter;
  };
  static constexpr Row rows[] = {
      {"nv_inference_request_success", "Number of successful inference requests",
       &ModelCounters::requests_succeeded},
      {"nv_inference_request_failure", "Number of failed inference requests",
       &ModelCounters::requests_failed},
      {"nv_inference_count", "Number of inferences performed (a batch of n counts n)",
       &ModelCounters::inferences},
      {"nv_inference_exec_count", "Number of model executions performed",
       &ModelCounters::executions},
      {"nv_inference_request_duration_us",
       "Cumulative duration of successful inference requests in microseconds",
       &ModelCounters::request_us},
      {"nv_inference_queue_duration_us",
       "Cumulative time that inference requests waited for a worker in microseconds",
       &ModelCounters::queue_us},
      {"nv_inference_compute_input_duration_us",
       "Cumulative time spent reading inputs in microseconds", &ModelCounters::compute_input_us},
      {"nv_inference_compute_infer_duration_us", "Cumulative time spent computing in microseconds",
       &ModelCounters::compute_infer_us},
      {"nv_inference_compute_output_duration_us",
       "Cumulative time spent writing outputs in microseconds", &ModelCounters::compute_output_us},
  };
  MetricsText text;
  for (const Row& row : rows) {
    text.begin(row.name, Type::counter, row.help);
    for (const InferTarget& target : models) {
      const ModelIdentity& model = target.model.identity;
      text.sample({{"model", model.name}, {"version", model.version}},
                  (target.counters.*row.counter).load(std::memory_order_relaxed));
    }
  }
  text.begin("nv_inference_pending_request_count", Type::gauge,
             "Number of inference requests that wait for a worker now");
  for (const InferTarget& target : models)
    text.sample({{"model", target.model.identity.name}, {"version", target.model.identity.version}},
                target.counters.pending.load(std::memory_order_relaxed));
  text.begin("mlp_http_connections", Type::gauge, "Connections that are open now");
  text.sample({}, counters.connections.load(std::memory_order_relaxed));
  text.begin("mlp_http_connections_refused_total", Type::counter,
             "Connections refused because too many were open");
  text.sample({}, counters.connections_refused.load(std::memory_order_relaxed));
  text.begin("mlp_http_responses_total", Type::counter, "Responses sent, by class of their status");
  static constexpr std::string_view classes[] = {"0xx", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (std::size_t i = 2; i < std::size(classes); ++i)
    text.sample({{"code", classes[i]}}, counters.responses[i].load(std::memory_order_relaxed));
  call.reply.send({.body = text.take(), .content_type = metrics_content_type});
}

InferenceService::InferenceService(std::vector<ServedModel> models, ServiceOptions options)
    : impl_(std::make_unique<Impl>(std::move(models), std::move(options))) {}

InferenceService::~InferenceService() = default;

void InferenceService::handle(HttpRequest request, HttpReply reply) {
  Impl::Call call{std::move(request), std::move(reply), {}};
  try {
    impl_->dispatch(call);
  } catch (const Error& error) {
    call.reply.send(error_response(
        error.kind() == ErrorKind::not_found ? 404 : 500,
        with_hint(error.message(), error.hints().empty() ? "" : error.hints().front())));
  }
}

void InferenceService::set_ready(bool ready) noexcept {
  impl_->ready.store(ready, std::memory_order_relaxed);
}

ServerCounters& InferenceService::server_counters() noexcept {
  return impl_->counters;
}

} // namespace mlp::serve
