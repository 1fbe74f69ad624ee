// A map of entries, and the folders that they name.
#include "core/serve/mlflow_models.hpp"

#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/serve/mlflow_artifacts.hpp"
#include "core/serve/mlflow_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace mlp::serve {

namespace {

constexpr std::size_t max_models = 1000;
constexpr std::size_t max_entries = 1000; // tags of a model, and params
constexpr std::size_t id_characters = 16;

using Texts = std::map<std::string, std::string>;

std::int64_t now_in_milliseconds() {
  return wall_now().time_since_epoch().count();
}

// The {key, value} objects of a list.
void take_entries(const Json& body, const char* name, Texts& out) {
  const auto list = body.find(name);
  if (list == body.end() || !list->is_array()) return;
  for (const Json& entry : *list) {
    if (!entry.is_object())
      throw invalid_parameter(fmt::format("'{}' is no list of objects", name));
    std::string key = mlflow_text(entry, "key");
    check_mlflow_name(key);
    if (out.size() < max_entries || out.contains(key))
      out.insert_or_assign(std::move(key), mlflow_text(entry, "value"));
  }
}

Json entries_json(const Texts& texts) {
  Json out = json_array();
  for (const auto& [key, value] : texts)
    out.push_back(json_object({{"key", key}, {"value", value}}));
  return out;
}

} // namespace

MlflowModels::MlflowModels(const track::RunFolder& run, std::string run_id)
    : run_(run), run_id_(std::move(run_id)) {}

// Of several models of one name each has a folder of its own.
std::string MlflowModels::free_folder(const std::string& name) const {
  const std::string base = is_valid_name(name) ? name : "model";
  std::string folder = base;
  const auto is_taken = [&] {
    return std::any_of(models_.begin(), models_.end(),
                       [&](const auto& entry) { return entry.second.folder == folder; });
  };
  for (std::size_t n = 2; is_taken(); ++n)
    folder = fmt::format("{}-{}", base, n);
  return folder;
}

Json MlflowModels::model_json(const Model& model) const {
  return json_object(
      {{"info",
        {{"model_id", model.id},
         {"experiment_id", mlflow_experiment_id},
         {"name", model.name},
         {"creation_timestamp_ms", model.created},
         {"last_updated_timestamp_ms", model.updated},
         {"artifact_uri", (run_.outs() / "models" / model.folder).native()},
         {"status", model.status},
         {"model_type", model.type},
         {"source_run_id", run_id_},
         {"tags", entries_json(model.tags)}}},
       {"data", {{"params", entries_json(model.params)}, {"metrics", json_array()}}}});
}

Json MlflowModels::create(const MlflowRequest& request) {
  if (models_.size() == max_models)
    throw invalid_parameter(fmt::format("A run has at most {} logged models", max_models));
  Model model;
  model.id = "m-" + random_token(id_characters);
  model.name = request.text("name");
  if (model.name.empty()) model.name = model.id;
  check_mlflow_name(model.name);
  model.type = request.text("model_type");
  take_entries(request.body(), "tags", model.tags);
  take_entries(request.body(), "params", model.params);
  model.folder = free_folder(model.name);
  model.created = model.updated = now_in_milliseconds();
  const auto made = models_.emplace(model.id, std::move(model)).first;
  return json_object({{"model", model_json(made->second)}});
}

Json MlflowModels::search() const {
  Json models = json_array();
  for (const auto& [id, model] : models_)
    models.push_back(model_json(model));
  return json_object({{"models", std::move(models)}});
}

// `what` is the rest of the path behind the id.
Json MlflowModels::of_model(std::string_view verb, std::string_view what, Model& model,
                            const MlflowRequest& request) {
  if (what.empty() && verb == "GET") return json_object({{"model", model_json(model)}});
  if (what == "/artifacts/directories" && verb == "GET") {
    const fs::path root = run_.outs() / "models" / model.folder;
    return json_object(
        {{"root_uri", root.native()},
         {"files", list_artifacts(root, request.text("artifact_directory_path"), false)}});
  }
  model.updated = now_in_milliseconds();
  if (what.empty() && verb == "PATCH") {
    static constexpr std::array<std::string_view, 3> states = {
        "LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"};
    const std::string status = request.required_text("status");
    if (std::find(states.begin(), states.end(), status) == states.end())
      throw invalid_parameter(fmt::format("Invalid status: '{}'", printable(status)));
    model.status = status;
    return json_object({{"model", model_json(model)}});
  }
  if (what == "/tags" && verb == "PATCH") {
    take_entries(request.body(), "tags", model.tags);
    return json_object({{"model", model_json(model)}});
  }
  if (what == "/params" && verb == "POST") {
    take_entries(request.body(), "params", model.params);
    return json_object();
  }
  if (what.starts_with("/tags/") && verb == "DELETE") {
    std::string key;
    if (percent_decode(what.substr(6), key)) model.tags.erase(key);
    return json_object();
  }
  throw MlflowError(404, "ENDPOINT_NOT_FOUND", "A run of mlp has no such API of logged models");
}

Json MlflowModels::answer(std::string_view verb, std::string_view path,
                          const MlflowRequest& request) {
  if (path.empty() && verb == "POST") return create(request);
  if (path == "/search" && verb == "POST") return search();
  const std::string_view rest = path.empty() ? path : path.substr(1);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const auto found = models_.find(std::string(rest.substr(0, slash)));
  if (found == models_.end())
    throw does_not_exist(fmt::format("No logged model '{}'", printable(rest.substr(0, slash))));
  if (slash == rest.size() && verb == "DELETE") {
    models_.erase(found); // its files stay
    return json_object();
  }
  return of_model(verb, rest.substr(slash), found->second, request);
}

} // namespace mlp::serve
