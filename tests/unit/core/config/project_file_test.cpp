// mlp.yaml as typed values, its errors word for word, and references in tasks.
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/config/project_file.hpp"
#include "core/config/templates.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::config;

namespace {

constexpr const char* whole = R"(name: digits
remotes:
  origin: s3://team-bucket/digits
datasets:
  digits: {path: data/digits.csv}
image:
  base: docker.io/library/python:3.12-slim
  system_packages: [libgomp1]
  python_version: 3.12
  python_requirements: requirements.txt
  files: [train.py, src]
  env: {OMP_NUM_THREADS: 2}
tasks:
  train:
    data: [digits]
    params: {lr: 1e-3, epochs: 20, name: "a b", flag: true}
    resources: {accelerators: "H100:1", cpus: 4+, memory: 16+, max_duration: 2h}
    num_nodes: 1
    run: python train.py --lr ${params.lr} --name ${params.name}
    outs: [model]
    metrics: [metrics.json]
    plots: [loss.csv, {path: roc.csv, x: fpr, y: tpr}]
    matrix: {seed: [1, 2, 3], model: [big, small]}
    env: {WANDB_MODE: offline}
    job_recovery: {max_restarts_on_errors: 3}
  fit:
    data: [digits]
    params: {epochs: 7}
    trainer:
      kind: classifier
      data: {target: digit, class_weights: {a: 1, b: 2.5}, blanks: ["", "?"], header: false}
      network: {hidden: [256, 128], activation: gelu}
      epochs: ${params.epochs}
services:
  digits:
    model: digits@champion
    replica_policy: {min_replicas: 0, max_replicas: 4, target_qps_per_replica: 50}
    batching: {max_batch_size: 32, max_latency: 2ms}
)";

std::string message_of(const std::string& text) {
  try {
    static_cast<void>(parse_project_file(text));
  } catch (const Error& error) {
    std::string all = error.message();
    for (const std::string& hint : error.hints())
      all += "; " + hint;
    return all;
  }
  return "no error";
}

EnvironmentLookup with(const char* name, const char* value) {
  return [=](const char* wanted) { return std::string(wanted) == name ? value : nullptr; };
}

} // namespace

TEST_CASE("mlp.yaml: every part of the whole file is read") {
  const ProjectFile file = parse_project_file(whole);
  CHECK(file.name == "digits");
  CHECK(file.default_remote_name() == "origin");
  CHECK(file.dataset("digits").path == "data/digits.csv");
  CHECK(file.image->python_version == "3.12");
  CHECK(*file.image->env.find("OMP_NUM_THREADS") == "2");
  const Task& train = file.task("train");
  CHECK(train.name == "train");
  CHECK(train.params.names() == std::vector<std::string>{"lr", "epochs", "name", "flag"});
  CHECK(train.params.find("lr")->text == "1e-3");
  CHECK(train.params.find("lr")->to_json() == Json(1e-3));
  CHECK(train.params.find("epochs")->type == ScalarType::integer);
  CHECK(train.params.find("flag")->to_json() == Json(true));
  CHECK(train.resources.accelerators == Accelerators{"H100", 1});
  CHECK(train.resources.cpus == Amount{4, true});
  CHECK(train.resources.max_duration == std::chrono::hours(2));
  CHECK(train.plots[1].x == "fpr");
  CHECK(train.matrix.find("seed")->size() == 3);
  CHECK(train.job_recovery.max_restarts_on_errors == 3);
  const TrainerSpec& fit = *file.task("fit").trainer;
  CHECK(fit.kind == TrainerKind::classifier);
  CHECK(fit.epochs == 7);
  CHECK(fit.network.hidden == std::vector<std::int64_t>{256, 128});
  CHECK(fit.data.class_weights.at("b") == 2.5);
  CHECK(fit.data.header == false);
  CHECK(fit.batch_size == TrainerSpec{}.batch_size);
  const ServiceEntry& service = file.service("digits");
  CHECK(service.replica_policy.max_replicas == 4);
  CHECK(service.batching.max_latency == std::chrono::milliseconds(2));
}

