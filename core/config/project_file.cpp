// mlp.yaml from text to typed values: the tables read it, then names that refer to each other are
// checked, then each task's trainer.
#include "core/config/project_file.hpp"

#include "core/base/text.hpp"
#include "core/config/project_keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace mlp::config {

namespace {

Error with_suggestion(Error error, std::string_view name, const std::vector<std::string>& known,
                      std::string_view plural) {
  if (std::string hint = suggestion_hint(name, known, plural); !hint.empty())
    error.add_hint(std::move(hint));
  return error;
}

template <class T>
const T& find_or_throw(const OrderedMap<T>& map, std::string_view noun, std::string_view name) {
  if (const T* found = map.find(name)) return *found;
  throw with_suggestion(
      Error(ErrorKind::not_found, fmt::format("no {} '{}' in mlp.yaml", noun, printable(name))),
      name, map.names(), fmt::format("{}s", noun));
}

// A problem of the trainer's rules, at the key that it is about or the nearest above.
Error trainer_error(const Reader& reader, const YamlNode& trainer,
                    const TrainerSpecProblem& problem) {
  const YamlNode* node = &trainer;
  std::string_view key = "trainer";
  const std::vector<std::string> steps = split(problem.key, '.');
  for (const std::string& step : steps) {
    key = step;
    const YamlNode* next = nullptr;
    if (node->kind == YamlKind::sequence) // the step is a number that find_problem() has counted
      next = &node->items[std::stoul(step)];
    else
      next = node->find(step);
    if (next == nullptr) break;
    node = next;
  }
  return reader.error(node->position, fmt::format("'{}' {}", key, problem.message));
}

bool is_secret_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && !(name[0] >= '0' && name[0] <= '9') &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_';
         });
}

// Whether there is such a secret is known where the task is run.
void check_secrets(const Reader& reader, const YamlNode& node, const Task& task) {
  for (std::size_t i = 0; i < task.secrets.size(); ++i) {
    const std::string& name = task.secrets[i].name;
    const Position at = node.find("secrets")->items[i].position;
    if (!is_secret_name(name) || name.starts_with("MLP_"))
      throw reader.error(at, fmt::format("'{}' is no name for a secret", printable(name)))
          .with_hint("a secret is named, never its value; see: mlp secret ls");
    if (task.env.contains(name))
      throw reader.error(at, fmt::format("'{}' stands in 'env' too", name));
    for (std::size_t j = 0; j < i; ++j)
      if (task.secrets[j].name == name)
        throw reader.error(at, fmt::format("secret '{}' stands here twice", name));
  }
}

// The task at a node, with its own params in the reader.
Task read_task(Reader& reader, const std::string& name, const YamlNode& node,
               const OrderedMap<Scalar>& overrides) {
  Task task;
  reader.params = {};
  if (const YamlNode* params = node.find("params")) {
    Reader plain(reader.document); // references are refused in params themselves
    read_value(plain, "params", *params, Rule{}, reader.params);
  }
  for (const Named<Scalar>& override_ : overrides) {
    if (!reader.params.contains(override_.name))
      throw with_suggestion(Error(ErrorKind::usage, fmt::format("task '{}' has no param '{}'", name,
                                                                printable(override_.name))),
                            override_.name, reader.params.names(), "params");
    reader.params.set(override_.name, override_.value);
  }
  read_value(reader, name, node, Rule{}, task);
  task.params = reader.params;
  task.name = name;
  check_secrets(reader, node, task);
  if (!task.run.empty() && task.trainer)
    throw reader
        .error(node.find("trainer")->position,
               fmt::format("task '{}' has both 'run' and 'trainer'", name))
        .with_hint("give one of them");
  if (!task.trainer) return task;
  if (const auto problem = find_problem(*task.trainer))
    throw trainer_error(reader, *node.find("trainer"), *problem);
  for (const auto& [key, count] :
       {std::pair{"num_nodes", task.num_nodes}, std::pair{"procs_per_node", task.procs_per_node}})
    if (count > 1)
      throw reader
          .error(
              node.find(key)->position,
              fmt::format("the built-in trainer starts its processes itself: '{}' must be 1", key))
          .with_hint("say 'devices: all' or a number of devices under 'trainer:'");
  return task;
}

