// MLflow's tracking API over a run, without a connection: what clients send and what they may not.
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/serve/mlflow_artifacts.hpp"
#include "core/serve/mlflow_request.hpp"
#include "core/serve/mlflow_service.hpp"
#include "core/track/run_record.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <limits>

using namespace mlp;
using namespace mlp::serve;

namespace {

constexpr const char* token = "token-of-the-test";

struct Fixture {
  TemporaryDirectory folder;
  track::RunSpec spec = make_spec();
  track::RunFolder run = track::create_run(folder.path() / "runs", spec, "", "test");
  std::array<std::string, 1> secret_texts = {"hunter22"};
  secret::MaskedValues secrets{secret_texts};
  MlflowRun tracked{run, spec, &secrets};
  MlflowService service{tracked, token};

  static track::RunSpec make_spec() {
    track::RunSpec spec;
    spec.created = wall_now();
    spec.id = new_run_id(spec.created);
    spec.task = "train";
    spec.project = "digits";
    spec.params = {{"lr", "0.1"}};
    return spec;
  }
  HttpRequest request(const std::string& method, const std::string& target,
                      const std::string& body = {}) const {
    HttpRequest out;
    out.method = method;
    out.target = target;
    out.body = body;
    out.headers = {{"Host", "127.0.0.1:4000"}, {"Authorization", std::string("Bearer ") + token}};
    return out;
  }
  HttpResponse post(const std::string& path, Json body) {
    if (!body.contains("run_id")) body["run_id"] = spec.id;
    return post_text(path, dump_json(body));
  }
  HttpResponse post_text(const std::string& path, const std::string& body) {
    return service.answer(request("POST", "/api/2.0/mlflow/" + path, body));
  }
  HttpResponse get(const std::string& path) {
    return service.answer(request("GET", "/api/2.0/mlflow/" + path));
  }
  [[nodiscard]] track::RunRecord record() const { return track::read_journals(run); }
};

Json parsed(const HttpResponse& response) {
  return parse_json(response.body, "answer");
}
std::string code_of(const HttpResponse& response) {
  return parsed(response).at("error_code").get<std::string>();
}
Json entry(const char* key, const Json& value) {
  return json_object({{"key", key}, {"value", value}});
}

} // namespace

TEST_CASE("metrics of an MLflow client are metrics of the run", "[serve][mlflow]") {
  Fixture f;
  Json metric = entry("val/loss", 0.25);
  metric["timestamp"] = "1700000000123"; // protobuf writes 64-bit integers as text
  metric["step"] = 7;
  CHECK(f.post("runs/log-metric", metric).status == 200);
  CHECK(f.record().metrics == std::map<std::string, double>{{"val/loss", 0.25}});
  CHECK(read_file(f.run.metrics()) ==
        "{\"time\":\"2023-11-14T22:13:20.123Z\",\"step\":7,\"val/loss\":0.25}\n");
  const Json history =
      parsed(f.get("metrics/get-history?metric_key=val%2Floss&run_id=" + f.spec.id));
  CHECK(dump_json(history) ==
        R"({"metrics":[{"key":"val/loss","step":7,"timestamp":1700000000123,"value":0.25}]})");
}

TEST_CASE("a batch is lines of one moment each, and numbers that JSON lacks are null",
          "[serve][mlflow]") {
  Fixture f;
  CHECK(f.post_text("runs/log-batch",
                    R"({"run_id":")" + f.spec.id +
                        R"(","metrics":[{"key":"a","value":1,"timestamp":1000,"step":"1"},
      {"key":"b","value":"NaN","timestamp":1000,"step":1},
      {"key":"c","value":-Infinity,"timestamp":1000,"step":1},
      {"key":"a","value":"2.5","timestamp":1000,"step":1},
      {"key":"step","value":3,"timestamp":2000,"step":2}],
      "params":[{"key":"opt","value":"adam"},{"key":"lr","value":"0.5"}],
      "tags":[{"key":"stage","value":"dev"},{"key":"mlflow.user","value":"me"}]})")
            .status == 200);
  const std::string journal = read_file(f.run.metrics());
  CHECK(
      journal.starts_with("{\"time\":\"1970-01-01T00:00:01.000Z\",\"step\":1,\"a\":1,\"b\":null,"
                          "\"c\":null}\n"
                          "{\"time\":\"1970-01-01T00:00:01.000Z\",\"step\":1,\"a\":2.5}\n"
                          "{\"time\":\"1970-01-01T00:00:02.000Z\",\"step\":2,\"step_value\":3}\n"));
  const track::RunRecord record = f.record();
  CHECK(record.damaged == 0);
  CHECK(record.params() == std::map<std::string, std::string>{{"lr", "0.5"}, {"opt", "\"adam\""}});
  CHECK(record.tags == std::vector<std::string>{"stage=dev"});
  const Json data = parsed(f.get("runs/get?run_id=" + f.spec.id)).at("run").at("data");
  CHECK(dump_json(data.at("params")) ==
        R"([{"key":"lr","value":"0.5"},{"key":"opt","value":"adam"}])");
  CHECK(data.at("metrics").size() == 4);
  CHECK(data.at("metrics").at(1).at("value") == "NaN");
}