TEST_CASE("mlp.yaml: convolutions take one number or two for each extent") {
  const ProjectFile file = parse_project_file(
      "name: a\ntasks:\n  t:\n    params: {width: 5}\n    trainer:\n      kind: classifier\n"
      "      precision: bf16\n      network:\n        conv:\n"
      "          - {filters: 8, kernel_size: [3, 5], pool: max, batch_norm: true}\n"
      "          - {filters: 16, kernel_size: \"${params.width}\", stride: 2, padding: valid,\n"
      "             activation: gelu, dropout: 0}\n");
  const TrainerSpec spec = *resolve_task(file, "t").trainer;
  CHECK(spec.precision == "bf16");
  REQUIRE(spec.network.conv.size() == 2);
  const TrainerConv& first = spec.network.conv[0];
  CHECK(first.kernel_size == TrainerExtent{3, 5});
  CHECK(first.stride == TrainerExtent{1, 1});
  CHECK(first.padding == "same");
  CHECK(first.pool == "max");
  CHECK(first.pool_size == TrainerExtent{2, 2});
  CHECK(first.batch_norm == true);
  CHECK_FALSE(first.activation);
  CHECK_FALSE(first.dropout);
  const TrainerConv& second = spec.network.conv[1];
  CHECK(second.kernel_size == TrainerExtent{5, 5});
  CHECK(second.stride == TrainerExtent{2, 2});
  CHECK(second.padding == "valid");
  CHECK(second.pool == "none");
  CHECK(second.activation == "gelu");
  CHECK(second.dropout == 0.0);
}

TEST_CASE("mlp.yaml: a task is resolved with its params, the environment and overrides") {
  const ProjectFile file = parse_project_file(whole);
  CHECK(file.task("train").run == "python train.py --lr ${params.lr} --name ${params.name}");
  CHECK(resolve_task(file, "train").run == "python train.py --lr 1e-3 --name 'a b'");
  OrderedMap<Scalar> overrides;
  overrides.set("epochs", parse_scalar("3"));
  const Task fit = resolve_task(file, "fit", overrides);
  CHECK(fit.trainer->epochs == 3);
  CHECK(fit.params.find("epochs")->text == "3");
  overrides.set("epoch", parse_scalar("3"));
  try {
    static_cast<void>(resolve_task(file, "fit", overrides));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::usage);
    CHECK(error.message() == "task 'fit' has no param 'epoch'");
    CHECK(error.hints().front() == "did you mean 'epochs'?");
  }
  overrides = {};
  overrides.set("epochs", parse_scalar("many"));
  CHECK_THROWS_WITH(
      resolve_task(file, "fit", overrides),
      "mlp.yaml:33:15: 'epochs' must be a whole number from 1 to 1000000, not 'many'");
  CHECK_THROWS_WITH(resolve_task(file, "fti"), "no task 'fti' in mlp.yaml");
}

TEST_CASE("mlp.yaml: an environment variable is needed when a task runs, not before") {
  const std::string text = "name: a\ntasks:\n  t:\n    env: {KEY: \"${env.MLP_TEST_KEY}\"}\n"
                           "    num_nodes: ${env.MLP_TEST_NODES}\n    run: echo $KEY\n";
  const ProjectFile file = parse_project_file(text);
  CHECK(file.task("t").num_nodes == 1);
  CHECK_THROWS_WITH(resolve_task(file, "t", {}, with("X", "")),
                    "mlp.yaml:4:17: environment variable 'MLP_TEST_KEY' is not set");
  const auto both = [](const char* name) -> const char* {
    return std::string(name) == "MLP_TEST_KEY" ? "k1" : "3";
  };
  const Task task = resolve_task(file, "t", {}, both);
  CHECK(*task.env.find("KEY") == "k1");
  CHECK(task.num_nodes == 3);
  CHECK(task.run == "echo $KEY");
}

