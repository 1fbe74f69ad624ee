// Names that exist, for completion: one function a kind of name. Each file that knows a kind of
// name defines its function; all are declared here.
#pragma once

#include "cli/command.hpp"

namespace mlp {

// The shell completes these itself.
std::vector<Candidate> complete_files(Session&);
std::vector<Candidate> complete_directories(Session&);

std::vector<Candidate> complete_commands(Session&);
std::vector<Candidate> complete_shells(Session&);
std::vector<Candidate> complete_datasets(Session&);
std::vector<Candidate> complete_versions(Session&); // of datasets
std::vector<Candidate> complete_images(Session&);   // local ones
std::vector<Candidate> complete_remotes(Session&);
std::vector<Candidate> complete_models(Session&);
std::vector<Candidate> complete_runs(Session&);
std::vector<Candidate> complete_run_states(Session&);
std::vector<Candidate> complete_metrics(Session&);
std::vector<Candidate> complete_run_tags(Session&);
std::vector<Candidate> complete_run_fields(Session&); // that --sort takes
std::vector<Candidate> complete_secrets(Session&);
std::vector<Candidate> complete_sweeps(Session&);      // those that were started
std::vector<Candidate> complete_sweep_names(Session&); // those of mlp.yaml
std::vector<Candidate> complete_tasks(Session&);

// Goes where a -C among the finished words points, so that names there complete. A folder that does
// not exist is left for the command to complain about.
void enter_directory(std::span<const std::string> words);

// What may follow `words`, the last of which is being typed (it may be empty).
[[nodiscard]] std::vector<Candidate> complete_line(Session& session,
                                                   std::span<const std::string> words);

} // namespace mlp