TEST_CASE("a batch with a mistake leaves nothing behind", "[serve][mlflow]") {
  Fixture f;
  const std::string large(300, 'k');
  for (const std::string& metrics :
       {std::string(R"([{"key":"a","value":1},{"key":"b"}])"),
        std::string(R"([{"key":"a","value":1},{"key":"","value":1}])"),
        std::string(R"([{"key":"a","value":1},{"key":"b","value":[]}])"),
        std::string(R"([{"key":"a","value":1},{"key":"b","value":1,"step":"1.5"}])"),
        std::string(R"([{"key":"a","value":1},{"key":"b","value":1,"timestamp":1e300}])"),
        std::string(R"([{"key":"a","value":1},{"key":"b\u0007","value":1}])"),
        std::string(R"([{"key":"a","value":1},3])"), std::string(R"({"key":"a"})"),
        fmt::format(R"([{{"key":"a","value":1}},{{"key":"{}","value":1}}])", large)}) {
    INFO(metrics);
    const HttpResponse response = f.post_text(
        "runs/log-batch", R"({"run_id":")" + f.spec.id + R"(","metrics":)" + metrics + "}");
    CHECK(response.status == 400);
    CHECK(code_of(response) == "INVALID_PARAMETER_VALUE");
  }
  for (const char* body : {"[]", "{", "3", "{\"run_id\":"}) {
    INFO(body);
    CHECK(f.post_text("runs/log-batch", body).status == 400);
  }
  CHECK(f.post_text("runs/log-batch", std::string(max_mlflow_body + 1, ' ')).status == 400);
  CHECK(f.post_text("runs/log-batch", std::string(100'000, '[')).status == 400);
  CHECK(fs::file_size(f.run.metrics()) == 0);
}

TEST_CASE("only who holds the token on this machine is answered", "[serve][mlflow]") {
  Fixture f;
  const std::string target = "/api/2.0/mlflow/runs/get?run_id=" + f.spec.id;
  const auto status = [&](const std::string& host, const std::string& authorization) {
    HttpRequest request = f.request("GET", target);
    request.headers = {{"Host", host}, {"Authorization", authorization}};
    return f.service.answer(request).status;
  };
  const std::string good = std::string("Bearer ") + token;
  for (const char* host : {"127.0.0.1", "127.0.0.1:80", "localhost:5000", "LOCALHOST", "[::1]:9"})
    CHECK(status(host, good) == 200);
  for (const char* host : {"", "evil.example", "127.0.0.1.evil.example", "localhost:80@evil",
                           "127.0.0.1:", "localhost.", "10.0.0.1"})
    CHECK(status(host, good) == 403);
  CHECK(status("localhost", "Basic bWxwOnRva2VuLW9mLXRoZS10ZXN0") == 200); // mlp:token-of-the-test
  for (const char* authorization :
       {"", "Bearer", "Bearer ", "Bearer token-of-the-tesT", "Bearer token-of-the-test1",
        "Basic bWxwOnRva2Vu", "Basic !!!", "Basic ", "token-of-the-test"})
    CHECK(status("localhost", authorization) == 401);
  HttpRequest health = f.request("GET", "/health");
  health.headers = {{"Host", "localhost"}};
  CHECK(f.service.answer(health).body == "OK");
  health.target = "/version";
  CHECK(f.service.answer(health).status == 200);
}

TEST_CASE("there is one run, whichever a client creates, and one experiment of every name",
          "[serve][mlflow]") {
  Fixture f;
  const Json made =
      parsed(f.post_text("runs/create", R"({"experiment_id":"0","run_name":"child","start_time":1,
      "tags":[{"key":"mlflow.parentRunId","value":"x"},{"key":"a","value":"b"}]})"));
  CHECK(made.at("run").at("info").at("run_id") == f.spec.id);
  CHECK(made.at("run").at("info").at("run_name") == "child");
  CHECK(dump_json(made.at("run").at("data").at("tags")) ==
        R"([{"key":"a","value":"b"},{"key":"mlflow.runName","value":"child"}])");
  CHECK(f.post("runs/update", json_object({{"status", "FINISHED"}, {"end_time", 5}})).status ==
        200);
  const Json info = parsed(f.get("runs/get?run_uuid=" + f.spec.id)).at("run").at("info");
  CHECK(info.at("status") == "FINISHED");
  CHECK(info.at("end_time") == 5);
  CHECK(f.record().state == track::RunState::pending); // the supervisor has the last word
  CHECK(f.post("runs/update", json_object({{"status", "DONE"}})).status == 400);
  const HttpResponse other = f.get("runs/get?run_id=other");
  CHECK(other.status == 404);
  CHECK(code_of(other) == "RESOURCE_DOES_NOT_EXIST");
  CHECK(f.get("runs/get").status == 400);
  const Json named = parsed(f.get("experiments/get-by-name?experiment_name=a+b%C3%A4"));
  CHECK(named.at("experiment").at("name") == "a b\xc3\xa4");
  CHECK(named.at("experiment").at("experiment_id") == "0");
  CHECK(f.get("experiments/get-by-name?experiment_name=%ff").status == 400);
  CHECK(f.get("experiments/get?experiment_id=1").status == 404);
  CHECK(parsed(f.post_text("experiments/create", R"({"name":"x"})")).at("experiment_id") == "0");
  CHECK(parsed(f.post_text("experiments/search", "{}")).at("experiments").size() == 1);
  CHECK(parsed(f.post_text("runs/search", "{}")).at("runs").size() == 1);
  CHECK(code_of(f.get("runs/log-metric")) == "BAD_REQUEST");
  CHECK(code_of(f.get("registered-models/search")) == "ENDPOINT_NOT_FOUND");
}

TEST_CASE("params change and tags go without an error that ends a program", "[serve][mlflow]") {
  Fixture f;
  CHECK(f.post("runs/log-parameter", entry("opt", "sgd")).status == 200);
  CHECK(f.post("runs/log-parameter", entry("opt", "adam")).status == 200);
  CHECK(f.post("runs/log-parameter", entry("long", std::string(20'000, 'x'))).status == 200);
  CHECK(f.record().params().at("opt") == "\"adam\"");
  CHECK(f.record().params().at("long").size() <= track::max_logged_value);
  CHECK(f.post("runs/set-tag", entry("t", "1")).status == 200);
  CHECK(f.post("runs/delete-tag", json_object({{"key", "t"}})).status == 200);
  CHECK(f.record().tags.empty());
  CHECK(code_of(f.post("runs/delete-tag", json_object({{"key", "t"}}))) ==
        "RESOURCE_DOES_NOT_EXIST");
  CHECK(f.post("runs/log-inputs", json_object()).status == 200);
}

TEST_CASE("secrets are masked in all that comes by MLflow", "[serve][mlflow]") {
  Fixture f;
  CHECK(f.post("runs/log-parameter", entry("password", "is hunter22!")).status == 200);
  CHECK(f.post("runs/set-tag", entry("hunter22", "x")).status == 200);
  CHECK(f.post("runs/log-metric", entry("hunter22/loss", 1)).status == 200);
  const std::string journal = read_file(f.run.metrics());
  CHECK(journal.find("hunter22") == std::string::npos);
  CHECK(journal.find("is ***!") != std::string::npos);
}

TEST_CASE("a long history comes in pages", "[serve][mlflow]") {
  Fixture f;
  std::vector<job::MetricPoint> points;
  for (int i = 0; i < 25; ++i)
    points.push_back(
        {.key = i % 5 == 0 ? "other" : "loss", .value = 1.0 * i, .timestamp = 1000 + i, .step = i});
  f.tracked.log_metrics(points);
  std::string token_of_page;
  std::vector<double> values;
  int pages = 0;
  do {
    Json page =
        parsed(f.get("metrics/get-history?metric_key=loss&max_results=7&run_id=" + f.spec.id +
                     (pages == 0 ? "" : "&page_token=" + token_of_page)));
    for (const Json& metric : page.at("metrics"))
      values.push_back(metric.at("value").get<double>());
    token_of_page = page.value("next_page_token", "");
    ++pages;
  } while (!token_of_page.empty());
  CHECK(pages == 3);
  REQUIRE(values.size() == 20);
  CHECK(values.front() == 1);
  CHECK(values.back() == 24);
}

TEST_CASE("artifacts stay below the run's outs", "[serve][mlflow]") {
  Fixture f;
  const fs::path outside = f.folder.path() / "outside";
  make_directories(outside);
  write_file_atomic(outside / "secret", "secret");
  const auto artifact = [&](const std::string& method, const std::string& path,
                            const std::string& body = {}) {
    return f.service.answer(f.request(method, "/api/2.0/mlflow-artifacts/artifacts" + path, body));
  };
  CHECK(artifact("PUT", "/a/b%20c/model.bin", "weights").status == 200);
  CHECK(read_file(f.run.outs() / "a/b c/model.bin") == "weights");
  CHECK(artifact("GET", "/a/b%20c/model.bin").body == "weights");
  CHECK(artifact("GET", "/a").status == 400);
  CHECK(artifact("GET", "/none").status == 404);
  CHECK(dump_json(parsed(artifact("GET", "?path=a%2Fb%20c"))) ==
        R"({"files":[{"file_size":7,"is_dir":false,"path":"model.bin"}]})");
  CHECK(dump_json(parsed(f.get("artifacts/list?path=a&run_id=" + f.spec.id)).at("files")) ==
        R"([{"is_dir":true,"path":"a/b c"}])");
  CHECK(parsed(f.get("artifacts/list?run_id=" + f.spec.id)).at("root_uri") ==
        f.run.outs().native());
  for (const char* path : {"/..%2f..%2fspec.json", "/../x", "/a/../../x", "//etc/passwd", "/a//b",
                           "/%00", "/a/.", "/x%zz", "/%ff"}) {
    INFO(path);
    CHECK(artifact("PUT", path, "x").status == 400);
    CHECK(artifact("GET", path).status == 400);
  }
  CHECK(f.get("artifacts/list?path=..&run_id=" + f.spec.id).status == 400);
  // A link that the program made leads nowhere.
  fs::create_directory_symlink(outside, f.run.outs() / "link");
  fs::create_symlink(outside / "secret", f.run.outs() / "file");
  for (const char* path : {"/link/secret", "/file"}) {
    CHECK(artifact("GET", path).status >= 400);
    CHECK(artifact("PUT", path, "changed").status >= 400);
  }
  CHECK(parsed(f.get("artifacts/list?path=link&run_id=" + f.spec.id)).at("files").empty());
  CHECK(read_file(outside / "secret") == "secret");
  CHECK(artifact("DELETE", "/a/b%20c/model.bin").status == 200);
  CHECK(artifact("POST", "/a/x", "y").status == 405);
}

TEST_CASE("a model that a client logs lies in the run's outs", "[serve][mlflow]") {
  Fixture f;
  const auto call = [&](const std::string& method, const std::string& path,
                        const std::string& body = {}) {
    return f.service.answer(f.request(method, "/api/2.0/mlflow/logged-models" + path, body));
  };
  const std::string asked =
      R"({"experiment_id":"0","name":"net","model_type":"Classifier","source_run_id":"x",)"
      R"("params":[{"key":"depth","value":"3"}],"tags":[{"key":"t","value":"v"}]})";
  const Json info = parsed(call("POST", "", asked)).at("model").at("info");
  const std::string id = info.at("model_id").get<std::string>();
  CHECK(info.at("artifact_uri") == (f.run.outs() / "models/net").native());
  CHECK(info.at("status") == "LOGGED_MODEL_PENDING");
  CHECK(info.at("source_run_id") == f.spec.id);
  // Another of the same name does not write over it.
  CHECK(parsed(call("POST", "", asked)).at("model").at("info").at("artifact_uri") ==
        (f.run.outs() / "models/net-2").native());
  CHECK(
      parsed(call("POST", "", R"({"name":"../../x"})")).at("model").at("info").at("artifact_uri") ==
      (f.run.outs() / "models/model").native());
  make_directories(f.run.outs() / "models/net/data");
  CHECK(dump_json(parsed(call("GET", "/" + id + "/artifacts/directories")).at("files")) ==
        R"([{"is_dir":true,"path":"data"}])");
  CHECK(call("PATCH", "/" + id, R"({"model_id":"x","status":"LOGGED_MODEL_READY"})").status == 200);
  CHECK(call("PATCH", "/" + id, R"({"status":"DONE"})").status == 400);
  CHECK(call("PATCH", "/" + id + "/tags", R"({"tags":[{"key":"u","value":"w"}]})").status == 200);
  CHECK(call("DELETE", "/" + id + "/tags/t").status == 200);
  const Json model = parsed(call("GET", "/" + id)).at("model");
  CHECK(model.at("info").at("status") == "LOGGED_MODEL_READY");
  CHECK(dump_json(model.at("info").at("tags")) == R"([{"key":"u","value":"w"}])");
  CHECK(dump_json(model.at("data").at("params")) == R"([{"key":"depth","value":"3"}])");
  CHECK(parsed(call("POST", "/search", "{}")).at("models").size() == 3);
  CHECK(call("GET", "/m-none").status == 404);
  CHECK(call("PUT", "/" + id).status == 404);
  CHECK(call("POST", "/" + id + "/params", R"({"params":[3]})").status == 400);
  CHECK(call("DELETE", "/" + id).status == 200);
  CHECK(call("GET", "/" + id).status == 404);
}