TEST_CASE("mlp.yaml: each mistake is told with its place, what is wrong and what to do") {
  const std::string n = "name: a\n";
  const std::pair<std::string, std::string> cases[] = {
      {"", "mlp.yaml:1:1: this is not a map of keys and values; a project file begins with: name: "
           "NAME"},
      {"- a\n", "mlp.yaml:1:1: this is not a map of keys and values; a project file begins with: "
                "name: NAME"},
      {"remotes: {}\n", "mlp.yaml:1:1: key 'name' is missing here"},
      {"name: a\nnmae: b\n", "mlp.yaml:2:1: unknown key 'nmae'; did you mean 'name'?"},
      {"name: [a]\n", "mlp.yaml:1:7: 'name' must be text, not a list"},
      {"name:\n", "mlp.yaml:1:1: 'name' must be text, not nothing"},
      {"name: a b\n", "mlp.yaml:1:7: 'a b' is not a valid name; a name has letters, digits, '.', "
                      "'_' and '-', and begins with a letter or digit"},
      {n + "foo: b\n", "mlp.yaml:2:1: unknown key 'foo'; known keys: name, remotes, "
                       "default_remote, datasets, image, tasks, services, sweeps"},
      {n + "tasks:\n  train:\n    datset: [a]\n",
       "mlp.yaml:4:5: unknown key 'datset'; did you mean 'data'?"},
      {n + "tasks:\n  t:\n   - a\n", "mlp.yaml:4:4: 't' must be a map, not a list"},
      {n + "tasks: {t: }\n", "mlp.yaml:2:12: 't' must be a map, not nothing"},
      {n + "tasks: {t: {num_nodes: many}}\n",
       "mlp.yaml:2:24: 'num_nodes' must be a whole number from 1 to 100000, not 'many'"},
      {n + "tasks: {t: {num_nodes: 0}}\n",
       "mlp.yaml:2:24: 'num_nodes' must be a whole number from 1 to 100000, not '0'"},
      {n + "tasks: {t: {num_nodes: \"2\"}}\n",
       "mlp.yaml:2:24: 'num_nodes' must be a whole number from 1 to 100000, not '2'; leave the "
       "quotes out"},
      {n + "datasets: {d: {path: x}}\ntasks:\n  t:\n    data: [d, e]\n",
       "mlp.yaml:5:15: no dataset 'e'; known datasets: d"},
      {n + "tasks: {t: {data: a}}\n", "mlp.yaml:2:19: 'data' must be a list, not 'a'"},
      {n + "datasets: {d: {}}\n", "mlp.yaml:2:15: key 'path' is missing here"},
      {n + "datasets: {d: x}\n", "mlp.yaml:2:15: 'd' must be a map, not 'x'"},
      {n + "datasets: {d: {path: ''}}\n", "mlp.yaml:2:22: 'path' of 'd' is empty"},
      {n + "datasets: {'../d': {path: x}}\n",
       "mlp.yaml:2:12: '../d' is not a valid name; a name has letters, digits, '.', '_' and '-', "
       "and begins with a letter or digit"},
      {n + "tasks:\n  t:\n    params: {lr: 0.1}\n    run: go ${params.lrr}\n",
       "mlp.yaml:5:13: no param 'lrr'; did you mean 'lr'?"},
      {n + "tasks:\n  t:\n    params: {lr: 1}\n    run: |\n      go\n      ${params.lr} "
           "${params.x\n",
       "mlp.yaml:7:20: a '}' is missing after this '${'"},
      {n + "tasks:\n  t:\n    params: {a: 1, b: \"${params.a}\"}\n",
       "mlp.yaml:4:23: 'b' cannot hold ${...}; ${params.NAME} and ${env.NAME} are replaced within "
       "tasks only"},
      {n + "remotes: {origin: '${env.X}'}\n",
       "mlp.yaml:2:19: 'origin' cannot hold ${...}; ${params.NAME} and ${env.NAME} are replaced "
       "within tasks only"},
      {n + "tasks: {t: {run: a, trainer: {kind: classifier}}}\n",
       "mlp.yaml:2:30: task 't' has both 'run' and 'trainer'; give one of them"},
      {n + "tasks: {t: {trainer: {kind: clasifier}}}\n",
       "mlp.yaml:2:29: 'kind' must be one of classifier, regressor, not 'clasifier'; did you mean "
       "'classifier'?"},
      {n + "tasks: {t: {trainer: {epochs: 3}}}\n", "mlp.yaml:2:22: key 'kind' is missing here"},
      {n + "tasks: {t: {trainer: {kind: classifier, network: {dropout: 1}}}}\n",
       "mlp.yaml:2:60: 'dropout' must be in [0, 1), not 1"},
      {n + "tasks: {t: {trainer: {kind: classifier, network: {conv: [{kernel_size: 3}]}}}}\n",
       "mlp.yaml:2:58: key 'filters' is missing here"},
      {n + "tasks: {t: {trainer: {kind: classifier, network: {conv: [{filters: 8}, {filters: 8, "
           "kernel_size: [3, 3, 3]}]}}}}\n",
       "mlp.yaml:2:98: 'kernel_size' must be a number, or a height and a width, not a list"},
      {n + "tasks: {t: {trainer: {kind: classifier, network: {conv: [{filters: 8, stride: "
           "0}]}}}}\n",
       "mlp.yaml:2:79: 'stride' must be a whole number from 1 to 31, not '0'"},
      {n + "tasks: {t: {trainer: {kind: classifier, network: {conv: [{filters: 8}, {filters: 8, "
           "dropout: 1}]}}}}\n",
       "mlp.yaml:2:94: 'dropout' must be in [0, 1), not 1"},
      {n + "tasks: {t: {trainer: {kind: regressor, network: {conv: [{filters: 8}]}}}}\n",
       "mlp.yaml:2:56: 'conv' is for classifiers of images"},
      {n + "datasets: {d: {path: a.csv}}\n"
           "tasks: {t: {data: [d], trainer: {kind: classifier, network: {conv: [{filters: "
           "8}]}}}}\n",
       "mlp.yaml:3:68: 'conv' is for images, and dataset 'd' is a table"},
      {n + "tasks: {t: {params: {e: many}, trainer: {kind: classifier, epochs: '${params.e}'}}}\n",
       "mlp.yaml:2:68: 'epochs' must be a whole number from 1 to 1000000, not 'many'"},
      {n + "tasks: {t: {trainer: {kind: regressor, data: {class_weights: heavy}}}}\n",
       "mlp.yaml:2:62: 'class_weights' must be balanced, or a map of labels and weights, not "
       "'heavy'"},
      {n + "tasks: {t: {resources: {accelerators: 'H100:x'}}}\n",
       "mlp.yaml:2:39: 'accelerators' must be NAME, NAME:COUNT or a count, such as H100:8, not "
       "'H100:x'"},
      {n + "tasks: {t: {resources: {cpus: -1}}}\n",
       "mlp.yaml:2:31: 'cpus' must be a number above 0, or such as 4+ for at least 4, not '-1'"},
      {n + "tasks: {t: {resources: {max_duration: 2 weeks}}}\n",
       "mlp.yaml:2:39: 'max_duration' must be a duration such as 2ms, 30s, 5m or 2h, not '2 "
       "weeks'"},
      {n + "tasks: {t: {params: {a: [1]}}}\n",
       "mlp.yaml:2:25: 'a' must be a number, text, true or false, not a list"},
      {n + "tasks: {t: {matrix: {a: 3}}}\n", "mlp.yaml:2:25: 'a' must be a list, not '3'"},
      {n + "tasks: {t: {env: {1A: x}}}\n",
       "mlp.yaml:2:19: '1A' is not a name of an environment variable"},
      {n + "services: {s: {modle: m}}\n",
       "mlp.yaml:2:16: unknown key 'modle'; did you mean 'model'?"},
      {n + "services: {s: {model: m, replica_policy: {min_replicas: 3, max_replicas: 2}}}\n",
       "mlp.yaml:2:57: 'min_replicas' is more than 'max_replicas'"},
      {n + "default_remote: orign\nremotes: {origin: 'file:x'}\n",
       "mlp.yaml:2:17: no remote 'orign'; did you mean 'origin'?"},
      {n + "remotes: {origin: ''}\n", "mlp.yaml:2:19: remote 'origin' has no URL"},
  };
  for (const auto& [text, message] : cases) {
    INFO(text);
    CHECK(message_of(text) == message);
  }
}

