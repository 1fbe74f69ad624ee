// The one table of all commands.
#include "cli/command.hpp"

#include <algorithm>

namespace mlp {

extern const Command build_command;
extern const Command complete_command;
extern const Command completion_command;
extern const Command config_get_command;
extern const Command config_ls_command;
extern const Command config_schema_command;
extern const Command config_set_command;
extern const Command container_command;
extern const Command data_add_command;
extern const Command data_cat_command;
extern const Command data_checkout_command;
extern const Command data_diff_command;
extern const Command data_du_command;
extern const Command data_export_command;
extern const Command data_fetch_command;
extern const Command data_gc_command;
extern const Command data_head_command;
extern const Command data_import_command;
extern const Command data_log_command;
extern const Command data_ls_command;
extern const Command data_mount_command;
extern const Command data_pull_command;
extern const Command data_push_command;
extern const Command data_rm_command;
extern const Command data_status_command;
extern const Command data_tag_command;
extern const Command data_unmount_command;
extern const Command data_verify_command;
extern const Command describe_command;
extern const Command doctor_command;
extern const Command env_add_command;
extern const Command env_lock_command;
extern const Command env_ls_command;
extern const Command env_rm_command;
extern const Command env_show_command;
extern const Command gpu_check_command;
extern const Command gpu_ls_command;
extern const Command gpu_measure_command;
extern const Command image_copy_command;
extern const Command image_diff_command;
extern const Command image_export_command;
extern const Command image_gc_command;
extern const Command image_history_command;
extern const Command image_import_command;
extern const Command image_inspect_command;
extern const Command image_ls_command;
extern const Command image_provenance_command;
extern const Command image_pull_command;
extern const Command image_push_command;
extern const Command image_rm_command;
extern const Command image_sbom_command;
extern const Command image_run_command;
extern const Command init_command;
extern const Command log_artifact_command;
extern const Command log_metric_command;
extern const Command log_param_command;
extern const Command log_tag_command;
extern const Command man_command;
extern const Command model_alias_command;
extern const Command model_export_command;
extern const Command model_ls_command;
extern const Command model_register_command;
extern const Command model_show_command;
extern const Command mount_command;
extern const Command parse_command;
extern const Command plot_command;
extern const Command predict_command;
extern const Command reindex_command;
extern const Command remote_add_command;
extern const Command remote_ls_command;
extern const Command remote_rm_command;
extern const Command run_command;
extern const Command runs_attach_command;
extern const Command runs_cancel_command;
extern const Command runs_compare_command;
extern const Command runs_diff_command;
extern const Command runs_export_command;
extern const Command runs_import_command;
extern const Command runs_logs_command;
extern const Command runs_ls_command;
extern const Command runs_note_command;
extern const Command runs_reproduce_command;
extern const Command runs_rm_command;
extern const Command runs_show_command;
extern const Command runs_tag_command;
extern const Command runs_wait_command;
extern const Command secret_ls_command;
extern const Command secret_rm_command;
extern const Command secret_set_command;
extern const Command serve_command;
extern const Command status_command;
extern const Command storage_serve_command;
extern const Command supervise_command;
extern const Command sweep_ls_command;
extern const Command sweep_resume_command;
extern const Command sweep_run_command;
extern const Command sweep_show_command;
extern const Command sweep_stop_command;
extern const Command train_command;
extern const Command trainer_command;
extern const Command version_command;
extern const Command watch_command;
extern const Command why_command;

std::span<const Command* const> commands() {
  static const Command* const table[] = {
      // clang-format off
      &init_command,
      &data_add_command,
      &data_import_command,
      &data_ls_command,
      &data_status_command,
      &data_push_command,
      &data_pull_command,
      &data_fetch_command,
      &data_checkout_command,
      &data_log_command,
      &data_tag_command,
      &data_diff_command,
      &data_cat_command,
      &data_head_command,
      &data_export_command,
      &data_mount_command,
      &data_unmount_command,
      &data_du_command,
      &data_rm_command,
      &data_verify_command,
      &data_gc_command,
      &remote_add_command,
      &remote_ls_command,
      &remote_rm_command,
      &build_command,
      &env_add_command,
      &env_rm_command,
      &env_ls_command,
      &env_show_command,
      &env_lock_command,
      &image_ls_command,
      &image_inspect_command,
      &image_history_command,
      &image_diff_command,
      &image_sbom_command,
      &image_provenance_command,
      &image_pull_command,
      &image_push_command,
      &image_copy_command,
      &image_export_command,
      &image_import_command,
      &image_rm_command,
      &image_run_command,
      &image_gc_command,
      &train_command,
      &run_command,
      &runs_ls_command,
      &runs_show_command,
      &runs_logs_command,
      &runs_attach_command,
      &runs_wait_command,
      &runs_cancel_command,
      &runs_diff_command,
      &runs_compare_command,
      &runs_tag_command,
      &runs_note_command,
      &watch_command,
      &plot_command,
      &runs_export_command,
      &runs_import_command,
      &runs_reproduce_command,
      &runs_rm_command,
      &sweep_run_command,
      &sweep_ls_command,
      &sweep_show_command,
      &sweep_stop_command,
      &sweep_resume_command,
      &why_command,
      &log_metric_command,
      &log_param_command,
      &log_tag_command,
      &log_artifact_command,
      &reindex_command,
      &secret_set_command,
      &secret_ls_command,
      &secret_rm_command,
      &gpu_ls_command,
      &gpu_check_command,
      &model_ls_command,
      &model_show_command,
      &model_register_command,
      &model_alias_command,
      &model_export_command,
      &predict_command,
      &serve_command,
      &status_command,
      &doctor_command,
      &config_get_command,
      &config_set_command,
      &config_ls_command,
      &config_schema_command,
      &completion_command,
      &version_command,
      &complete_command,
      &describe_command,
      &man_command,
      &parse_command,
      &supervise_command,
      &container_command,
      &mount_command,
      &gpu_measure_command,
      &trainer_command,
      &storage_serve_command,
      // clang-format on
  };
  return table;
}

const Command* find_command(std::string_view path) {
  const auto all = commands();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Command* c) { return c->path == path; });
  return found == all.end() ? nullptr : *found;
}

Option dry_run_option() {
  return {.name = "--dry-run", .help = "show what would be done, and do nothing"};
}

Option yes_option() {
  return {.name = "--yes", .help = "answer yes to every question", .letter = 'y'};
}

std::span<const Option> global_options() {
  static const Option options[] = {
      {.name = "--directory",
       .value = "DIR",
       .help = "run as if started in DIR",
       .letter = 'C',
       .complete = nullptr},
      {.name = "--json", .help = "print the result as JSON; errors too, on standard error"},
      {.name = "--quiet", .help = "print results and errors only", .letter = 'q'},
      {.name = "--verbose", .help = "say more about what is done", .letter = 'v'},
      {.name = "--no-progress", .help = "show no progress"},
      {.name = "--help", .help = "show this help", .letter = 'h'},
  };
  return options;
}

} // namespace mlp
