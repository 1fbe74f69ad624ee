// `mlp runs reproduce`: a run again, from its records alone, and whether the same came out.
#include "backends/compute/local/local.hpp"
#include "cli/completers.hpp"
#include "cli/data.hpp"
#include "cli/follow.hpp"
#include "cli/launching.hpp"
#include "cli/runs.hpp"
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/config/project.hpp"
#include "core/config/project_file.hpp"
#include "core/data/diff.hpp"
#include "core/data/manifest_reader.hpp"
#include "core/job/code.hpp"
#include "core/job/work.hpp"
#include "core/track/machine.hpp"
#include "core/track/run_diff.hpp"

#include <fmt/format.h>

namespace mlp {

namespace {

constexpr std::size_t shown_changes = 20;

// The same work under a new name. Its model is not registered: there is one already.
track::RunSpec spec_again(const track::RunRecord& original, const Arguments& arguments) {
  track::RunSpec spec = original.spec;
  spec.created = wall_now();
  spec.id = new_run_id(spec.created);
  spec.name = arguments.get_or("--name", "");
  spec.user = track::user_name();
  spec.host = track::host_name();
  spec.mlp_version = MLP_VERSION;
  spec.reproduces = original.spec.id;
  spec.model.clear();
  return spec;
}

// The run's versions that are not here come from the remote, where there is one.
void fetch_data(Session& session, const track::RunSpec& spec) {
  if (spec.datasets.empty()) return;
  const auto datasets = open_datasets(session);
  OpenRemote remote;
  for (const track::DatasetUse& use : spec.datasets) {
    const auto version = parse_digest(use.digest);
    if (!version || data::has_all_objects(datasets->store(), *version, session.stop_token()))
      continue;
    if (!remote.store) remote = remote_if(session, true);
    if (!remote.store) return; // what is missing is said where it is needed
    (void)datasets->fetch({use.name, use.path}, *version, *remote.store, false);
    session.output().progress().end();
  }
}

// Until the code and the data are in place the run is only made, and goes away if they cannot be.
track::RunFolder prepare(Session& session, const track::RunRecord& original) {
  const track::RunSpec spec = spec_again(original, session.arguments());
  const track::RunFolder run = track::create_run(
      session.project().runs(), spec, read_file(original.folder.project_file(), 16u << 20),
      fmt::format("made by mlp runs reproduce, from run {}", original.spec.id));
  try {
    (void)job::restore_code(session.project(), original.spec, run.code(), session.stop_token());
  } catch (const Error&) {
    track::remove_run(run);
    throw;
  }
  return run;
}

// The files that are not the same, a line each, as far as both versions are here.
std::string differing_files(Session& session, const track::RunOutputs& before,
                            const track::RunOutputs& after) {
  const auto a = parse_digest(before.digest), b = parse_digest(after.digest);
  data::ObjectStore store(session.project().objects());
  if (!a || !b || !store.has(*a) || !store.has(*b)) return {};
  const data::Difference difference =
      data::diff_versions(store, data::read_manifest(store, *a), store,
                          data::read_manifest(store, *b), shown_changes, session.stop_token());
  std::string text;
  for (const data::Change& change : difference.changes)
    text += fmt::format("\n  {:<9} {}", change_word(change.kind), printable(change.path));
  if (difference.count() > shown_changes)
    text += fmt::format("\n  and {} more", difference.count() - shown_changes);
  return text;
}

// Metrics whose last values are not the same.
std::vector<track::RunDifference> differing_metrics(const track::RunRecord& a,
                                                    const track::RunRecord& b) {
  std::vector<track::RunDifference> out = track::diff_runs(a, b);
  std::erase_if(out, [](const auto& difference) {
    return difference.group != "metrics" || difference.name.starts_with("system/");
  });
  return out;
}

void report(Session& session, const track::RunRecord& original, const track::RunRecord& again) {
  const track::RunOutputs& outputs = *again.outputs;
  if (outputs.digest != original.outputs->digest) {
    const std::string files = differing_files(session, *original.outputs, outputs);
    throw Error(ErrorKind::integrity,
                fmt::format("run '{}' did not make the outputs of run '{}'{}{}", again.spec.id,
                            original.spec.id, files.empty() ? "" : ":", files))
        .with_hint(fmt::format("see what else differs: mlp runs diff {} {}", original.spec.id,
                               again.spec.id));
  }
  std::string text =
      fmt::format("run {} made the same outputs as run {} ({} {}, {})\n", again.spec.id,
                  original.spec.id, format_count(outputs.files),
                  outputs.files == 1 ? "file" : "files", format_bytes(outputs.bytes));
  Json metrics = json_array();
  for (const track::RunDifference& metric : differing_metrics(original, again)) {
    if (metrics.empty()) text += "metrics that differ:\n";
    metrics.push_back(json_object({{"name", metric.name},
                                   {"original", parse_json(metric.a.value_or("null"), "metric")},
                                   {"again", parse_json(metric.b.value_or("null"), "metric")}}));
    text += fmt::format("  {}  {} -> {}\n", printable(metric.name), metric.a.value_or("none"),
                        metric.b.value_or("none"));
  }
  session.output().emit(json_object({{"run", again.spec.id},
                                     {"reproduces", original.spec.id},
                                     {"same_outputs", true},
                                     {"outputs", outputs.digest},
                                     {"metrics", metrics}}),
                        TextView{text});
}

void run(Session& session) {
  const track::RunRecord original =
      track::read_run(find_run_folder(session, *session.arguments().get("RUN")));
  if (track::is_active(original.state))
    throw Error(ErrorKind::conflict,
                fmt::format("run '{}' is {}", original.spec.id, track::state_name(original.state)))
        .with_hint(fmt::format("wait for it with: mlp runs wait {}", original.spec.id));
  const config::Task task = job::resolve_run_task(original.folder, original.spec);
  check_secrets(session, task.secrets);
  if (original.spec.mlp_version != MLP_VERSION)
    session.output().warning(fmt::format("run '{}' was made by mlp {}, this is {}",
                                         original.spec.id, original.spec.mlp_version, MLP_VERSION));
  local::LocalBackend backend(this_executable());
  fetch_data(session, original.spec);
  const track::RunFolder folder = prepare(session, original);
  const CancelWishes wishes;
  const std::string handle =
      backend.submit(job_of(session, folder, track::read_run_spec(folder), task.resources));
  if (session.arguments().has("--detach"))
    return session.output().emit(json_object({{"run", folder.id()}, {"state", "queued"}}),
                                 TextView{folder.id() + "\n"});
  session.output().status(fmt::format("run {} repeats run {}", folder.id(), original.spec.id));
  const track::RunRecord again =
      follow_run(session, backend, handle, original.spec.command.empty(), wishes);
  if (track::is_active(again.state)) return report_run(session, again); // detached
  if (again.state != original.state) throw run_error(again);
  if (!original.outputs || !again.outputs) {
    if (original.outputs || again.outputs)
      throw Error(ErrorKind::integrity,
                  fmt::format("run '{}' left {}, run '{}' {}", original.spec.id,
                              original.outputs ? "outputs" : "none", again.spec.id,
                              again.outputs ? "did" : "left none"));
    session.output().status(
        fmt::format("run {} has no outputs on record to compare with: what is in $MLP_OUT_DIR is",
                    original.spec.id));
    return report_run(session, again);
  }
  report(session, original, again);
}

} // namespace

extern const Command runs_reproduce_command;
const Command runs_reproduce_command = {
    .path = "runs reproduce",
    .summary = "run a run again from its records, and compare the outputs",
    .category = Category::training,
    .arguments = {{.name = "RUN",
                   .help = "'latest', or any part of a run's id that is its own",
                   .complete = complete_runs}},
    .options = {{.name = "--detach",
                 .help = "print the new run's id and return; compare later with mlp runs diff",
                 .letter = 'd'},
                {.name = "--name", .value = "TEXT", .help = "a title for the new run"}},
    .examples = {{"mlp runs reproduce latest", "the newest run again"},
                 {"mlp runs reproduce k3f9qx", "that one"}},
    .run = run};

} // namespace mlp