TEST_CASE("mlp.yaml: only min_replicas given means that many, always") {
  const ProjectFile file =
      parse_project_file("name: a\nservices: {s: {model: m, replica_policy: {min_replicas: 3}}}\n");
  CHECK(file.service("s").replica_policy.max_replicas == 3);
}

TEST_CASE("mlp.yaml: later stages report at the value they are about") {
  const ProjectFile file = parse_project_file(whole);
  CHECK(file.error_at({"tasks", "train", "data", "0"}, "gone").message() == "mlp.yaml:15:12: gone");
  CHECK(file.error_at({"tasks", "train", "nothing"}, "gone").message() == "mlp.yaml:15:5: gone");
}

TEST_CASE("mlp.yaml: every template is a valid project") {
  REQUIRE(project_templates().size() >= 4);
  for (const ProjectTemplate& one : project_templates()) {
    INFO(one.name);
    CHECK_FALSE(one.summary.empty());
    bool found = false;
    for (const TemplateFile& file : one.files) {
      if (file.path != "mlp.yaml") continue;
      found = true;
      const ProjectFile project = parse_project_file(std::string(file.content));
      CHECK(project.name == one.name);
      for (const Named<Task>& task : project.tasks)
        CHECK_NOTHROW(resolve_task(project, task.name));
    }
    CHECK(found);
  }
}

