// What `mlp train` and `mlp run` share: a run is written down, handed to this machine, and followed
// to its end.
#pragma once

#include "cli/session.hpp"
#include "core/config/project_file.hpp"
#include "core/job/backend.hpp"
#include "core/job/code.hpp"
#include "core/track/run_record.hpp"

#include <map>
#include <string>
#include <string_view>

namespace mlp {

// --param NAME=VALUE, as typed. Throws Error(usage).
[[nodiscard]] std::map<std::string, std::string> overrides_of(Session& session);

// Throws Error if one of a task's secrets cannot be had: not_found with the nearest name, and what
// resolve_secrets() throws. With `by_name_only` no value is read.
void check_secrets(Session& session, const std::vector<config::SecretUse>& uses,
                   bool by_name_only = false);

// --no-image
[[nodiscard]] Option no_image_option();

// A spec with who, when, where and --name filled in. `task` is resolved.
[[nodiscard]] track::RunSpec new_run_spec(Session& session, const config::Task& task, bool dry_run);

[[nodiscard]] job::JobSpec job_of(Session& session, const track::RunFolder& run,
                                  const track::RunSpec& spec, const config::Resources& resources);

// What would be done, for --dry-run.
void show_plan(Session& session, job::Backend& backend, const track::RunSpec& spec,
               const config::Resources& resources);

// The name under which a model is registered: of --register, none with --no-register, else the
// `declared` one; without any the project's if the built-in trainer makes the model, since a
// program's outputs are one only if somebody says so. Throws Error(usage).
[[nodiscard]] std::string model_name(Session& session, const config::Task& task,
                                     const std::string& declared);

// Of the code that is kept with a run.
[[nodiscard]] job::CodeLimits code_limits(Session& session);

// Writes a run down, with the code that it is made of. `project_file` is the text of its mlp.yaml,
// `reason` stands in its first event.
[[nodiscard]] track::RunFolder make_run(Session& session, track::RunSpec spec,
                                        std::string_view project_file, std::string_view reason);

// Makes the run and hands it over; with --detach prints its id, else follows and reports it.
void launch(Session& session, job::Backend& backend, const track::RunSpec& spec,
            const config::Resources& resources, std::string_view project_file,
            std::string_view reason);

// The second half of it: hands over a run that is written down, and follows it.
void follow_launched(Session& session, job::Backend& backend, const track::RunFolder& folder,
                     const config::Resources& resources);

// How a run ended: its record as the command's result; throws run_error() unless it succeeded.
void report_run(Session& session, const track::RunRecord& run);

} // namespace mlp
