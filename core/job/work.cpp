// From spec.json and mlp.yaml to an argument vector.
#include "core/job/work.hpp"

#include "core/base/error.hpp"

#include <fmt/format.h>

namespace mlp::job {

config::Project project_of(const track::RunFolder& run) {
  return {run.root.parent_path().parent_path().parent_path()};
}

fs::path code_of(const track::RunFolder& run, const track::RunSpec& spec) {
  if (spec.reproduces.empty()) return project_of(run).root;
  return spec.source ? run.code() / spec.source->folder : run.code();
}

config::Task resolve_run_task(const track::RunFolder& run, const track::RunSpec& spec) {
  const config::ProjectFile file = config::load_project_file(run.project_file());
  config::OrderedMap<config::Scalar> overrides;
  for (const auto& [name, text] : spec.overrides)
    overrides.set(name, config::parse_scalar(text));
  return config::resolve_task(file, spec.task, overrides);
}

Work work_of(const track::RunFolder& run, const track::RunSpec& spec, const fs::path& program) {
  Work work;
  work.task = resolve_run_task(run, spec);
  const fs::path root = code_of(run, spec);
  work.directory = work.task.workdir.empty() ? root : root / work.task.workdir;
  if (work.task.trainer)
    work.arguments = {program.native(), "__trainer", run.root.native()};
  else if (!work.task.run.empty())
    work.arguments = {"/bin/sh", "-c", work.task.run};
  else
    throw Error(ErrorKind::config, fmt::format("task '{}' runs nothing", spec.task))
        .with_hint("give it 'run:' or 'trainer:' in mlp.yaml");
  for (const auto& entry : work.task.env)
    work.environment[entry.name] = entry.value;
  return work;
}

} // namespace mlp::job
