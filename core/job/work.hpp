// What a run executes, worked out when it starts from its own copy of mlp.yaml and its params. What
// the environment holds (${env.X}) is taken then, and never written down.
#pragma once

#include "core/base/fs.hpp"
#include "core/config/project_file.hpp"
#include "core/track/run_folder.hpp"

#include <map>
#include <string>
#include <vector>

namespace mlp::job {

struct Work {
  config::Task task; // resolved
  std::vector<std::string> arguments;
  fs::path directory;
  std::map<std::string, std::string> environment; // what the task adds
};

// The project that a run folder lies in: <root>/.mlp/runs/<id>.
[[nodiscard]] config::Project project_of(const track::RunFolder& run);

// The folder of the project's code that a run works in: the project itself, but for a run that
// repeats another.
[[nodiscard]] fs::path code_of(const track::RunFolder& run, const track::RunSpec& spec);

// The task with its overrides. Throws Error(config) if the copy does not have it.
[[nodiscard]] config::Task resolve_run_task(const track::RunFolder& run,
                                            const track::RunSpec& spec);

// `run` goes to /bin/sh -c; the built-in trainer is `program` __trainer RUN_FOLDER.
[[nodiscard]] Work work_of(const track::RunFolder& run, const track::RunSpec& spec,
                           const fs::path& program);

} // namespace mlp::job
