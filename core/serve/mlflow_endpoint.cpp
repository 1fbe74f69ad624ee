// An HttpServer on a thread that sleeps until a client comes.
#include "core/serve/mlflow_endpoint.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/serve/http_server.hpp"
#include "core/serve/mlflow_artifacts.hpp"
#include "core/serve/mlflow_service.hpp"

#include <fmt/format.h>

#include <array>
#include <thread>

namespace mlp::serve {

namespace {

constexpr std::size_t token_characters = 32; // of five random bits
constexpr int max_connections = 256;         // ranks and their threads
constexpr std::chrono::milliseconds grace{1000};

HttpServerOptions options() {
  HttpServerOptions out;
  out.host = "127.0.0.1";
  out.max_header = 16u << 10;
  out.max_body = max_artifact_body;
  out.max_buffered = 2 * max_artifact_body;
  out.max_connections = max_connections;
  out.grace = grace;
  return out;
}

class MlflowEndpoint : public job::Endpoint {
 public:
  MlflowEndpoint(const track::RunFolder& run, const track::RunSpec& spec,
                 const secret::MaskedValues* secrets)
      : run_(run, spec, secrets), token_(random_token(token_characters)), service_(run_, token_),
        server_(options(), service_, counters_) {}
  ~MlflowEndpoint() override { stop(); }

  void add_to(std::map<std::string, std::string>& environment) const override {
    // What would lead a client elsewhere, or make it show us somebody else's password.
    for (const char* name :
         {"MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4",
          "MLFLOW_TRACKING_CLIENT_CERT_PATH", "MLFLOW_REGISTRY_URI"})
      environment.erase(name);
    environment["MLFLOW_TRACKING_URI"] = server_.url();
    environment["MLFLOW_RUN_ID"] = run_.spec().id;
    environment["MLFLOW_EXPERIMENT_NAME"] =
        run_.spec().project.empty() ? "mlp" : run_.spec().project;
    environment["MLFLOW_TRACKING_TOKEN"] = token_;
    environment["MLFLOW_TRACKING_USERNAME"] = "mlp";
    environment["MLFLOW_TRACKING_PASSWORD"] = token_;
    except_from_proxies(environment);
  }

  void start() override {
    thread_ = std::thread([this] {
      try {
        server_.run();
      } catch (const std::exception& error) {
        failure_ = error.what();
      }
    });
  }

  void stop() noexcept override {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

  [[nodiscard]] std::vector<std::string> problems() const override {
    std::vector<std::string> out;
    if (!failure_.empty()) out.push_back("the MLflow endpoint ended early: " + failure_);
    if (const std::uint64_t lost = run_.lines().lost(); lost != 0)
      out.push_back(fmt::format("{} {} of MLflow could not be written: {}", lost,
                                lost == 1 ? "record" : "records", run_.lines().first_loss()));
    return out;
  }

 private:
  static void except_from_proxies(std::map<std::string, std::string>& environment) {
    static constexpr std::array proxies = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
    const bool any = std::any_of(proxies.begin(), proxies.end(),
                                 [&](const char* name) { return environment.contains(name); });
    if (!any) return;
    for (const char* name : {"no_proxy", "NO_PROXY"}) {
      std::string& value = environment[name];
      if (value == "*") continue;
      if (!value.empty()) value += ',';
      value += "127.0.0.1,localhost";
    }
  }

  MlflowRun run_;
  std::string token_;
  MlflowService service_;
  ServerCounters counters_;
  HttpServer server_;
  std::thread thread_;
  std::string failure_; // written by the thread, read after it has ended
};

} // namespace

std::unique_ptr<job::Endpoint> open_mlflow_endpoint(const track::RunFolder& run,
                                                    const track::RunSpec& spec,
                                                    const secret::MaskedValues* secrets) {
  return std::make_unique<MlflowEndpoint>(run, spec, secrets);
}

} // namespace mlp::serve