// A Dockerfile says all by itself; secrets are for files below /run/secrets.
void check_image(const ProjectFile& file) {
  if (!file.image) return;
  const ImageSpec& image = *file.image;
  const YamlNode* node = file.document->root().find("image");
  if (!image.dockerfile.empty())
    for (const YamlEntry& entry : node->entries)
      if (entry.key != "dockerfile" && entry.key != "build_args" && entry.key != "labels")
        throw file.document->error_at(
            entry.key_position,
            fmt::format("'{}' beside 'dockerfile', which says it itself", entry.key));
  for (std::size_t i = 0; i < image.secrets.size(); ++i)
    if (!is_secret_name(image.secrets[i]))
      throw file.error_at({"image", "secrets", std::to_string(i)},
                          fmt::format("'{}' is no name for a secret", printable(image.secrets[i])));
  if (!image.workdir.empty() && !image.workdir.starts_with('/'))
    throw file.error_at({"image", "workdir"}, "'workdir' must begin with '/'");
}

// A reference among the names is left for resolve_task(), which sees what it stands for.
void check_data(const ProjectFile& file, const Task& task, bool resolved) {
  for (std::size_t i = 0; i < task.data.size(); ++i) {
    const std::string& name = task.data[i];
    if (file.datasets.contains(name) || (!resolved && has_reference(name))) continue;
    throw with_suggestion(file.error_at({"tasks", task.name, "data", std::to_string(i)},
                                        fmt::format("no dataset '{}'", printable(name))),
                          name, file.datasets.names(), "datasets");
  }
}

// What a dataset's own path already says about the network.
void check_network(const ProjectFile& file, const Task& task) {
  if (!task.trainer || task.trainer->network.conv.empty()) return;
  for (const std::string& name : task.data) {
    const DatasetEntry* dataset = file.datasets.find(name);
    const std::string& chosen = task.trainer->data.dataset;
    if (dataset == nullptr || (!chosen.empty() && chosen != name)) continue;
    if (is_table_name(dataset->path))
      throw file.error_at({"tasks", task.name, "trainer", "network", "conv"},
                          fmt::format("'conv' is for images, and dataset '{}' is a table", name));
  }
}

// With only `min_replicas` given, their number is fixed (as in SkyPilot).
void fill_replica_counts(ProjectFile& file) {
  for (const std::string& name : file.services.names()) {
    ReplicaPolicy& policy = file.services.find(name)->replica_policy;
    const YamlNode* written =
        file.document->root().find("services")->find(name)->find("replica_policy");
    if (written != nullptr && written->find("max_replicas") == nullptr)
      policy.max_replicas = std::max(policy.max_replicas, policy.min_replicas);
  }
}

// Names within the file that must lead somewhere.
void check_references(const ProjectFile& file) {
  if (!is_valid_name(file.name))
    throw file.error_at({"name"}, fmt::format("'{}' is not a valid name", printable(file.name)))
        .with_hint("a name has letters, digits, '.', '_' and '-', and begins with a letter or "
                   "digit");
  if (!file.default_remote.empty() && !file.remotes.contains(file.default_remote))
    throw with_suggestion(
        file.error_at({"default_remote"},
                      fmt::format("no remote '{}'", printable(file.default_remote))),
        file.default_remote, file.remotes.names(), "remotes");
  for (const auto& [name, position, url] : file.remotes)
    if (trim(url).empty())
      throw file.error_at({"remotes", name}, fmt::format("remote '{}' has no URL", name));
  for (const auto& [name, position, dataset] : file.datasets)
    if (dataset.path.empty())
      throw file.error_at({"datasets", name, "path"}, fmt::format("'path' of '{}' is empty", name));
  for (const auto& [name, position, task] : file.tasks) {
    check_data(file, task, false);
    check_network(file, task);
  }
  for (const auto& [name, position, service] : file.services)
    if (service.replica_policy.min_replicas > service.replica_policy.max_replicas)
      throw file.error_at({"services", name, "replica_policy", "min_replicas"},
                          "'min_replicas' is more than 'max_replicas'");
}

} // namespace

