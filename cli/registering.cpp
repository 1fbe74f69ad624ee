// Registering models: the registry, the runtimes, and the run that a model comes from.
#include "cli/registering.hpp"

#include "backends/registry.hpp"
#include "core/base/digest.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/log.hpp"
#include "core/job/work.hpp"
#include "core/track/logged.hpp"
#include "core/track/machine.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mlp {

namespace {

model::Lineage lineage_of(const track::RunRecord& run) {
  const track::RunSpec& spec = run.spec;
  model::Lineage out;
  out.run = spec.id;
  out.task = spec.task;
  for (const track::DatasetUse& use : spec.datasets)
    out.datasets.push_back({use.name, use.digest});
  out.params = run.params();
  Json params = json_object();
  for (const auto& [name, value] : out.params)
    params[name] = parse_json(value, name);
  out.params_digest = sha256(dump_json(params)).text();
  if (spec.source) {
    out.commit = spec.source->commit;
    out.dirty = spec.source->dirty;
  }
  return out;
}

// What the built-in trainer knows of its model beyond the files.
std::vector<std::string> classes_of(const track::RunFolder& run) {
  const auto text = read_file_if_exists(run.root / "result.json");
  if (!text) return {};
  const Json result = parse_json(*text, "result.json");
  const auto classes = result.find("classes");
  return classes == result.end() ? std::vector<std::string>()
                                 : classes->get<std::vector<std::string>>();
}

// A model of a format that no runtime of ours reads has no signature, and can be kept all the same.
std::optional<model::Signature> signature_of(const fs::path& files) {
  const auto read = [&](const auto* factory) { return factory->accepts(files); };
  if (!std::ranges::any_of(runtimes(), read)) return std::nullopt;
  try {
    return load_runtime(files, {.threads = 1})->signature();
  } catch (const Error& error) {
    log_warning(fmt::format("the model has no signature: {}", error.message()));
    return std::nullopt;
  }
}

} // namespace

fs::path model_output(const track::RunFolder& run) {
  if (const fs::path folder = run.outs() / "model"; fs::exists(folder)) return folder;
  std::vector<fs::path> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(run.outs(), code))
    if (entry.path().extension() == ".onnx") found.push_back(entry.path());
  if (found.size() == 1) return found.front();
  throw Error(ErrorKind::not_found, found.empty()
                                        ? fmt::format("run '{}' has left no model", run.id())
                                        : fmt::format("run '{}' has left several models", run.id()))
      .with_hint("a model is the folder 'model' or the one .onnx file in $MLP_OUT_DIR");
}

model::ModelVersion register_model(const config::Project& project, std::string_view name,
                                   const fs::path& files, const track::RunRecord* run) {
  model::ModelVersion about;
  about.name = name;
  about.user = track::user_name();
  about.signature = signature_of(files);
  if (run != nullptr) {
    about.lineage = lineage_of(*run);
    about.metrics = run->metrics;
    std::erase_if(about.metrics, [](const auto& metric) { // the machine's say nothing of the model
      return metric.first.starts_with(track::system_prefix);
    });
    about.classes = classes_of(run->folder);
  }
  return model::ModelRegistry(project).add(files, std::move(about));
}

void register_outputs(const track::RunSpec& spec, track::RunWriter& writer) {
  const track::RunRecord run = track::read_journals(writer.folder());
  const model::ModelVersion version =
      register_model(job::project_of(run.folder), spec.model, model_output(run.folder), &run);
  writer.event("model", json_object({{"model", fmt::format("{}@{}", version.name, version.version)},
                                     {"digest", version.digest.text()}}));
}

} // namespace mlp
