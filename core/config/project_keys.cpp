// Every key of mlp.yaml but the trainer's: name, member, description, limits. To add a key, add the
// member to its struct in project_file.hpp and a line here; reading, errors and the JSON Schema
// follow.
#include "core/config/project_keys.hpp"

namespace mlp::config {

namespace {

// The trainer's values depend on each other, so they are always replaced and checked together.
void read_trainer(const Reader& reader, const YamlNode& node, const Rule& rule, Task& task) {
  Reader inner = reader;
  if (inner.references == References::checked) inner.references = References::lenient;
  read_value(inner, "trainer", node, rule, task.trainer);
}

} // namespace

const Fields<DatasetEntry>& fields_of(const DatasetEntry*) {
  using T = DatasetEntry;
  static const Fields<T> fields{
      field("path", &T::path, "file or folder with the data, relative to the project").required(),
  };
  return fields;
}

const Fields<ImageSpec>& fields_of(const ImageSpec*) {
  using T = ImageSpec;
  static const Fields<T> fields{
      field("base", &T::base,
            "image to start from: a registry reference, oci:DIR, oci-archive:FILE, or scratch"),
      field("system_packages", &T::system_packages, "packages of the base's distribution"),
      field("python_version", &T::python_version, "version of Python, such as 3.12"),
      field("python_requirements", &T::python_requirements, "a requirements.txt"),
      field("python_packages", &T::python_packages, "packages as pip takes them"),
      field("run", &T::run, "shell commands to run while the image is built").raw(),
      field("secrets", &T::secrets, "secrets that the steps find as files in /run/secrets"),
      field("files", &T::files, "files and folders of the project to put into the image"),
      field("env", &T::env, "environment variables in the image").keys(MapKeys::environment_names),
      field("workdir", &T::workdir, "folder that programs start in"),
      field("user", &T::user, "user that programs run as"),
      field("entrypoint", &T::entrypoint, "program and first arguments").raw(),
      field("cmd", &T::cmd, "default arguments").raw(),
      field("labels", &T::labels, "labels of the image").keys(MapKeys::any),
      field("dockerfile", &T::dockerfile, "build from this Dockerfile instead"),
      field("build_args", &T::build_args, "values of the Dockerfile's ARGs")
          .keys(MapKeys::environment_names),
  };
  return fields;
}

const Fields<Resources>& fields_of(const Resources*) {
  using T = Resources;
  static const Fields<T> fields{
      field("accelerators", &T::accelerators, "GPUs a node: NAME, NAME:COUNT or a count"),
      field("cpus", &T::cpus, "CPUs a node; 4+ means at least 4"),
      field("memory", &T::memory, "memory a node in GiB; 16+ means at least 16"),
      field("disk_size", &T::disk_size, "disk that must be free for a node, in GiB"),
      field("max_duration", &T::max_duration, "longest time a run may take, such as 2h"),
  };
  return fields;
}

const Fields<JobRecovery>& fields_of(const JobRecovery*) {
  using T = JobRecovery;
  static const Fields<T> fields{
      field("max_restarts_on_errors", &T::max_restarts_on_errors,
            "how often a run that failed is started again")
          .range(0, 1000),
      field("recover_on_exit_codes", &T::recover_on_exit_codes,
            "exit codes of the program after which it is always started again")
          .range(1, 255),
  };
  return fields;
}

const Fields<PlotEntry>& fields_of(const PlotEntry*) {
  using T = PlotEntry;
  static const Fields<T> fields{
      field("path", &T::path, "file of points").required(),
      field("x", &T::x, "field for the x axis"),
      field("y", &T::y, "field for the y axis"),
      field("title", &T::title, "title of the plot"),
  };
  return fields;
}

const Fields<SecretUse>& fields_of(const SecretUse*) {
  using T = SecretUse;
  static const Fields<T> fields{
      field("name", &T::name, "name of the secret, and of the variable").required().raw(),
      field("file", &T::file, "the variable holds the path of a file with the value").raw(),
  };
  return fields;
}

std::optional<RunPer> parse_run_per(std::string_view word) noexcept {
  if (word == "process") return RunPer::process;
  if (word == "node") return RunPer::node;
  if (word == "job") return RunPer::job;
  return std::nullopt;
}

const Fields<Task>& fields_of(const Task*) {
  using T = Task;
  static const Fields<T> fields{
      field("description", &T::description, "what the task is for").raw(),
      field("data", &T::data, "names of the datasets that it reads"),
      field("params", &T::params, "parameters, for ${params.NAME} and $MLP_PARAMS"),
      field("resources", &T::resources, "what a node of the task needs"),
      field("num_nodes", &T::num_nodes, "nodes that the task runs on").range(1, 100'000),
      field("procs_per_node", &T::procs_per_node, "processes on each node").range(1, 1'000),
      word("run_per", &T::run_per, {"process", "node", "job"}, parse_run_per, "process",
           "whether 'run' is started for each process, for each node (torchrun) or once for the "
           "job (mpirun)"),
      field("workdir", &T::workdir, "folder that the program starts in, relative to the project"),
      field("run", &T::run, "the program, for /bin/sh").shell(),
      {"trainer", "the built-in trainer, instead of a program", read_trainer,
       [](const Rule& rule) { return shape_of(TrainerSpec{}, rule); }},
      field("deps", &T::deps, "files that it reads, or tasks that come first").inert(),
      field("outs", &T::outs, "files and folders that it makes in $MLP_OUT_DIR"),
      field("metrics", &T::metrics, "files of metrics that it makes"),
      field("plots", &T::plots, "files of points that it makes").inert(),
      field("matrix", &T::matrix, "parameters with lists of values: a run for each combination")
          .inert(),
      field("env", &T::env, "environment variables").keys(MapKeys::environment_names),
      field("secrets", &T::secrets, "secrets that it gets as environment variables or as files")
          .raw(),
      field("job_recovery", &T::job_recovery, "what to do when a run fails"),
      field("model", &T::model, "name to register the model under; default: the project's"),
  };
  return fields;
}

const Fields<ReplicaPolicy>& fields_of(const ReplicaPolicy*) {
  using T = ReplicaPolicy;
  static const Fields<T> fields{
      field("min_replicas", &T::min_replicas, "fewest replicas").range(0, 10'000),
      field("max_replicas", &T::max_replicas, "most replicas").range(1, 10'000),
      field("target_qps_per_replica", &T::target_qps_per_replica,
            "requests a second that one replica should take")
          .range(0),
  };
  return fields;
}

const Fields<Batching>& fields_of(const Batching*) {
  using T = Batching;
  static const Fields<T> fields{
      field("max_batch_size", &T::max_batch_size, "most rows put together").range(1, 65'536),
      field("max_latency", &T::max_latency, "longest wait for other requests, such as 2ms"),
  };
  return fields;
}

const Fields<ServiceEntry>& fields_of(const ServiceEntry*) {
  using T = ServiceEntry;
  static const Fields<T> fields{
      field("model", &T::model, "model to serve: NAME, NAME@ALIAS or NAME@VERSION").required(),
      field("host", &T::host, "address to listen on; default: the setting serve.host"),
      field("port", &T::port, "port to listen on; default: the setting serve.port")
          .range(0, 65'535),
      field("replica_policy", &T::replica_policy, "how many replicas to run").inert(),
      field("batching", &T::batching, "how requests are put together").inert(),
  };
  return fields;
}

const Fields<ProjectFile>& fields_of(const ProjectFile*) {
  using T = ProjectFile;
  static const Fields<T> fields{
      field("name", &T::name, "name of the project").required(),
      field("remotes", &T::remotes, "where data and models are shared: name and URL"),
      field("default_remote", &T::default_remote, "remote to use where none is named"),
      field("datasets", &T::datasets, "data that is versioned, by name"),
      field("image", &T::image, "container image that tasks run in"),
      {"tasks", "units of work, by name", read_tasks,
       [](const Rule& rule) { return shape_of(OrderedMap<Task>{}, rule); }},
      field("services", &T::services, "models to serve, by name"),
      field("sweeps", &T::sweeps, "searches for the best params of a task, by name"),
  };
  return fields;
}

} // namespace mlp::config
