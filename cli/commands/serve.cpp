// `mlp serve`: a model behind HTTP until it is told to stop.
#include "cli/serving.hpp"
#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/config/project_file.hpp"
#include "core/config/settings.hpp"
#include "core/serve/http_server.hpp"
#include "core/serve/runtime.hpp"
#include "core/serve/service.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace mlp {

namespace {

using std::chrono::milliseconds;

// A connection takes a descriptor; the usual soft limit is 1024 for everything.
void allow_descriptors(int connections) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const auto wanted = static_cast<rlim_t>(connections) + 256;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

serve::HttpServerOptions server_options(Session& session, const ChosenModel& model) {
  const config::Settings& settings = session.settings();
  serve::HttpServerOptions options;
  options.host = settings.get_string("serve.host");
  options.port = static_cast<std::uint16_t>(settings.get_int("serve.port"));
  const auto given = [&](std::string_view key) {
    return settings.source(key) == config::SettingSource::option;
  };
  if (model.service != nullptr) { // the command line goes before the service, that before the rest
    if (!model.service->host.empty() && !given("serve.host")) options.host = model.service->host;
    if (model.service->port && !given("serve.port"))
      options.port = static_cast<std::uint16_t>(*model.service->port);
  }
  options.max_body = settings.get_size("serve.max_body");
  options.max_connections = static_cast<int>(settings.get_int("serve.max_connections"));
  const milliseconds timeout = settings.get_duration("serve.timeout");
  options.head_timeout = std::min(timeout, milliseconds(10'000));
  options.body_timeout = timeout;
  options.idle_timeout = 2 * timeout;
  options.access_log = session.output().options().verbose;
  return options;
}

void run(Session& session) {
  const std::stop_token stop = session.stop_token();
  if (session.arguments().has("MODEL") && session.arguments().has("--file"))
    throw Error(ErrorKind::usage, "a model and --file are both given, and one is meant");
  const ChosenModel model = choose_model(session);
  const int threads = serving_threads(session);
  const int workers =
      static_cast<int>(session.arguments().integer("--workers", 1, 1024).value_or(threads));
  const auto runtime = load_model(session, model, std::max(threads / workers, 1));
  const serve::HttpServerOptions options = server_options(session, model);
  allow_descriptors(options.max_connections);

  const serve::ServiceOptions service_options{
      .workers = workers,
      .queue = static_cast<std::size_t>(
          session.arguments().integer("--queue", 1, 1'000'000).value_or(256)),
      .server_version = MLP_VERSION};
  serve::InferenceService service({{{model.name, model.version, "onnx_onnxv1"}, runtime}},
                                  service_options);
  serve::HttpServer server(options, service, service.server_counters());
  const std::stop_callback on_stop(stop, [&] {
    service.set_ready(false);
    server.stop();
  });

  const std::string url = server.url();
  const std::string_view device = runtime->device();
  if (const std::string_view reason = runtime->cpu_reason(); !reason.empty())
    session.output().status(fmt::format("the model runs on the CPU: {}", reason));
  session.output().status(fmt::format("serving {} version {} {}{}at {} (Ctrl-C stops)", model.name,
                                      model.version, device == "cpu" ? "" : "on ",
                                      device == "cpu" ? "" : fmt::format("{} ", device), url));
  if (session.output().options().json)
    session.output().emit_line(json_object({{"url", url},
                                            {"port", server.port()},
                                            {"pid", ::getpid()},
                                            {"device", std::string(device)},
                                            {"model", model.name},
                                            {"model_version", model.version}}),
                               "");
  server.run();
  session.output().status("stopped");
}

} // namespace

extern const Command serve_command;
const Command serve_command = {
    .path = "serve",
    .summary = "serve a model over HTTP in the Open Inference Protocol",
    .category = Category::serving,
    .arguments = {{.name = "MODEL",
                   .help = "a service of mlp.yaml, or NAME, NAME@ALIAS, NAME@VERSION; default: the "
                           "only one",
                   .required = false,
                   .complete = complete_served}},
    .options = {model_file_option(),
                model_name_option(),
                device_option(),
                {.name = "--workers",
                 .value = "N",
                 .help = "requests computed at once; default: as many as there are threads"},
                {.name = "--queue",
                 .value = "N",
                 .help = "requests that may wait before more are told 503; default: 256"}},
    .settings = {"serve.host", "serve.port", "serve.max_body", "serve.max_connections",
                 "serve.timeout", "train.threads"},
    .examples = {{"mlp serve", "the project's model at http://127.0.0.1:8080"},
                 {"mlp serve digits@champion --host 0.0.0.0 --port 9000",
                  "the version behind an alias, for the whole network"},
                 {"mlp serve --file model.onnx --port 0 --json",
                  "a file, without a project, on any free port; prints the URL"}},
    .run = run};

} // namespace mlp
