// ModelVersion as JSON and back.
#include "core/model/version.hpp"

#include "core/base/error.hpp"
#include "core/base/json.hpp"

#include <fmt/format.h>

namespace mlp::model {

namespace {

Json specs_json(const std::vector<TensorSpec>& specs) {
  Json out = json_array();
  for (const TensorSpec& spec : specs)
    out.push_back(json_object({{"name", spec.name},
                               {"datatype", data_type_name(spec.type)},
                               {"shape", Json(spec.shape)}}));
  return out;
}

std::vector<TensorSpec> specs_from(const Json& list, std::string_view what) {
  std::vector<TensorSpec> out;
  for (const Json& item : list) {
    TensorSpec spec;
    spec.name = json_string(item, "name", what);
    const auto type = parse_data_type(json_string(item, "datatype", what));
    if (!type) throw Error(ErrorKind::integrity, fmt::format("{}: unknown datatype", what));
    spec.type = *type;
    for (const Json& dimension : json_member(item, "shape", what))
      spec.shape.push_back(dimension.get<std::int64_t>());
    out.push_back(std::move(spec));
  }
  return out;
}

Json lineage_json(const Lineage& lineage) {
  Json out = json_object();
  if (!lineage.run.empty()) out["run"] = lineage.run;
  if (!lineage.task.empty()) out["task"] = lineage.task;
  Json datasets = json_array();
  for (const LineageDataset& dataset : lineage.datasets)
    datasets.push_back(json_object({{"name", dataset.name}, {"digest", dataset.digest}}));
  out["datasets"] = std::move(datasets);
  Json params = json_object();
  for (const auto& [name, value] : lineage.params)
    params[name] = parse_json(value, name);
  out["params"] = std::move(params);
  if (!lineage.params_digest.empty()) out["params_digest"] = lineage.params_digest;
  if (!lineage.commit.empty()) out["commit"] = lineage.commit;
  if (lineage.dirty) out["dirty"] = *lineage.dirty;
  return out;
}

Lineage lineage_from(const Json& json, std::string_view what) {
  Lineage lineage;
  lineage.run = json.value("run", "");
  lineage.task = json.value("task", "");
  for (const Json& dataset : json.value("datasets", json_array()))
    lineage.datasets.push_back(
        {json_string(dataset, "name", what), json_string(dataset, "digest", what)});
  const Json params = json.value("params", json_object());
  for (const auto& [name, value] : params.items())
    lineage.params.emplace(name, dump_json(value));
  lineage.params_digest = json.value("params_digest", "");
  lineage.commit = json.value("commit", "");
  if (json.contains("dirty")) lineage.dirty = json.at("dirty").get<bool>();
  return lineage;
}

ModelVersion read(const Json& json, std::string_view what) {
  ModelVersion out;
  out.name = json_string(json, "name", what);
  out.version = json_int(json, "model_version", what);
  const auto digest = parse_digest(json_string(json, "digest", what));
  if (!digest) throw Error(ErrorKind::integrity, fmt::format("{}: not a digest", what));
  out.digest = *digest;
  out.files = json.value("files", std::uint64_t{0});
  out.bytes = json.value("bytes", std::uint64_t{0});
  out.created = parse_time(json.value("created", "")).value_or(WallTime{});
  out.user = json.value("user", "");
  out.description = json.value("description", "");
  if (json.contains("signature")) out.signature = signature_from_json(json.at("signature"), what);
  out.classes = json.value("classes", std::vector<std::string>());
  out.metrics = json.value("metrics", std::map<std::string, double>());
  if (json.contains("lineage")) out.lineage = lineage_from(json.at("lineage"), what);
  return out;
}

} // namespace

Json to_json(const Signature& signature) {
  return json_object(
      {{"inputs", specs_json(signature.inputs)}, {"outputs", specs_json(signature.outputs)}});
}

Signature signature_from_json(const Json& json, std::string_view what) {
  return {specs_from(json_member(json, "inputs", what), what),
          specs_from(json_member(json, "outputs", what), what)};
}

Json to_json(const ModelVersion& version) {
  Json out = json_object({{"version", 1},
                          {"name", version.name},
                          {"model_version", version.version},
                          {"digest", version.digest.text()},
                          {"files", version.files},
                          {"bytes", version.bytes},
                          {"created", format_time(version.created)},
                          {"user", version.user},
                          {"metrics", Json(version.metrics)},
                          {"lineage", lineage_json(version.lineage)}});
  if (!version.description.empty()) out["description"] = version.description;
  if (version.signature) out["signature"] = to_json(*version.signature);
  if (!version.classes.empty()) out["classes"] = version.classes;
  return out;
}

ModelVersion model_version_from_json(const Json& json, std::string_view what) {
  try {
    return read(json, what);
  } catch (const Json::exception&) {
    throw Error(ErrorKind::integrity, fmt::format("{}: a member is of the wrong type", what));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::integrity) throw;
    throw Error(ErrorKind::integrity, error.message());
  }
}

} // namespace mlp::model
