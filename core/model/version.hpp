// One version of a registered model: what it is made of and where it comes from. Immutable once
// registered.
#pragma once

#include "core/base/digest.hpp"
#include "core/base/json_fwd.hpp"
#include "core/base/time.hpp"
#include "core/model/tensor.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::model {

struct LineageDataset {
  std::string name;
  std::string digest; // "sha256:..."
  bool operator==(const LineageDataset&) const = default;
};

// Where a model comes from. Empty members are not known.
struct Lineage {
  std::string run;
  std::string task;
  std::vector<LineageDataset> datasets;
  std::map<std::string, std::string> params; // value: JSON text
  std::string params_digest;                 // of the canonical JSON of params
  std::string commit;
  std::optional<bool> dirty;
  bool operator==(const Lineage&) const = default;
};

struct ModelVersion {
  std::string name;
  std::int64_t version = 0; // 1, 2, 3, ... in the order of registration
  Digest digest;            // of the manifest of its files
  std::uint64_t files = 0, bytes = 0;
  WallTime created{};
  std::string user;
  std::string description;
  std::optional<Signature> signature;
  std::vector<std::string> classes; // of a classifier, in the order of its probabilities
  std::map<std::string, double> metrics;
  Lineage lineage;
};

[[nodiscard]] Json to_json(const ModelVersion& version);
// Tolerates unknown members. Throws Error(integrity) that names `what` for one that is missing or
// of the wrong type.
[[nodiscard]] ModelVersion model_version_from_json(const Json& json, std::string_view what);

[[nodiscard]] Json to_json(const Signature& signature);
[[nodiscard]] Signature signature_from_json(const Json& json, std::string_view what);

} // namespace mlp::model
