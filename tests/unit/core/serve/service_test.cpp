// Every route of the service, on a runtime that is made up.
#include "core/base/json.hpp"
#include "core/serve/service.hpp"
#include "tests/unit/core/serve/fake_runtime.hpp"

#include <catch2/catch.hpp>

#include <future>

using namespace mlp;
using namespace mlp::serve;

namespace {

class Promise : public HttpReplySink {
 public:
  std::promise<HttpResponse> answer;
  void send(HttpResponse response) noexcept override { answer.set_value(std::move(response)); }
};

std::future<HttpResponse> ask(InferenceService& service, HttpRequest request) {
  auto sink = std::make_shared<Promise>();
  auto future = sink->answer.get_future();
  request.received = std::chrono::steady_clock::now();
  service.handle(std::move(request), HttpReply(sink));
  return future;
}

HttpResponse get(InferenceService& service, std::string target, std::string method = "GET") {
  HttpRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  return ask(service, std::move(request)).get();
}

HttpRequest infer_request(std::string body = R"({"inputs":[{"name":"x","datatype":"FP32",
    "shape":[2,3],"data":[1,2,3,4,5,6]}]})") {
  HttpRequest request;
  request.method = "POST";
  request.target = "/v2/models/double/infer";
  request.headers = {{"Content-Type", "application/json; charset=utf-8"}};
  request.body = std::move(body);
  return request;
}

struct Fixture {
  std::shared_ptr<FakeRuntime> runtime = std::make_shared<FakeRuntime>();
  InferenceService service{
      {{{"double", "3", "onnx_onnxv1"}, runtime}, {{"a b", "1", "onnx_onnxv1"}, runtime}},
      {.workers = 1, .queue = 1, .server_version = "0.1.0"}};
};

} // namespace

TEST_CASE_METHOD(Fixture, "every route of the protocol answers") {
  CHECK(get(service, "/v2").body == R"({"name":"mlp","version":"0.1.0","extensions":[]})");
  CHECK(get(service, "/v2/").status == 200);
  CHECK(get(service, "/v2/health/live").body == R"({"live":true})");
  CHECK(get(service, "/v2/health/ready").body == R"({"ready":true})");
  CHECK(get(service, "/v2/models/double?x=1").status == 200);
  CHECK(get(service, "/v2/models/a%20b").status == 200);
  CHECK(get(service, "/v2/models/double/versions/3").status == 200);
  CHECK(get(service, "/v2/models/double/ready").body == R"({"name":"double","ready":true})");
  CHECK(get(service, "/v2/models/double/versions/3/ready").status == 200);
  CHECK(get(service, "/v2/models/double", "HEAD").status == 200);
  service.set_ready(false);
  CHECK(get(service, "/v2/health/ready").status == 503);
  CHECK(get(service, "/v2/models/double/ready").status == 503);
  CHECK(get(service, "/v2/health/live").status == 200);
}

TEST_CASE_METHOD(Fixture, "a path that is not there says what is") {
  const auto missing = get(service, "/");
  CHECK(missing.status == 404);
  const Json body = parse_json(missing.body, "the answer");
  CHECK(body["error"] == "there is nothing at '/'");
  CHECK(body["models"] == Json({"double", "a b"}));
  CHECK(body["paths"].size() == 10);
  CHECK(get(service, "/v2/models/").status == 404);
  CHECK(get(service, "/v2/models/double/").status == 404);
  CHECK(get(service, "/v2/models/%zz").status == 404);
  CHECK(get(service, "/v2/models/doubel").body ==
        R"({"error":"no model 'doubel'; did you mean 'double'?"})");
  CHECK(get(service, "/v2/models/double/versions/4").body ==
        R"({"error":"model 'double' has no version '4'; known versions: 3"})");
  const auto wrong = get(service, "/v2/models/double/infer");
  CHECK(wrong.status == 405);
  CHECK(wrong.headers.at(0).name == "Allow");
  CHECK(wrong.headers.at(0).value == "POST");
  CHECK(get(service, "/v2", "DELETE").status == 405);
}

