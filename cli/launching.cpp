// From a spec to a run that has ended.
#include "cli/launching.hpp"

#include "cli/building.hpp"
#include "cli/follow.hpp"
#include "cli/pinning.hpp"
#include "cli/runs.hpp"
#include "cli/secrets.hpp"
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/config/lock_file.hpp"
#include "core/config/project.hpp"
#include "core/config/project_file.hpp"
#include "core/config/settings.hpp"
#include "core/job/code.hpp"
#include "core/job/run_secrets.hpp"
#include "core/track/logged.hpp"
#include "core/track/source_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace mlp {

Option no_image_option() {
  return {.name = "--no-image",
          .help = "run with this machine's own programs, not in mlp.yaml's image"};
}

std::map<std::string, std::string> overrides_of(Session& session) {
  std::map<std::string, std::string> out;
  for (const std::string& text : session.arguments().all("--param")) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error(ErrorKind::usage, fmt::format("'{}' is not NAME=VALUE", printable(text)))
          .with_hint("for example: --param lr=0.01");
    out[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return out;
}

void check_secrets(Session& session, const std::vector<config::SecretUse>& uses,
                   bool by_name_only) {
  if (uses.empty()) return;
  std::vector<std::string> names;
  for (const config::SecretUse& use : uses)
    names.push_back(use.name);
  secret::SecretStore store = secret_store(session);
  store.require(names);
  if (!by_name_only) (void)job::resolve_secrets(uses, store);
}

namespace {

// The image that programs of the task run in, built if it is not there; empty: this machine's own
// programs are used.
std::string environment_of(Session& session, const config::Task& task, bool dry_run) {
  const auto& declared = session.project_file().image;
  if (!declared || task.trainer || session.arguments().has("--no-image")) return "";
  if (dry_run) { // nothing is built
    const auto lock = config::load_lock_file(session.project()).image;
    return lock && lock->environment ? lock->environment->text() : "";
  }
  ProjectBuild build(session, *declared);
  const image::Descriptor environment = build.environment().environment.descriptor;
  name_image(build.layout(), session.project_file().name + ":environment", environment);
  return environment.digest.text();
}

} // namespace

track::RunSpec new_run_spec(Session& session, const config::Task& task, bool dry_run) {
  check_secrets(session, task.secrets, dry_run);
  track::RunSpec spec;
  spec.task = task.name;
  spec.created = wall_now();
  spec.id = new_run_id(spec.created);
  spec.name = session.arguments().get_or("--name", "");
  spec.project = session.project_file().name;
  spec.user = track::user_name();
  spec.host = track::host_name();
  spec.mlp_version = MLP_VERSION;
  for (const auto& entry : task.params)
    spec.params[entry.name] = dump_json(entry.value.to_json());
  spec.outs = task.outs;
  for (const auto& entry : task.env)
    spec.environment.push_back(entry.name);
  for (const config::SecretUse& use : task.secrets)
    spec.environment.push_back(use.name);
  spec.num_nodes = task.num_nodes;
  spec.image = environment_of(session, task, dry_run);
  spec.datasets = pinned_datasets(session, task.data, dry_run);
  if (dry_run) spec.source = track::source_state(session.project().root);
  return spec;
}

job::JobSpec job_of(Session& session, const track::RunFolder& run, const track::RunSpec& spec,
                    const config::Resources& resources) {
  return {.run_id = spec.id,
          .run_folder = run.root,
          .project = session.project().root,
          .resources = resources,
          .num_nodes = spec.num_nodes};
}

void show_plan(Session& session, job::Backend& backend, const track::RunSpec& spec,
               const config::Resources& resources) {
  const track::RunFolder run{session.project().runs() / spec.id};
  const std::string submitted = backend.render(job_of(session, run, spec, resources));
  Json record = track::to_json(spec);
  std::string text =
      fmt::format("would run task '{}' on this machine:\n  {}", spec.task, submitted);
  if (!spec.command.empty()) text += fmt::format("which runs:\n  {}\n", trim(spec.command));
  if (!spec.image.empty()) text += fmt::format("in the image {}\n", spec.image);
  for (const auto& [name, value] : spec.params)
    text += fmt::format("param {} = {}\n", name, value);
  for (const track::DatasetUse& use : spec.datasets)
    text +=
        fmt::format("data {} = {}\n", use.name, use.digest.empty() ? "(to be added)" : use.digest);
  if (!spec.model.empty()) text += fmt::format("model {}\n", spec.model);
  session.output().emit(json_object({{"dry_run", true}, {"spec", record}, {"submits", submitted}}),
                        TextView{text});
}

void report_run(Session& session, const track::RunRecord& run) {
  if (track::is_active(run.state)) {
    session.output().status(fmt::format("run {0} goes on; mlp runs attach {0}", run.spec.id));
    return session.output().emit(run_json(run), TextView{run.spec.id + "\n"});
  }
  if (run.state != track::RunState::succeeded) throw run_error(run);
  const double seconds = run.started && run.ended
                             ? std::chrono::duration<double>(*run.ended - *run.started).count()
                             : 0.0;
  std::string text = fmt::format("run {} succeeded in {}\n", run.spec.id,
                                 format_duration(std::chrono::duration<double>(seconds)));
  std::size_t width = 0;
  std::vector<std::pair<std::string, double>> shown;
  for (const auto& [name, value] : run.metrics)
    if (name.starts_with("test_") || name.starts_with("val_")) shown.emplace_back(name, value);
  if (shown.empty())
    std::copy_if(
        run.metrics.begin(), run.metrics.end(), std::back_inserter(shown),
        [](const auto& metric) { return !metric.first.starts_with(track::system_prefix); });
  if (shown.size() > 20) shown.resize(20);
  for (const auto& [name, value] : shown)
    width = std::max(width, name.size());
  for (const auto& [name, value] : shown)
    text += fmt::format("  {:<{}}  {:.4g}\n", printable(name), width, value);
  for (const std::string& model : run.models)
    text += fmt::format("model {}\n", model);
  for (const std::string& warning : run.warnings)
    session.output().warning(warning);
  session.output().emit(run_json(run), TextView{text});
}

std::string model_name(Session& session, const config::Task& task, const std::string& declared) {
  const Arguments& arguments = session.arguments();
  const auto named = arguments.get("--register");
  if (named && arguments.has("--no-register"))
    throw Error(ErrorKind::usage, "--register and --no-register exclude each other");
  if (arguments.has("--no-register")) return {};
  if (named && !is_valid_name(*named))
    throw Error(ErrorKind::usage,
                fmt::format("'{}' is no valid name for a model", printable(*named)));
  if (named) return *named;
  if (!declared.empty()) return declared;
  return task.trainer ? session.project_file().name : std::string();
}

job::CodeLimits code_limits(Session& session) {
  return {.bytes = session.settings().get_size("runs.code_limit")};
}

track::RunFolder make_run(Session& session, track::RunSpec spec, std::string_view project_file,
                          std::string_view reason) {
  const config::Project& project = session.project();
  config::make_state_folders(project);
  const job::CapturedCode code =
      job::capture_code(project, config::dataset_paths(session.project_file()),
                        code_limits(session), session.stop_token());
  if (!code.left_out.empty()) session.output().warning(code.left_out);
  spec.source = code.source;
  return track::create_run(project.runs(), spec, project_file, reason);
}

void launch(Session& session, job::Backend& backend, const track::RunSpec& spec,
            const config::Resources& resources, std::string_view project_file,
            std::string_view reason) {
  follow_launched(session, backend, make_run(session, spec, project_file, reason), resources);
}

void follow_launched(Session& session, job::Backend& backend, const track::RunFolder& folder,
                     const config::Resources& resources) {
  const track::RunSpec spec = track::read_run_spec(folder);
  const CancelWishes wishes;
  std::string handle;
  try {
    handle = backend.submit(job_of(session, folder, spec, resources));
  } catch (const Error&) { // a new run that cannot be handed over goes as it came
    if (track::read_journals(folder).state == track::RunState::pending) track::remove_run(folder);
    throw;
  }
  if (session.arguments().has("--detach")) {
    session.output().emit(json_object({{"run", spec.id}, {"state", "queued"}, {"folder", handle}}),
                          TextView{spec.id + "\n"});
    return;
  }
  session.output().status(fmt::format("run {} of task '{}'", spec.id, spec.task));
  report_run(session, follow_run(session, backend, handle, spec.command.empty(), wishes));
}

} // namespace mlp
