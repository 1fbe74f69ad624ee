// MLflow's tracking API over one run, for the program that the run executes: what
// `mlflow.log_metric`, `log_param`, `set_tag`, `log_batch` and `log_artifact` say lands in the run.
//
// There is one run and one experiment. The experiment answers to every name, so that a script's
// mlflow.set_experiment() changes nothing; a run that a client creates, nested ones too, is this
// run. What a client says of a run's end counts in its own answers only: the supervisor has the
// last word. Paths, members and errors: mlflow.org/docs/latest/rest-api.html.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/serve/http.hpp"
#include "core/serve/mlflow_models.hpp"
#include "core/serve/mlflow_run.hpp"

#include <string>
#include <string_view>

namespace mlp::serve {

class MlflowRequest;

inline constexpr const char* mlflow_experiment_id = "0";

class MlflowService : public HttpHandler {
 public:
  // Only requests with `token` are answered, as "Bearer TOKEN" or as the password of Basic, and
  // only such that name this machine in Host: a page of the web that has itself resolved to
  // 127.0.0.1 (DNS rebinding) does not. `run` outlives it.
  MlflowService(MlflowRun& run, std::string token);

  void handle(HttpRequest request, HttpReply reply) override;

  // The same without a connection. One thread at a time. Never throws.
  [[nodiscard]] HttpResponse answer(const HttpRequest& request) noexcept;

  using Method = Json (MlflowService::*)(const MlflowRequest&);

 private:
  struct Route {
    std::string_view verb, path;
    Method method;
  };
  [[nodiscard]] HttpResponse dispatch(const HttpRequest& request);
  [[nodiscard]] HttpResponse artifacts(const HttpRequest& request, std::string_view path);
  [[nodiscard]] bool is_authorised(const HttpRequest& request) const;
  void check_run(const MlflowRequest& request) const;

  Json create_experiment(const MlflowRequest& request);
  Json get_experiment(const MlflowRequest& request);
  Json get_experiment_by_name(const MlflowRequest& request);
  Json search_experiments(const MlflowRequest& request);
  Json create_run(const MlflowRequest& request);
  Json update_run(const MlflowRequest& request);
  Json get_run(const MlflowRequest& request);
  Json search_runs(const MlflowRequest& request);
  Json log_metric(const MlflowRequest& request);
  Json log_parameter(const MlflowRequest& request);
  Json log_batch(const MlflowRequest& request);
  Json set_tag(const MlflowRequest& request);
  Json delete_tag(const MlflowRequest& request);
  Json accept(const MlflowRequest& request); // what has no place in a run, and harms nothing
  Json get_history(const MlflowRequest& request);
  Json list_run_artifacts(const MlflowRequest& request);

  [[nodiscard]] Json experiment(const std::string& name) const;
  static const Route routes[];

  MlflowRun& run_;
  MlflowModels models_;
  std::string token_;
};

} // namespace mlp::serve
