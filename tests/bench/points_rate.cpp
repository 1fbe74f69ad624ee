// How many points of metrics a second reach a run's journal: from lines of $MLP_METRICS, from
// MLflow's log-batch with a thousand points (the service by itself, and over its socket), and from
// an event file of TensorBoard; and how quickly they are read again. `points_rate [POINTS]`.
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/job/metrics_intake.hpp"
#include "core/job/tensorboard_intake.hpp"
#include "core/serve/mlflow_endpoint.hpp"
#include "core/serve/mlflow_service.hpp"
#include "core/track/run_record.hpp"
#include "tests/unit/core/track/event_bytes.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

using namespace mlp;

namespace {

constexpr int batch_points = 1000;

struct Run {
  TemporaryDirectory folder{"mlp-points-"};
  track::RunSpec spec;
  track::RunFolder run = make();
  track::RunFolder make() {
    spec.created = wall_now();
    spec.id = new_run_id(spec.created);
    spec.task = "bench";
    return track::create_run(folder.path() / "runs", spec, "", "bench");
  }
};

template <class Work>
double seconds(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void show(const char* what, int points, double time) {
  fmt::print("{:<44} {:>9.0f} points/s\n", what, points / time);
}

void lines(int points) {
  Run run;
  std::string text;
  for (int i = 0; i < points; ++i)
    text += fmt::format("{{\"step\": {}, \"loss\": {}}}\n", i, 1.0 / (i + 1));
  write_file_atomic(run.run.reported(), text);
  job::MetricsIntake intake(run.run);
  show("lines of $MLP_METRICS", points, seconds([&] { intake.take(true); }));
  track::RunRecord record;
  show("  read again", points, seconds([&] { record = track::read_journals(run.run); }));
  if (record.points != static_cast<std::uint64_t>(points)) std::abort();
}

std::string batch(const std::string& run, int from) {
  std::string body = fmt::format("{{\"run_id\": \"{}\", \"metrics\": [", run);
  for (int i = 0; i < batch_points; ++i)
    body +=
        fmt::format("{}{{\"key\": \"loss\", \"value\": {}, \"timestamp\": {}, \"step\": {}}}",
                    i == 0 ? "" : ", ", 1.0 / (from + i + 1), 1700000000000 + from + i, from + i);
  return body + "]}";
}

void service(int points) {
  Run run;
  serve::MlflowRun tracked(run.run, run.spec, nullptr);
  serve::MlflowService mlflow(tracked, "t");
  serve::HttpRequest request;
  request.method = "POST";
  request.target = "/api/2.0/mlflow/runs/log-batch";
  request.headers = {{"Host", "localhost"}, {"Authorization", "Bearer t"}};
  request.body = batch(run.spec.id, 0);
  const double time = seconds([&] {
    for (int i = 0; i < points; i += batch_points)
      if (mlflow.answer(request).status != 200) std::abort();
  });
  show("MLflow's log-batch, without a connection", points, time);
}

void socket(int points) {
  Run run;
  const auto endpoint = serve::open_mlflow_endpoint(run.run, run.spec, nullptr);
  std::map<std::string, std::string> environment;
  endpoint->add_to(environment);
  endpoint->start();
  const std::string& uri = environment["MLFLOW_TRACKING_URI"];
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = ::htons(static_cast<std::uint16_t>(std::stoi(uri.substr(uri.rfind(':') + 1))));
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
  const std::string body = batch(run.spec.id, 0);
  const std::string request =
      fmt::format(
          "POST /api/2.0/mlflow/runs/log-batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
          "Bearer {}\r\nContent-Length: {}\r\n\r\n",
          environment["MLFLOW_TRACKING_TOKEN"], body.size()) +
      body;
  const double time = seconds([&] {
    for (int i = 0; i < points; i += batch_points) {
      for (std::size_t sent = 0; sent < request.size();) {
        const ssize_t n = ::write(fd, request.data() + sent, request.size() - sent);
        if (n <= 0) std::abort();
        sent += static_cast<std::size_t>(n);
      }
      std::array<char, 4096> answer{};
      const ssize_t n = ::read(fd, answer.data(), answer.size());
      if (n <= 0 ||
          !std::string_view(answer.data(), static_cast<std::size_t>(n)).starts_with("HTTP/1.1 200"))
        std::abort();
    }
  });
  ::close(fd);
  endpoint->stop();
  show("MLflow's log-batch, one connection", points, time);
}

void events(int points) {
  Run run;
  std::string bytes;
  for (int i = 0; i < points; ++i)
    bytes += test::record(test::event(1.7e9 + i, i, test::simple("loss", 1.0F / float(i + 1))));
  write_file_atomic(run.run.outs() / "events.out.tfevents.1", bytes);
  show("an event file of TensorBoard", points,
       seconds([&] { job::take_tensorboard(run.run, nullptr); }));
}

} // namespace

int main(int argc, char** argv) {
  const int points = argc > 1 ? std::atoi(argv[1]) : 1'000'000;
  lines(points);
  service(points);
  socket(points);
  events(points);
  return 0;
}