void read_tasks(const Reader& outer, const YamlNode& node, const Rule& rule, ProjectFile& file) {
  Reader reader(outer.document);
  reader.references = References::checked;
  reader.environment = process_environment();
  reader.inert = outer.inert;
  for (const YamlEntry& entry : map_entries(reader, "tasks", node)) {
    reader.check_map_key(entry, rule);
    if (entry.value.kind != YamlKind::mapping) throw reader.wrong(entry.key, entry.value, "a map");
    file.tasks.append(entry.key, read_task(reader, entry.key, entry.value, {}), entry.key_position);
  }
}

EnvironmentLookup process_environment() {
  return [](const char* name) -> const char* { return std::getenv(name); };
}

ProjectFile parse_project_file(std::string text, std::string name) {
  ProjectFile file;
  file.document =
      std::make_shared<const YamlDocument>(YamlDocument::parse(std::move(text), std::move(name)));
  const YamlNode& root = file.document->root();
  if (root.kind != YamlKind::mapping)
    throw file.document
        ->error_at(root.position.line == 0 ? Position{1, 1} : root.position,
                   "this is not a map of keys and values")
        .with_hint("a project file begins with: name: NAME");
  std::vector<InertKey> inert;
  Reader reader(*file.document);
  reader.inert = &inert;
  read_value(reader, file.document->name(), root, Rule{}, file);
  for (const auto& [key, position] : inert)
    file.notes.push_back(fmt::format("{}:{}:{}: '{}' has no effect in this version",
                                     file.document->name(), position.line, position.column, key));
  fill_replica_counts(file);
  check_references(file);
  check_image(file);
  check_sweeps(file);
  return file;
}

ProjectFile load_project_file(const fs::path& path) {
  std::string name = path.filename().native();
  // Limits hold before the whole file is read.
  YamlLimits limits;
  std::error_code code;
  if (fs::is_regular_file(path, code) && fs::file_size(path, code) > limits.max_bytes && !code)
    throw Error(ErrorKind::config,
                fmt::format("'{}' is larger than {}", name, format_bytes(limits.max_bytes)));
  return parse_project_file(read_file(path, limits.max_bytes), std::move(name));
}

std::string ProjectFile::default_remote_name() const {
  if (!default_remote.empty()) return default_remote;
  if (remotes.contains("origin")) return "origin";
  return remotes.size() == 1 ? remotes.begin()->name : "";
}

const Task& ProjectFile::task(std::string_view wanted) const {
  return find_or_throw(tasks, "task", wanted);
}
const DatasetEntry& ProjectFile::dataset(std::string_view wanted) const {
  return find_or_throw(datasets, "dataset", wanted);
}
const std::string& ProjectFile::remote(std::string_view wanted) const {
  return find_or_throw(remotes, "remote", wanted);
}
const ServiceEntry& ProjectFile::service(std::string_view wanted) const {
  return find_or_throw(services, "service", wanted);
}
const SweepEntry& ProjectFile::sweep(std::string_view wanted) const {
  return find_or_throw(sweeps, "sweep", wanted);
}

Error ProjectFile::error_at(std::initializer_list<std::string_view> path,
                            std::string_view message) const {
  return document->error_at(document->nearest(path).position, message);
}

std::vector<std::string> dataset_paths(const ProjectFile& file) {
  std::vector<std::string> out;
  for (const auto& dataset : file.datasets)
    out.push_back(dataset.value.path);
  return out;
}

Task resolve_task(const ProjectFile& file, std::string_view name,
                  const OrderedMap<Scalar>& overrides, const EnvironmentLookup& environment) {
  const std::string key = file.task(name).name;
  Reader reader(*file.document);
  reader.references = References::replaced;
  reader.environment = environment;
  const YamlNode* tasks = file.document->root().find("tasks");
  Task task = read_task(reader, key, *tasks->find(key), overrides);
  check_data(file, task, true);
  return task;
}

} // namespace mlp::config
