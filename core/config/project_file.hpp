// mlp.yaml as typed values. Names and shapes are those of SkyPilot (resources, services, recovery),
// DVC (deps, outs, metrics, plots, matrix), Cog (image) and Determined (searcher). The keys
// themselves, with their descriptions and limits, are declared once in project_keys.cpp.
#pragma once

#include "core/base/json_fwd.hpp"
#include "core/config/project.hpp"
#include "core/config/sweep_spec.hpp"
#include "core/config/trainer_spec.hpp"
#include "core/config/value.hpp"
#include "core/config/yaml.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlp::config {

// `datasets.NAME`
struct DatasetEntry {
  std::string path; // relative to the project's root; a file or a folder
};

// `image`
struct ImageSpec {
  std::string base; // empty: see core/image/recipe.hpp
  std::vector<std::string> system_packages;
  std::string python_version;
  std::string python_requirements; // a file
  std::vector<std::string> python_packages;
  std::vector<std::string> run;     // steps
  std::vector<std::string> secrets; // names; files in /run/secrets while steps run
  std::vector<std::string> files;
  OrderedMap<std::string> env;
  std::string workdir;
  std::string user;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  OrderedMap<std::string> labels;
  std::string dockerfile;             // instead of all the above
  OrderedMap<std::string> build_args; // of the Dockerfile
};

// `resources`. An amount is a number, with "+" for "at least".
struct Amount {
  double value = 0;
  bool at_least = false;
  bool operator==(const Amount&) const = default;
};

struct Accelerators {
  std::string name; // "H100"; empty: any GPU
  std::int64_t count = 0;
  bool operator==(const Accelerators&) const = default;
};

struct Resources {
  std::optional<Accelerators> accelerators;
  std::optional<Amount> cpus;
  std::optional<Amount> memory;    // GiB
  std::optional<Amount> disk_size; // GiB
  std::optional<std::chrono::milliseconds> max_duration;
};

// `job_recovery`
struct JobRecovery {
  std::int64_t max_restarts_on_errors = 0;
  std::vector<std::int64_t> recover_on_exit_codes; // of these, restarts are not counted
};

// `plots[i]`
struct PlotEntry {
  std::string path;
  std::string x;
  std::string y;
  std::string title;
};

// `secrets[i]`: NAME, or {name: NAME, file: true}
struct SecretUse {
  std::string name;
  bool file = false; // the variable holds the path of a file with the value
  bool operator==(const SecretUse&) const = default;
};

// What one start of `run` stands for: each process of the job, each node, whose processes the
// program starts itself (torchrun), or the job as a whole (mpirun).
enum class RunPer { process, node, job };

// `tasks.NAME`. Exactly one of `run` and `trainer`, or neither for a task that only has `deps`.
struct Task {
  std::string name; // its key
  std::string description;
  std::vector<std::string> data; // names of datasets
  OrderedMap<Scalar> params;
  Resources resources;
  std::int64_t num_nodes = 1;
  std::int64_t procs_per_node = 1;
  RunPer run_per = RunPer::process;
  std::string workdir; // relative to the root; empty: the root
  std::string run;     // a program for /bin/sh
  std::optional<TrainerSpec> trainer;
  std::vector<std::string> deps; // paths, or names of tasks
  std::vector<std::string> outs; // paths relative to $MLP_OUT_DIR
  std::vector<std::string> metrics;
  std::vector<PlotEntry> plots;
  OrderedMap<std::vector<Scalar>> matrix;
  OrderedMap<std::string> env;
  std::vector<SecretUse> secrets;
  JobRecovery job_recovery;
  std::string model; // name under which its model is registered; empty: the project's name
};

// `services.NAME`
struct ReplicaPolicy {
  std::int64_t min_replicas = 1;
  std::int64_t max_replicas = 1;
  std::optional<double> target_qps_per_replica;
};

struct Batching {
  std::int64_t max_batch_size = 1;
  std::chrono::microseconds max_latency{0}; // how long a request may wait for others
};

struct ServiceEntry {
  std::string model; // NAME, NAME@ALIAS or NAME@VERSION
  std::string host;  // empty: the setting serve.host
  std::optional<std::int64_t> port;
  ReplicaPolicy replica_policy;
  Batching batching;
};

struct ProjectFile {
  std::string name;
  OrderedMap<std::string> remotes; // name -> URL
  std::string default_remote;      // `default_remote`; empty: see default_remote_name()
  OrderedMap<DatasetEntry> datasets;
  std::optional<ImageSpec> image;
  OrderedMap<Task> tasks;
  OrderedMap<ServiceEntry> services;
  OrderedMap<SweepEntry> sweeps;
  // "mlp.yaml:9:5: 'matrix' has no effect in this version", for each such key in the file.
  std::vector<std::string> notes;
  std::shared_ptr<const YamlDocument> document; // positions and source lines; never null

  // The remote to use where none is named: `default_remote`, else `origin`, else the only one.
  // Empty if that does not tell.
  [[nodiscard]] std::string default_remote_name() const;

  // Each throws Error(not_found) "no task 'tran' in mlp.yaml" with the nearest name.
  [[nodiscard]] const Task& task(std::string_view name) const;
  [[nodiscard]] const DatasetEntry& dataset(std::string_view name) const;
  [[nodiscard]] const std::string& remote(std::string_view name) const;
  [[nodiscard]] const ServiceEntry& service(std::string_view name) const;
  [[nodiscard]] const SweepEntry& sweep(std::string_view name) const;

  // An Error(config) at the value of a path of keys, e.g. {"tasks", "train", "data", "0"}, or at
  // the nearest one above it: "mlp.yaml:9:12: <message>" with the source line.
  [[nodiscard]] Error error_at(std::initializer_list<std::string_view> path,
                               std::string_view message) const;
};

// Reads and checks mlp.yaml: keys, types, ranges, names that refer to each other, and the trainer's
// rules. `${...}` is checked but stands as written, except in a trainer's values, which need the
// params' defaults. Throws Error(config) with a position; Error(not_found) if there is no file.
[[nodiscard]] ProjectFile load_project_file(const fs::path& path);
[[nodiscard]] ProjectFile parse_project_file(std::string text, std::string name = "mlp.yaml");

// Where the datasets are, as the file has it: relative to the project.
[[nodiscard]] std::vector<std::string> dataset_paths(const ProjectFile& file);

// Looks up an environment variable; nullptr if it is not set. ::getenv by default.
using EnvironmentLookup = std::function<const char*(const char* name)>;
[[nodiscard]] EnvironmentLookup process_environment();

// The task with `overrides` laid over its params and every ${params.x} and ${env.X} replaced (see
// substitute.hpp); in `run` the values are quoted for the shell. Throws Error(usage) for an
// override of a param that the task does not have, Error(config) with a position for the rest.
[[nodiscard]] Task resolve_task(const ProjectFile& file, std::string_view name,
                                const OrderedMap<Scalar>& overrides = {},
                                const EnvironmentLookup& environment = process_environment());

// The JSON Schema (draft 2020-12) of mlp.yaml, from the same tables that read it.
[[nodiscard]] Json project_file_schema();

} // namespace mlp::config
