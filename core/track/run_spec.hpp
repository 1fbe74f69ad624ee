// What a run was asked to do and what it was made from: spec.json, written once when the run is
// created and never changed. Everything that is needed to understand and repeat the run.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/base/time.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::track {

// The version of a dataset that a run reads.
struct DatasetUse {
  std::string name;
  std::string path;   // of the work tree, relative to the project
  std::string digest; // "sha256:..." of its manifest
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  bool operator==(const DatasetUse&) const = default;
};

// The state of the project's source; see source_state.hpp.
struct SourceState {
  std::string commit;        // 40 hexadecimal characters; empty before the first commit
  std::string branch;        // empty: detached
  std::optional<bool> dirty; // uncommitted changes; absent if it took too long to find out
  std::string folder;        // the project's place in the work tree; empty: its root
  // "sha256:..." of the files that were not as committed, or without a commit of all files; empty:
  // there are none, or they were not kept.
  std::string snapshot;
  std::vector<std::string> removed; // committed files that were not there
  bool complete = false;            // the commit, the snapshot and `removed` are all of the code
  bool operator==(const SourceState&) const = default;
};

struct RunSpec {
  std::string id; // see core/base/ids.hpp
  std::string task;
  std::string name;    // a person's title for it; may be empty
  std::string project; // name in mlp.yaml
  WallTime created{};
  std::string user, host;
  std::string mlp_version;

  // What it runs: a task of the run folder's copy of mlp.yaml, with these params laid over.
  std::string command; // the task's `run`, as written there; empty for the built-in trainer
  std::map<std::string, std::string> overrides; // --param NAME=VALUE, as typed
  std::map<std::string, std::string> params;    // all; value: JSON text, e.g. 0.01, "relu"
  std::vector<DatasetUse> datasets;
  std::optional<SourceState> source;    // absent outside git, unless a snapshot was taken
  std::string reproduces;               // the run that this one repeats, see code()
  std::vector<std::string> outs;        // paths that the task promises
  std::vector<std::string> environment; // names only: values may be secret
  std::string image;                    // "sha256:..." that its programs run in; empty: none
  std::string model;                    // to be registered as; empty: none
  std::string sweep;                    // id of the sweep whose trial it is; empty: none
  std::uint64_t trial = 0;              // its number there, from 1
  std::string resources;                // JSON text of the task's resources; may be empty
  std::int64_t num_nodes = 1;
  double grace_seconds = 10.0; // from SIGTERM to SIGKILL
};

[[nodiscard]] Json to_json(const RunSpec& spec);
// Tolerates unknown and missing members, except the id. Throws Error(config) that names `what` for
// a member of the wrong type.
[[nodiscard]] RunSpec run_spec_from_json(const Json& json, std::string_view what);

} // namespace mlp::track
