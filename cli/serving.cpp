// Services, registered models and files, in this order of precedence.
#include "cli/serving.hpp"

#include "backends/registry.hpp"
#include "cli/completers.hpp"
#include "cli/models.hpp"
#include "core/base/error.hpp"
#include "core/base/log.hpp"
#include "core/base/text.hpp"
#include "core/config/project_file.hpp"
#include "core/config/settings.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>

namespace mlp {

namespace {

ChosenModel registered(Session& session, std::string_view reference) {
  const model::ModelRegistry registry(session.project());
  const model::ModelVersion version = registry.find(model::parse_model_reference(reference));
  return {.name = version.name,
          .version = std::to_string(version.version),
          .files = registry.materialize(version),
          .classes = version.classes};
}

ChosenModel of_service(Session& session, const std::string& name,
                       const config::ServiceEntry& service) {
  for (const std::string& note : session.project_file().notes)
    log_warning(note);
  ChosenModel chosen = with_context(fmt::format("while opening the model of service '{}'", name),
                                    [&] { return registered(session, service.model); });
  chosen.name = name;
  chosen.service = &service;
  return chosen;
}

ChosenModel of_file(Session& session, const std::string& file) {
  const fs::path path = file;
  std::error_code code;
  if (!fs::exists(path, code)) throw system_error(ENOENT, "read", file);
  std::string name =
      session.arguments().get_or("--name", fs::absolute(path).lexically_normal().stem().string());
  if (!is_valid_name(name))
    throw Error(ErrorKind::usage,
                fmt::format("'{}' cannot be the name of a model", printable(name)))
        .with_hint("give one with --name: letters, digits, '.', '_' and '-'");
  return {.name = std::move(name), .version = "1", .files = path};
}

ChosenModel only_one(Session& session) {
  const auto& services = session.project_file().services;
  if (services.size() == 1)
    return of_service(session, services.begin()->name, services.begin()->value);
  const model::ModelRegistry registry(session.project());
  const auto names = registry.names();
  if (services.empty() && names.size() == 1) {
    const bool champion = registry.aliases(names.front()).contains("champion");
    return registered(session, names.front() + (champion ? "@champion" : ""));
  }
  if (services.empty() && names.empty())
    throw Error(ErrorKind::not_found, "this project has no model yet")
        .with_hint("mlp train makes one, or give an ONNX file with --file");
  std::vector<std::string> all = services.names();
  all.insert(all.end(), names.begin(), names.end());
  throw Error(ErrorKind::usage, "no model given, and there are several")
      .with_hint("name one of: " + join(all, ", "));
}

std::vector<Candidate> complete_devices(Session&) {
  return {{"auto", "a GPU where there is one"}, {"cpu", ""}, {"cuda", "the first GPU"}};
}

} // namespace

ChosenModel choose_model(Session& session) {
  const auto name = session.arguments().get("MODEL");
  const auto file = session.arguments().get("--file");
  if (file) return of_file(session, *file);
  if (session.arguments().has("--name"))
    throw Error(ErrorKind::usage, "--name goes with --file; a registered model has its name");
  if (!name) return only_one(session);
  if (const auto* service = session.project_file().services.find(*name))
    return of_service(session, *name, *service);
  return registered(session, *name);
}

std::shared_ptr<const serve::Runtime> load_model(Session& session, const ChosenModel& model,
                                                 int threads) {
  const serve::RuntimeOptions options{.threads = threads,
                                      .device = session.arguments().get_or("--device", "auto")};
  return with_context(fmt::format("while loading model '{}'", model.name), [&] {
    return std::shared_ptr<const serve::Runtime>(load_runtime(model.files, options));
  });
}

int serving_threads(Session& session) {
  const auto wanted = session.settings().get_int("train.threads");
  if (wanted > 0) return static_cast<int>(wanted);
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (::sched_getaffinity(0, sizeof cpus, &cpus) != 0) return 1;
  return std::max(CPU_COUNT(&cpus), 1);
}

Option model_file_option() {
  return {.name = "--file",
          .value = "MODEL.onnx",
          .help = "a model file instead of a registered model; needs no project",
          .complete = complete_files};
}

Option model_name_option() {
  return {.name = "--name", .value = "NAME", .help = "the name of --file; default: the file's"};
}

Option device_option() {
  return {.name = "--device",
          .value = "DEVICE",
          .help = "auto, cpu, cuda or cuda:N; default: auto, a GPU where there is one",
          .complete = complete_devices};
}

std::vector<Candidate> complete_served(Session& session) {
  std::vector<Candidate> out;
  for (const auto& entry : session.project_file().services)
    out.push_back({entry.name, "service of " + entry.value.model});
  for (Candidate& model : complete_models(session))
    out.push_back(std::move(model));
  return out;
}

} // namespace mlp
