// Logged models, as MLflow 3's mlflow.<flavor>.log_model() makes them: an entry, and a folder
// `models/<name>` in the run's outs that the client writes to. The entries live as long as the
// run's attempt; the files stay. Messages: LoggedModel, LoggedModelInfo of
// mlflow/protos/service.proto.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/serve/mlflow_request.hpp"
#include "core/track/run_folder.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace mlp::serve {

// Not thread-safe. At most 1,000 models.
class MlflowModels {
 public:
  MlflowModels(const track::RunFolder& run, std::string run_id);
  // Answers `verb` on logged-models<path>: "", "/search", "/ID", "/ID/tags" and so on. Throws
  // MlflowError.
  [[nodiscard]] Json answer(std::string_view verb, std::string_view path,
                            const MlflowRequest& request);

 private:
  struct Model {
    std::string id, name, type, folder; // folder: below models/
    std::string status = "LOGGED_MODEL_PENDING";
    std::int64_t created = 0, updated = 0; // milliseconds since 1970
    std::map<std::string, std::string> tags, params;
  };
  Json create(const MlflowRequest& request);
  [[nodiscard]] Json search() const;
  Json of_model(std::string_view verb, std::string_view what, Model& model,
                const MlflowRequest& request);
  [[nodiscard]] std::string free_folder(const std::string& name) const;
  [[nodiscard]] Json model_json(const Model& model) const;

  track::RunFolder run_;
  std::string run_id_;
  std::map<std::string, Model> models_; // by id
};

} // namespace mlp::serve