TEST_CASE("mlp.yaml: the schema knows every key, its default and what is required") {
  const Json schema = project_file_schema();
  CHECK(schema["required"] == Json::array({"name"}));
  CHECK(schema["additionalProperties"] == false);
  const Json& task = schema["properties"]["tasks"]["additionalProperties"];
  CHECK(task["properties"]["num_nodes"]["default"] == 1);
  const Json& trainer = task["properties"]["trainer"];
  CHECK(trainer["required"] == Json::array({"kind"}));
  CHECK(trainer["properties"]["network"]["properties"]["activation"]["anyOf"][0]["enum"] ==
        Json::array({"relu", "gelu", "tanh"}));
}

TEST_CASE("keys without effect are noted, with their place") {
  const ProjectFile file = parse_project_file("name: t\n"
                                              "image: {base: scratch}\n"
                                              "tasks:\n"
                                              "  fit:\n"
                                              "    run: make\n"
                                              "    matrix: {seed: [1, 2]}\n");
  CHECK(file.notes ==
        std::vector<std::string>{"mlp.yaml:6:5: 'matrix' has no effect in this version"});
  CHECK(parse_project_file("name: t\n").notes.empty());
}

TEST_CASE("a task names its secrets, as variables or files", "[config]") {
  const auto task = [](const std::string& secrets) {
    return "name: p\ntasks:\n  t:\n    run: x\n    env: {PLAIN: 1}\n    secrets: " + secrets + "\n";
  };
  const ProjectFile file =
      parse_project_file(task("[HF_TOKEN, {name: DB, file: true}, {name: C}]"));
  CHECK(resolve_task(file, "t").secrets ==
        std::vector<SecretUse>{{"HF_TOKEN", false}, {"DB", true}, {"C", false}});
  CHECK(message_of(task("[a-b]")).find("mlp.yaml:6:15: 'a-b' is no name for a secret") == 0);
  CHECK(message_of(task("[MLP_RUN_ID]")).find("no name for a secret") != std::string::npos);
  CHECK(message_of(task("['${params.x}']")).find("no name for a secret") != std::string::npos);
  CHECK(message_of(task("[A, {name: A, file: true}]")).find("stands here twice") !=
        std::string::npos);
  CHECK(message_of(task("[PLAIN]")).find("stands in 'env' too") != std::string::npos);
  CHECK(message_of(task("[{file: true}]")).find("key 'name' is missing here") != std::string::npos);
  CHECK(message_of(task("[{name: A, value: x}]")).find("unknown key 'value'") != std::string::npos);
}

TEST_CASE("an image says all itself, or a Dockerfile does", "[config]") {
  const auto problem = [](const std::string& image) -> std::string {
    try {
      static_cast<void>(parse_project_file("name: t\nimage: " + image + "\n"));
    } catch (const Error& error) {
      return error.message();
    }
    return {};
  };
  CHECK(problem("{dockerfile: Dockerfile, build_args: {A: b}, labels: {x: y}}").empty());
  CHECK_THAT(problem("{dockerfile: Dockerfile, base: debian}"), Catch::Contains("'base' beside"));
  CHECK_THAT(problem("{secrets: [../x]}"), Catch::Contains("no name for a secret"));
  CHECK_THAT(problem("{workdir: app}"), Catch::Contains("begin with '/'"));
}