TEST_CASE_METHOD(Fixture, "an inference is answered, and counted") {
  const auto response = ask(service, infer_request()).get();
  CHECK(response.status == 200);
  CHECK(response.body ==
        R"({"model_name":"double","model_version":"3","outputs":[)"
        R"({"name":"y","shape":[2,3],"datatype":"FP32","data":[2,4,6,8,10,12]},)"
        R"({"name":"label","shape":[2],"datatype":"BYTES","data":["cat","cat"]}]})");
  const auto text = get(service, "/metrics").body;
  const auto has = [&](std::string_view line) { return text.find(line) != std::string::npos; };
  CHECK(has("nv_inference_request_success{model=\"double\",version=\"3\"} 1\n"));
  CHECK(has("nv_inference_count{model=\"double\",version=\"3\"} 2\n"));
  CHECK(has("nv_inference_exec_count{model=\"double\",version=\"3\"} 1\n"));
  CHECK(has("nv_inference_pending_request_count{model=\"double\",version=\"3\"} 0\n"));
  CHECK(has("# TYPE nv_inference_count counter\n"));
}

TEST_CASE_METHOD(Fixture, "outputs are chosen, and the id comes back") {
  const auto response =
      ask(service, infer_request(R"({"id":"7","inputs":[{"name":"x","datatype":"FP32",
          "shape":[1,3],"data":[[1,null,3]]}],"outputs":[{"name":"y"}]})"))
          .get();
  CHECK(response.body == R"({"model_name":"double","model_version":"3","id":"7","outputs":[)"
                         R"({"name":"y","shape":[1,3],"datatype":"FP32","data":[2,"NaN",6]}]})");
}

TEST_CASE_METHOD(Fixture, "what the client did wrong is 4xx, what the model did wrong is 500") {
  const auto error = [&](std::string body) {
    const auto response = ask(service, infer_request(std::move(body))).get();
    return std::to_string(response.status) + " " + response.body;
  };
  CHECK(error(R"({"inputs":[{"name":"z","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]})") ==
        R"(400 {"error":"unknown input 'z'; known inputs: x"})");
  CHECK(error(R"({"inputs":[{"name":"x","datatype":"FP64","shape":[1,3],"data":[1,2,3]}]})") ==
        R"(400 {"error":"input 'x' is FP32, not FP64"})");
  CHECK(error(R"({"inputs":[{"name":"x","datatype":"FP32","shape":[3,1],"data":[1,2,3]}]})") ==
        R"(400 {"error":"input 'x' has shape [?, 3], not [3, 1]"})");
  CHECK(error(R"({"inputs":[]})") == R"(400 {"error":"input 'x' is missing; the model takes: x"})");
  runtime->fails = true;
  CHECK(ask(service, infer_request()).get().status == 500);
  CHECK(get(service, "/metrics")
            .body.find("nv_inference_request_failure{model=\"double\",version="
                       "\"3\"} 5\n") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "a body that is not JSON by its type is refused") {
  for (const char* type : {"text/plain", "application/octet-stream", "multipart/form-data"}) {
    HttpRequest request = infer_request();
    request.headers[0].value = type;
    CHECK(ask(service, std::move(request)).get().status == 415);
  }
  for (const char* name : {"Content-Encoding", "Inference-Header-Content-Length"}) {
    HttpRequest request = infer_request();
    request.headers.push_back({name, "12"});
    CHECK(ask(service, std::move(request)).get().status == 415);
  }
  HttpRequest curl = infer_request();
  curl.headers[0].value = "application/x-www-form-urlencoded";
  CHECK(ask(service, std::move(curl)).get().status == 200);
}

TEST_CASE_METHOD(Fixture, "a full queue answers 503 at once, and health still answers") {
  runtime->delay = std::chrono::milliseconds(300);
  auto first = ask(service, infer_request());
  while (runtime->running == 0)
    std::this_thread::yield();
  auto second = ask(service, infer_request());
  const auto third = ask(service, infer_request()).get();
  CHECK(third.status == 503);
  CHECK(third.headers.at(0).name == "Retry-After");
  CHECK(get(service, "/v2/health/live").status == 200);
  CHECK(get(service, "/metrics")
            .body.find("nv_inference_pending_request_count{model=\"double\","
                       "version=\"3\"} 1\n") != std::string::npos);
  CHECK(first.get().status == 200);
  CHECK(second.get().status == 200);
}

TEST_CASE("a service that ends finishes what runs and refuses what waits") {
  auto runtime = std::make_shared<FakeRuntime>();
  runtime->delay = std::chrono::milliseconds(100);
  std::future<HttpResponse> running;
  std::future<HttpResponse> waiting;
  {
    InferenceService service({{{"double", "3", "onnx_onnxv1"}, runtime}},
                             {.workers = 1, .queue = 8, .server_version = "0"});
    running = ask(service, infer_request());
    while (runtime->running == 0)
      std::this_thread::yield();
    waiting = ask(service, infer_request());
  }
  CHECK(running.get().status == 200);
  CHECK(waiting.get().status == 503);
}
